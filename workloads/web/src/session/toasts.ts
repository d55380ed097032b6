// Short news in a corner of the page.
import { signal } from '@preact/signals';
import type { Message } from '../api/types';
import type { Chat } from '../store/chats';
import { newId } from '../store/ids';
import { strings } from '../i18n/en';
import { preferences } from './preferences';
import { current, me, onReset, watching } from './state';

export interface Toast {
  readonly id: string;
  readonly kind: 'info' | 'message' | 'error';
  readonly header: string;
  readonly body: string;
  readonly chat_id: string | null;
  readonly message_id: string | null;
}

const SHOWN_MS = 7_000;
const AT_ONCE = 3;

export const toasts = signal<readonly Toast[]>([]);
/** Whether the server itself tells of news, over `/notifications`. */
export const serverTells = signal(false);
/** How often it did so far. */
export const notified = signal(0);
/** Notifications that were read by themselves, here or on another device, since the page was opened. */
export const readByThemselves = signal<ReadonlySet<string>>(new Set());

export const readByItself = (id: string): void => {
  if (!readByThemselves.value.has(id)) readByThemselves.value = new Set(readByThemselves.value).add(id);
};

/** Messages that were told of. */
const told = new Set<string>();
/** Notifications that were heard of. */
const heard = new Set<string>();
/** When each ends. One that is held has no end. */
const ends = new Map<string, ReturnType<typeof setTimeout>>();

onReset(() => {
  for (const { id } of toasts.value) dismiss(id);
  readByThemselves.value = new Set();
  told.clear();
  heard.clear();
});

/** Whether a notification is heard of for the first time: one may come more than once. */
export function isNews(notification_id: string): boolean {
  const first = !heard.has(notification_id);
  heard.add(notification_id);
  return first;
}

export function toast(one: Partial<Toast> & { header: string }): void {
  const made: Toast = { kind: 'info', body: '', chat_id: null, message_id: null, ...one, id: newId() };
  // The newest of a chat stands for all of it: one that is held says it in its place.
  const before = made.kind === 'message' ? toasts.value.find((known) => known.chat_id === made.chat_id) : undefined;
  if (before && !ends.has(before.id)) {
    toasts.value = toasts.value.map((known) => (known === before ? { ...made, id: before.id } : known));
    return;
  }
  if (before) dismiss(before.id);
  toasts.value = [...toasts.value, made];
  release(made.id);
  const spare = toasts.value.filter(({ id }) => ends.has(id));
  for (const { id } of spare.slice(0, Math.max(0, toasts.value.length - AT_ONCE))) if (id !== made.id) dismiss(id);
}

/** For news that an answer brings. Gives what tells them to who is here now, and to nobody who has logged in by then. */
export function toaster(): typeof toast {
  const owner = me.value;
  return (one) => { if (me.value === owner) toast(one); };
}

/** Somebody reads it: it stays. */
export function hold(id: string): void {
  clearTimeout(ends.get(id));
  ends.delete(id);
}

/** It ends after its time. */
export function release(id: string): void {
  hold(id);
  ends.set(id, setTimeout(() => dismiss(id), SHOWN_MS));
}

export const dismiss = (id: string): void => {
  hold(id);
  toasts.value = toasts.value.filter((one) => one.id !== id);
};

/** The user is in this chat now: no need to hear of it. */
export const dismissOf = (chat_id: string): void => {
  for (const one of toasts.value) if (one.chat_id === chat_id) dismiss(one.id);
};

/** A message came to a chat that is not on screen. The server tells of it if it has that feature. */
export function localToast(chat: Chat, message: Message): void {
  if (serverTells.value || chat.muted) return;
  // The user may not want names and texts in news: then neither does the server tell them.
  if (preferences.value && !preferences.value.show_content) return messageToast(strings.newMessage, '', message.chat_id, message.message_id);
  const body = message.message || (message.type === 'image' ? strings.aPicture : strings.aFile);
  messageToast(chat.peer.display_name || chat.peer.username, body, message.chat_id, message.message_id);
}

/** News of one message, once, and not while its chat is being looked at. */
export function messageToast(header: string, body: string, chat_id: string | null, message_id: string | null): void {
  if (chat_id && chat_id === current.value && watching.value) return;
  if (message_id && told.has(message_id)) return;
  if (message_id) told.add(message_id);
  toast({ kind: 'message', header, body, chat_id, message_id });
}
