// Applies what happened, as the server tells it: live over the socket, or afterwards by `sync`. Both give the same
// events, and each may come twice.
import { batch } from '@preact/signals';
import type { Message } from '../api/types';
import * as list from '../store/chats';
import { reaches } from '../store/ids';
import * as time from '../store/timeline';
import { strings } from '../i18n/en';
import { touch } from './cache';
import { announce, chats, current, link, me, outbox, presence, setTimeline, timelines, type Status } from './state';
import { stopped, started } from './typing';
import { unshow } from './push';
import { confirmSoon } from './reading';
import { forget, recount, reloadFor, reloadForNews } from './listing';
import { setAnswering, setDraft } from './drafts';
import { amend } from './history';
import { arrived, discard } from './outbox';
import { localToast, toast } from './toasts';
import { removeUpload, uploads } from './uploads';

/** Applies one event. `live` is false for what happened while this device was away. */
export function apply(name: string, data: unknown, live: boolean): void {
  if (typeof data !== 'object' || data === null) return;
  batch(() => dispatch(name, data as never, live));
  touch();
}

function dispatch(name: string, data: never, live: boolean): void {
  switch (name) {
    case 'receive_message': return message(data, live);
    case 'message_edited': return edited(data);
    case 'message_deleted': return erased(data);
    case 'receipt': return receipt(data);
    case 'typing': return typed(data);
    case 'presence': return present(data);
    case 'chat_started': return known((data as { chat_id: string }).chat_id);
    case 'chat_deleted': return gone(data);
    default:
      // Events for clients of the seed, and those of later servers.
  }
}

const known = (chat_id: string): void => {
  if (!chats.value.has(chat_id)) reloadFor(chat_id);
};

/** A message that is new to this device, whoever wrote it. */
export function message(message: Message, live: boolean): void {
  const chat = chats.value.get(message.chat_id);
  const newest = !chat?.last || chat.last.message_id < message.message_id;
  const passed = !newest && crossed(chat, message);
  chats.value = list.received(chats.value, message, me.value);
  amend(message.chat_id, (timeline) => time.arrived(timeline, message));
  arrived(message);
  if (message.sender_id === me.value) return;
  stopped(message.chat_id);
  if (!chat) return live ? reloadForNews(message) : reloadFor(message.chat_id);
  confirmSoon();
  // How many are unread between one's own only the server says.
  if (passed) recount(message.chat_id);
  if (!live || !(newest || passed)) return;
  if (current.value === message.chat_id) announce(strings.announce(nameOf(chat), message.message || strings.aFile));
  else localToast(chat, message);
}

/** Whether a message of the other member comes here for the first time although something newer, of one's own, is known. */
const crossed = (chat: list.Chat, { message_id, sender_id, deleted }: Message): boolean =>
  sender_id !== me.value && !deleted && !reaches(chat.mine.read, message_id) && !reaches(chat.theirLast, message_id)
  && !timelines.value.get(chat.chat_id)?.messages.some((one) => one.message_id === message_id);

const nameOf = (chat: list.Chat): string => chat.peer.display_name || chat.peer.username;

function edited(message: Message): void {
  chats.value = list.edited(chats.value, message);
  amend(message.chat_id, (timeline) => time.changed(timeline, message));
}

export function erased({ chat_id, message_id }: { chat_id: string; message_id: string }): void {
  const chat = chats.value.get(chat_id);
  const timeline = timelines.value.get(chat_id);
  const known = timeline?.messages.find((one) => one.message_id === message_id) ?? (chat?.last?.message_id === message_id ? chat.last : undefined);
  // Whether it was one of those that are unread the server says.
  if (chat && chat.unread > 0 && known?.sender_id !== me.value && !known?.deleted && !reaches(chat.mine.read, message_id)) recount(chat_id);
  chats.value = list.erased(chats.value, chat_id, message_id);
  amend(chat_id, (before) => time.deleted(before, message_id));
}

export function receipt(receipt: list.Receipt): void {
  const seen = timelines.value.get(receipt.chat_id)?.messages;
  const before = chats.value.get(receipt.chat_id);
  chats.value = list.receipted(chats.value, receipt, me.value, seen);
  const after = chats.value.get(receipt.chat_id);
  const read = !!before && !!after && after.mine.read !== before.mine.read;
  // Another device has read all of it.
  if (read && after.unread === 0) void unshow(receipt.chat_id).catch(() => undefined);
  // A part was read on another device: where the messages are not here to be counted, the server has.
  if (read && after.unread > 0 && after.unread === before.unread) recount(receipt.chat_id);
}

function typed({ chat_id, user_id, typing, expires_in }: { chat_id: string; user_id: string; typing: boolean; expires_in?: number }): void {
  if (user_id === me.value) return;
  if (typing && link.value === 'online') started(chat_id, expires_in ?? 5);
  else stopped(chat_id);
}

export function present({ user_id, status, last_active }: { user_id: string; status: Status; last_active?: string | null }): void {
  presence.value = new Map(presence.value).set(user_id, { status, last_active: last_active ?? null });
}

function gone({ chat_id }: { chat_id: string }): void {
  const chat = chats.value.get(chat_id);
  // A whole conversation is taken from the reader's screen: say why.
  if (chat && current.value === chat_id) toast({ header: strings.peerLeft(nameOf(chat)) });
  forget(chat_id);
  setTimeline(chat_id, null);
  // What was to be sent there can't be seen any more either.
  setDraft(chat_id, '');
  setAnswering(chat_id, null);
  for (const one of uploads.value.get(chat_id) ?? []) removeUpload(chat_id, one.id);
  for (const one of outbox.value) if (one.chat_id === chat_id) discard(one.client_message_id);
}
