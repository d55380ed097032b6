// The list of chats: newest activity first, what is unread, how far both members have got.
import type { ChatEntry, Message, Peer } from '../api/types';
import { later, reaches, timeOf } from './ids';
import { advance, advanceBy, NO_MARKS, type Marks } from './receipts';
import { newerOf, tombstone } from './timeline';

export interface Chat {
  readonly chat_id: string;
  readonly peer: Peer;
  readonly last: Message | null;
  /** The newest message of the other member that came here; unlike `last`, also when one's own is newer. */
  readonly theirLast?: string | null;
  readonly unread: number;
  readonly mine: Marks;
  readonly theirs: Marks;
  readonly muted: boolean;
  /** Milliseconds since 1970 by which chats are ordered. */
  readonly activity: number;
}

export type Chats = ReadonlyMap<string, Chat>;

const withChat = (chats: Chats, chat: Chat): Chats => new Map(chats).set(chat.chat_id, chat);

/** The server's list. It is newer than what is known, except for what happened while it was on its way: `before` is what
 * was known when it was asked for. The list comes in pages, so a chat that moves up meanwhile can be in none. Of a part
 * of it (not `whole`) nothing follows for the chats that it does not have. */
export function loaded(known: Chats, entries: readonly ChatEntry[], me: string, now: number, before: Chats = known, whole = true): Chats {
  let above = now;
  const chats = new Map<string, Chat>();
  for (const entry of entries) {
    const chat = known.get(entry.chat_id);
    // Deleted while the list was on its way.
    if (!chat && before.has(entry.chat_id)) continue;
    let last = entry.last_message ?? null;
    let unread = entry.unread;
    if (chat?.last && (!last || chat.last.message_id > last.message_id)) {
      last = chat.last;
      unread = chat.unread;
    } else if (chat?.last && last?.message_id === chat.last.message_id) {
      last = newerOf(chat.last, last);
      // Some of it has been read since it was counted.
      if (chat.mine.read && !reaches(entry.read_up_to, chat.mine.read)) unread = chat.unread;
    }
    above = last ? timeOf(last.message_id) : Math.min(above - 1, chat?.activity ?? above);
    const mine = advance(chat?.mine ?? NO_MARKS, entry.delivered_up_to, entry.read_up_to);
    const theirs = chat?.theirs ?? NO_MARKS;
    chats.set(entry.chat_id, {
      chat_id: entry.chat_id,
      peer: entry.peer,
      last,
      theirLast: theirLastOf(chat?.theirLast, entry.last_message ?? null, me),
      unread: last && reaches(mine.read, last.message_id) ? 0 : unread,
      mine,
      theirs: last && last.sender_id === me ? advanceBy(theirs, last) : theirs,
      muted: chat && before.get(entry.chat_id)?.muted !== chat.muted ? chat.muted : entry.muted,
      activity: above,
    });
  }
  // Opened or changed meanwhile: what the list does not say of it is no news.
  for (const [chat_id, chat] of known) if (!chats.has(chat_id) && (!whole || before.get(chat_id) !== chat)) chats.set(chat_id, chat);
  return chats;
}

/** A chat that was just started or found. */
export function opened(chats: Chats, chat_id: string, peer: Peer, now: number, muted = false): Chats {
  const known = chats.get(chat_id);
  if (known) return withChat(chats, { ...known, peer });
  return withChat(chats, {
    chat_id, peer, last: null, unread: 0, mine: NO_MARKS, theirs: NO_MARKS, muted, activity: now,
  });
}

