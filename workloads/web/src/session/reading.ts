// Tells what has got to this device, and what somebody has read: only what is on screen of a window in front.
import { effect, signal } from '@preact/signals';
import { passes } from '../api/problem';
import { ask } from '../socket/connection';
import { receipted, unconfirmed } from '../store/chats';
import { reaches } from '../store/ids';
import { unseenAbove } from '../store/receipts';
import { pauseOf } from '../store/waits';
import { touch } from './cache';
import { unshow } from './push';
import { chats, current, link, me, onReset, skipped, timelines, visibleUpTo, watching } from './state';

let confirming: ReturnType<typeof setTimeout> | null = null;

/** Rounds of receipts in a row of which some were refused. */
let refused = 0;
let later: ReturnType<typeof setTimeout> | undefined;
/** When that ends, in milliseconds since 1970. */
let until = 0;
/** Another number for each time that those are due again. */
const again = signal(0);
onReset(() => {
  refused = 0;
  clearTimeout(later);
  later = undefined;
});

/** Has another try made of a receipt. When the connection is back, all are told anyway. */
function retry(error: unknown): void {
  if (!passes(error) || link.value !== 'online') return;
  // Those of all chats are told at once: however many of them are refused, it was one try, which the server may want later.
  if (later === undefined) refused += 1;
  else if (Date.now() + (error.retryAfter ?? 0) * 1_000 <= until) return;
  clearTimeout(later);
  const pause = pauseOf(refused, error.retryAfter);
  until = Date.now() + pause;
  later = setTimeout(() => {
    later = undefined;
    again.value += 1;
    confirmSoon();
  }, pause);
}

/** Confirms what has come, once for all messages of a short time. */
export function confirmSoon(): void {
  confirming ??= setTimeout(() => {
    confirming = null;
    for (const chat of chats.value.values()) {
      const message_id = unconfirmed(chat, me.value);
      if (message_id) void confirm(chat.chat_id, message_id);
    }
  }, 60);
}

async function confirm(chat_id: string, message_id: string): Promise<void> {
  if (link.value !== 'online') return;
  // What is being read right now needs no receipt of its own.
  if (chat_id === current.value && watching.value && reaches(visibleIn(chat_id), message_id)) return;
  try {
    await ask('message_delivered', { chat_id, message_id });
    refused = 0;
    chats.value = receipted(chats.value, { chat_id, user_id: me.value, delivered_up_to: message_id }, me.value);
    touch();
  } catch (error) {
    retry(error);
  }
}

const underWay = new Map<string, string>();

async function read(chat_id: string, message_id: string): Promise<void> {
  if (reaches(underWay.get(chat_id), message_id)) return;
  underWay.set(chat_id, message_id);
  try {
    await ask('message_read', { chat_id, message_id });
    refused = 0;
    const seen = timelines.value.get(chat_id)?.messages;
    chats.value = receipted(chats.value, { chat_id, user_id: me.value, read_up_to: message_id }, me.value, seen);
    touch();
    void unshow(chat_id).catch(() => undefined);
  } catch (error) {
    retry(error);
  } finally {
    if (underWay.get(chat_id) === message_id) underWay.delete(chat_id);
  }
}

/** The newest message of the other member up to what is visible. */
function newestSeen(chat_id: string): string | null {
  const messages = timelines.value.get(chat_id)?.messages ?? [];
  for (let n = messages.length - 1; n >= 0; n -= 1) {
    const message = messages[n]!;
    if (message.sender_id !== me.value && reaches(visibleIn(chat_id), message.message_id)) return message.message_id;
  }
  return null;
}

/** Up to which message a chat can be seen, if it is the one that is. */
const visibleIn = (chat_id: string): string | null =>
  (visibleUpTo.value?.chat_id === chat_id ? visibleUpTo.value.message_id : null);

/** Watches what is on screen from now on. */
export function startReading(): void {
  const look = () => { watching.value = document.visibilityState === 'visible' && document.hasFocus(); };
  for (const name of ['focus', 'blur', 'pageshow']) window.addEventListener(name, look);
  document.addEventListener('visibilitychange', look);
  look();
  effect(() => {
    again.value;
    const chat_id = current.value;
    if (!chat_id || !watching.value || link.value !== 'online') return;
    const chat = chats.value.get(chat_id);
    const seen = newestSeen(chat_id);
    // Told as read is one message and all before it, also those that are not loaded.
    if (chat && skipped.value !== chat_id && unseenAbove(timelines.value.get(chat_id), chat.mine.read, chat.unread, me.value)) return;
    if (chat && seen && !reaches(chat.mine.read, seen)) void read(chat_id, seen);
  });
}
