// What was written but not sent, of each chat, kept in the browser's store until it is sent or the session ends.
import { computed, signal } from '@preact/signals';
import * as database from '../idb/database';
import type { Message } from '../api/types';
import { me, onReset } from './state';

/** A message that what is written answers, or changes, with its new text. One that is answered need not be here. */
export type Answering = { kind: 'reply'; message_id: string; message: Message | null } | { kind: 'edit'; message: Message; text: string } | null;

interface Draft {
  readonly chat_id: string;
  readonly text: string;
}

const DELAY_MS = 400;

export const drafts = signal<ReadonlyMap<string, string>>(new Map());
onReset(() => { drafts.value = new Map(); });

export const draftOf = (chat_id: string): string => drafts.value.get(chat_id) ?? '';

/** What is answered or changed in each chat: who looks elsewhere in between goes on with it. */
const answerings = signal<ReadonlyMap<string, Exclude<Answering, null>>>(new Map());
onReset(() => { answerings.value = new Map(); });

export const answeringIn = (chat_id: string): Answering => answerings.value.get(chat_id) ?? null;

export function setAnswering(chat_id: string, to: Answering): void {
  const next = new Map(answerings.value);
  if (to) next.set(chat_id, to);
  else next.delete(chat_id);
  answerings.value = next;
}

/** Whether an edit is still what was saved: what was written or turned to since then stays, in whichever field. */
export function isAsSaved(chat_id: string, message: Message, text: string): boolean {
  const now = answeringIn(chat_id);
  return now?.kind === 'edit' && now.message.message_id === message.message_id && now.text === text;
}

/** What the field holds. The text of an edit is none of an answer, and goes with the edit: what was being written before
 * is there again. */
export const textOf = (answering: Answering, draft: string): string => (answering?.kind === 'edit' ? answering.text : draft);

/** In which chats there is something that was written and neither sent nor saved. */
export const written = computed<ReadonlySet<string>>(() => new Set([
  ...[...drafts.value].filter(([, text]) => text.trim() !== '').map(([chat_id]) => chat_id),
  ...[...answerings.value].filter(([, one]) => one.kind === 'edit' && one.text !== one.message.message).map(([chat_id]) => chat_id),
]));

/** Chats whose drafts are not in the browser's store as they are here. */
const unwritten = new Set<string>();
let timer: ReturnType<typeof setTimeout> | null = null;

export function setDraft(chat_id: string, text: string): void {
  if (draftOf(chat_id) === text) return;
  const next = new Map(drafts.value);
  if (text === '') next.delete(chat_id);
  else next.set(chat_id, text);
  drafts.value = next;
  unwritten.add(chat_id);
  // What was sent must not be there again.
  if (text === '') void flushDrafts();
  else timer ??= setTimeout(() => void flushDrafts(), DELAY_MS);
}

/** Writes what has changed now. */
export async function flushDrafts(): Promise<void> {
  if (timer !== null) clearTimeout(timer);
  timer = null;
  const changed = [...unwritten].map((chat_id): Draft => ({ chat_id, text: draftOf(chat_id) }));
  if (changed.length === 0) return;
  const empty = ({ text }: Draft): boolean => text.trim() === '';
  try {
    await Promise.all([
      database.putAll('drafts', changed.filter((one) => !empty(one)).map((one) => [one.chat_id, one])),
      database.remove('drafts', changed.filter(empty).map((one) => one.chat_id)),
    ]);
  } catch (error) {
    console.warn('what was written could not be kept for later', error);
    return;
  }
  for (const { chat_id, text } of changed) if (draftOf(chat_id) === text) unwritten.delete(chat_id);
}

/** Takes up what is in the browser's store, where it was not changed here since: another tab may have gone on with it, or
 * sent it. */
async function takeUp(): Promise<void> {
  const owner = me.value;
  const kept = await database.all<Draft>('drafts');
  if (me.value !== owner) return;
  const next = new Map(kept.map(({ chat_id, text }) => [chat_id, text]));
  for (const chat_id of unwritten) {
    if (draftOf(chat_id) === '') next.delete(chat_id);
    else next.set(chat_id, draftOf(chat_id));
  }
  drafts.value = next;
}

/** Who comes back to this tab finds what was written in another; who leaves it loses nothing. */
function turned(event: Event): void {
  if (event.type !== 'pagehide' && document.visibilityState === 'visible' && document.hasFocus()) takeUp().catch(() => undefined);
  else void flushDrafts();
}

const TURNS = ['focus', 'blur', 'pagehide'] as const;

/** Shows what was written before, and keeps what is from now on. */
export async function beginDrafts(): Promise<void> {
  for (const name of TURNS) window.addEventListener(name, turned);
  document.addEventListener('visibilitychange', turned);
  await takeUp();
}

/** The session is over, or another tab's: nothing more is written. */
export function endDrafts(): void {
  for (const name of TURNS) window.removeEventListener(name, turned);
  document.removeEventListener('visibilitychange', turned);
  if (timer !== null) clearTimeout(timer);
  timer = null;
  unwritten.clear();
}
