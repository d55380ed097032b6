// Forgets messages that are too old, on screen and in what is kept in this browser, also while there is no network.
import { batch } from '@preact/signals';
import * as database from '../idb/database';
import { borderOf, chatsSince, timelineSince } from '../store/expiry';
import { touch } from './cache';
import { chats, onReset, setTimeline, timelines } from './state';

const KEY = 'message_retention_seconds';
const EVERY_MS = 60_000;

/** For how long messages are kept; `null`: for ever, or not known yet. */
let seconds: number | null = null;
let timer: ReturnType<typeof setInterval> | null = null;

/** Takes up what the server said the last time. */
export async function begin(): Promise<void> {
  end();
  timer = setInterval(() => forget(), EVERY_MS);
  seconds = (await database.get<number>('meta', KEY).catch(() => undefined)) ?? null;
}

export function end(): void {
  if (timer !== null) clearInterval(timer);
  timer = null;
  seconds = null;
}
onReset(end);

/** The server says for how long it keeps messages. */
export function keepFor(said: number | null): void {
  if (said !== seconds) {
    seconds = said;
    const noted = said === null ? database.remove('meta', [KEY]) : database.put('meta', KEY, said);
    noted.catch((error: unknown) => console.warn('how long messages are kept could not be noted', error));
  }
  forget();
}

/** Forgets what is too old now. */
export function forget(now = Date.now()): void {
  const border = borderOf(now, seconds);
  if (border === null) return;
  const before = { chats: chats.value, timelines: timelines.value };
  batch(() => {
    chats.value = chatsSince(chats.value, border);
    for (const [chat_id, timeline] of timelines.value) {
      const kept = timelineSince(timeline, border);
      if (kept !== timeline) setTimeline(chat_id, kept);
    }
  });
  if (before.chats !== chats.value || before.timelines !== timelines.value) touch();
}
