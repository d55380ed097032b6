// Messages on their way: shown at once, sent in their order, kept until the server has them.
import type { Message } from '../api/types';

export interface Outgoing {
  /** Chosen once: however often it is sent, the server keeps one message. */
  readonly client_message_id: string;
  readonly chat_id: string;
  readonly message: string;
  readonly type: 'text' | 'image' | 'file';
  readonly attachments: readonly string[];
  readonly reply_to: string | null;
  readonly created_at: number;
  /** When its author last asked for it to be sent again. */
  readonly asked_at?: number;
  readonly state: 'pending' | 'failed';
  /** Whether it was given to the network since the server last refused it: the server may have it. */
  readonly tried?: boolean;
  /** Why it failed, for the one who wrote it. */
  readonly reason: string | null;
}

export type Outbox = readonly Outgoing[];

export const queued = (outbox: Outbox, one: Outgoing): Outbox =>
  outbox.some((known) => known.client_message_id === one.client_message_id) ? outbox : [...outbox, one];

export const without = (outbox: Outbox, client_message_id: string): Outbox =>
  outbox.filter((one) => one.client_message_id !== client_message_id);

export const failed = (outbox: Outbox, client_message_id: string, reason: string): Outbox =>
  outbox.map((one) => (one.client_message_id === client_message_id ? { ...one, state: 'failed', tried: false, reason } : one));

export const tried = (outbox: Outbox, client_message_id: string): Outbox =>
  outbox.map((one) => (one.client_message_id === client_message_id ? { ...one, tried: true } : one));

/** Whether its author can still have it back: it waits for its author, or nobody else can have seen it. */
export const revocable = (one: Outgoing): boolean => one.state === 'failed' || !one.tried;

export const retried = (outbox: Outbox, client_message_id: string, now: number): Outbox =>
  outbox.map((one) => (one.client_message_id === client_message_id ? { ...one, state: 'pending', reason: null, asked_at: now } : one));

/** The server recognises a message that it has already for seven days. What waited for longer might be sent twice: its
 * author decides. */
const SURE_MS = 6 * 86_400_000;

export function doubted(outbox: Outbox, reason: string, now: number): Outbox {
  const old = (one: Outgoing): boolean => one.state === 'pending' && now - Math.max(one.created_at, one.asked_at ?? 0) > SURE_MS;
  return outbox.some(old) ? outbox.map((one) => (old(one) ? { ...one, state: 'failed', reason } : one)) : outbox;
}

/** A message that came from the server: if it is one of these, it has arrived. */
export function delivered(outbox: Outbox, message: Message, me: string): Outbox {
  if (message.sender_id !== me || !message.client_message_id) return outbox;
  const left = without(outbox, message.client_message_id);
  return left.length === outbox.length ? outbox : left;
}

/** What to send now: the first of each chat that has none on its way, so that the order is kept. */
export function due(outbox: Outbox, busyChats: ReadonlySet<string>): Outgoing[] {
  const taken = new Set(busyChats);
  const next: Outgoing[] = [];
  for (const one of outbox) {
    if (one.state !== 'pending' || taken.has(one.chat_id)) continue;
    taken.add(one.chat_id);
    next.push(one);
  }
  return next;
}

/** The message as it will be, once the server said under which id and when. */
export function asMessage(one: Outgoing, me: string, message_id: string, timestamp: string): Message {
  return {
    message_id,
    chat_id: one.chat_id,
    sender_id: me,
    type: one.type,
    message: one.message,
    content: one.message,
    attachments: [...one.attachments],
    reply_to: one.reply_to,
    timestamp,
    edited_at: null,
    deleted: false,
    status: 'sent',
    seen_at: null,
    client_message_id: one.client_message_id,
  };
}