/** A new message. One that is known already, older than the last, or deleted meanwhile counts nothing. */
export function received(chats: Chats, message: Message, me: string): Chats {
  const chat = chats.get(message.chat_id);
  if (!chat) return chats;
  const own = message.sender_id === me;
  const theirs = own ? advanceBy(chat.theirs, message) : chat.theirs;
  const theirLast = theirLastOf(chat.theirLast, message, me);
  if (chat.last && chat.last.message_id >= message.message_id) {
    const last = chat.last.message_id === message.message_id ? newerOf(chat.last, message) : chat.last;
    return withChat(chats, { ...chat, last, theirLast, theirs });
  }
  const unread = own || message.deleted || reaches(chat.mine.read, message.message_id) ? chat.unread : chat.unread + 1;
  return withChat(chats, { ...chat, last: message, theirLast, unread, theirs, activity: timeOf(message.message_id) });
}

export interface Receipt {
  chat_id: string;
  user_id: string;
  delivered_up_to?: string | null;
  read_up_to?: string | null;
}

/** News of a watermark; `seen` are the messages that are known, newest last, to count what is left unread. */
export function receipted(chats: Chats, receipt: Receipt, me: string, seen: readonly Message[] = []): Chats {
  const chat = chats.get(receipt.chat_id);
  if (!chat) return chats;
  if (receipt.user_id !== me) {
    return withChat(chats, { ...chat, theirs: advance(chat.theirs, receipt.delivered_up_to, receipt.read_up_to) });
  }
  const mine = advance(chat.mine, receipt.delivered_up_to, receipt.read_up_to);
  let { unread } = chat;
  if (mine.read !== chat.mine.read) unread = unreadAfter(chat, mine.read, me, seen);
  return withChat(chats, { ...chat, mine, unread });
}

function unreadAfter(chat: Chat, read: string | null, me: string, seen: readonly Message[]): number {
  if (!chat.last || reaches(read, chat.last.message_id)) return 0;
  const complete = seen.at(-1)?.message_id === chat.last.message_id && !!read && (seen[0]?.message_id ?? '') <= read;
  if (!complete) return chat.unread;
  return seen.filter((message) => message.sender_id !== me && !message.deleted && message.message_id > (read ?? '')).length;
}

/** An edit of the last message shows in the list. */
export function edited(chats: Chats, message: Message): Chats {
  const chat = chats.get(message.chat_id);
  if (chat?.last?.message_id !== message.message_id) return chats;
  return withChat(chats, { ...chat, last: newerOf(chat.last, message) });
}

export function erased(chats: Chats, chat_id: string, message_id: string): Chats {
  const chat = chats.get(chat_id);
  if (chat?.last?.message_id !== message_id) return chats;
  return withChat(chats, { ...chat, last: tombstone(chat.last) });
}

export function removed(chats: Chats, chat_id: string): Chats {
  const left = new Map(chats);
  left.delete(chat_id);
  return left;
}

export function muted(chats: Chats, chat_id: string, value: boolean): Chats {
  const chat = chats.get(chat_id);
  return chat ? withChat(chats, { ...chat, muted: value }) : chats;
}

/** Which chats are muted, of all. */
export function mutes(chats: Chats, muted: ReadonlySet<string>): Chats {
  const changed = [...chats.values()].filter((chat) => chat.muted !== muted.has(chat.chat_id));
  if (changed.length === 0) return chats;
  const next = new Map(chats);
  for (const chat of changed) next.set(chat.chat_id, { ...chat, muted: !chat.muted });
  return next;
}

/** In the order of the list. */
export const sorted = (chats: Chats): Chat[] =>
  [...chats.values()].sort((a, b) => b.activity - a.activity || (a.chat_id < b.chat_id ? -1 : 1));

export const unreadOf = (chats: Chats): number => {
  let count = 0;
  for (const chat of chats.values()) if (!chat.muted) count += chat.unread;
  return count;
};

/** The newest message of the other member that this device has not confirmed yet; `null` when there is none. */
export function unconfirmed(chat: Chat, me: string): string | null {
  const newest = theirLastOf(chat.theirLast, chat.last, me);
  return !newest || reaches(later(chat.mine.delivered, chat.mine.read), newest) ? null : newest;
}

const theirLastOf = (known: string | null | undefined, message: Message | null, me: string): string | null =>
  later(known, message && message.sender_id !== me ? message.message_id : null);
