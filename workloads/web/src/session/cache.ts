// Keeps recent chats in the browser, so that they are there at once when the page is opened, also without a network.
import * as database from '../idb/database';
import type { Message } from '../api/types';
import type { Chat, Chats } from '../store/chats';
import { complete, type Timeline } from '../store/timeline';
import { chats, timelines } from './state';

/** Messages kept of each chat. */
const MESSAGES = 50;
/** Chats whose messages are kept. */
const CHATS = 40;
const DELAY_MS = 400;

interface KeptTimeline {
  chat_id: string;
  messages: readonly Message[];
  older: boolean;
}

let written: { chats: Chats; timelines: ReadonlyMap<string, Timeline> } = { chats: new Map(), timelines: new Map() };
let timer: ReturnType<typeof setTimeout> | null = null;
let writing: Promise<void> = Promise.resolve();

/** Reads what was kept. */
export async function restore(): Promise<{ chats: Map<string, Chat>; timelines: Map<string, Timeline>; token: string | null }> {
  const [keptChats, keptTimelines, token] = await Promise.all([
    database.all<Chat>('chats'),
    database.all<KeptTimeline>('messages'),
    database.get<string>('meta', 'sync_token'),
  ]);
  const restoredChats = new Map(keptChats.map((chat) => [chat.chat_id, chat]));
  const restored = {
    chats: restoredChats,
    // The token may be another tab's, which went on after this chat was written: what came then is told by nobody again.
    timelines: new Map(keptTimelines
      .map(({ chat_id, messages, older }): [string, Timeline] => [chat_id, { messages, older, newer: false }])
      .filter(([chat_id, timeline]) => restoredChats.has(chat_id) && complete(timeline, restoredChats.get(chat_id)?.last ?? null))),
    token: token ?? null,
  };
  written = { chats: restored.chats, timelines: restored.timelines };
  return restored;
}

/** Has what changed written soon. */
export function touch(): void {
  timer ??= setTimeout(() => void flush(), DELAY_MS);
}

/** Writes what changed now. What can't be written is no loss: the server has it. */
export function flush(token?: string): Promise<void> {
  if (timer !== null) clearTimeout(timer);
  timer = null;
  writing = writing.then(() => write(token)).catch((error: unknown) => console.warn('the cache could not be written', error));
  return writing;
}

async function write(token: string | undefined): Promise<void> {
  const now = { chats: chats.value, timelines: timelines.value };
  const changedChats = [...now.chats].filter(([id, chat]) => written.chats.get(id) !== chat);
  const goneChats = [...written.chats.keys()].filter((id) => !now.chats.has(id));
  const recent = new Set([...now.chats.values()].sort((a, b) => b.activity - a.activity).slice(0, CHATS).map((chat) => chat.chat_id));
  const changedTimelines = [...now.timelines]
    .filter(([id, timeline]) => written.timelines.get(id) !== timeline && !timeline.newer && recent.has(id))
    .map(([chat_id, { messages, older }]): [string, KeptTimeline] => [
      chat_id,
      { chat_id, messages: messages.slice(-MESSAGES), older: older || messages.length > MESSAGES },
    ]);
  const goneTimelines = [
    ...[...written.timelines.keys()].filter((id) => !now.timelines.has(id) || !recent.has(id)),
    // A part of the past takes no new messages; what was written of the chat would end before them, and the token after.
    ...[...now.timelines].filter(([, timeline]) => timeline.newer).map(([id]) => id),
  ];
  await Promise.all([
    database.putAll('chats', changedChats),
    database.remove('chats', goneChats),
    database.putAll('messages', changedTimelines),
    database.remove('messages', goneTimelines),
  ]);
  written = now;
  // Last: the token says that everything before it has been kept.
  if (token !== undefined) await database.put('meta', 'sync_token', token);
}

/** Forgets what was kept of messages: the server no longer knows what happened since. */
export async function drop(): Promise<void> {
  await flush();
  await Promise.all([database.removeAll('messages', ''), database.remove('meta', ['sync_token'])]);
}

/** What was written belongs to nobody any more. */
export function detach(): void {
  if (timer !== null) clearTimeout(timer);
  timer = null;
  written = { chats: new Map(), timelines: new Map() };
}
