// Who is typing, and telling that oneself is.
import { tell } from '../socket/connection';
import { typing } from './state';

/** How often typing is told again while it goes on. */
const REPEAT_MS = 3_000;

const timers = new Map<string, ReturnType<typeof setTimeout>>();
let told: { chat_id: string; at: number } | null = null;

/** The other member types; the server says for how many seconds that holds. */
export function started(chat_id: string, seconds: number): void {
  clearTimeout(timers.get(chat_id));
  timers.set(chat_id, setTimeout(() => stopped(chat_id), seconds * 1000));
  if (!typing.value.has(chat_id)) typing.value = new Set(typing.value).add(chat_id);
}

export function stopped(chat_id: string): void {
  clearTimeout(timers.get(chat_id));
  timers.delete(chat_id);
  if (!typing.value.has(chat_id)) return;
  const left = new Set(typing.value);
  left.delete(chat_id);
  typing.value = left;
}

/** Tells the other member that one types in this chat. */
export function tellTyping(chat_id: string): void {
  const now = Date.now();
  if (told?.chat_id === chat_id && now - told.at < REPEAT_MS) return;
  if (told && told.chat_id !== chat_id) tellStopped();
  told = { chat_id, at: now };
  tell('typing', { chat_id, typing: true });
}

export function tellStopped(): void {
  if (told) tell('typing', { chat_id: told.chat_id, typing: false });
  told = null;
}
