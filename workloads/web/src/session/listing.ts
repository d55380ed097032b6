// The list of chats from the server, and starting a chat.
import { blocks } from '../api/accounts';
import { chats as fetchChats, startChat } from '../api/messages';
import { ApiError } from '../api/problem';
import type { Message, Profile } from '../api/types';
import { loaded, opened } from '../store/chats';
import { touch } from './cache';
import { preferences } from './preferences';
import { confirmSoon } from './reading';
import { subscribe } from './presence';
import { blocked, chats, current, identity, listed, me, onReset } from './state';
import { localToast } from './toasts';

let soon: ReturnType<typeof setTimeout> | null = null;

/** Loads the list. */
export async function reload(): Promise<void> {
  const owner = me.value;
  const before = chats.value;
  const entries = await fetchChats();
  if (me.value !== owner) return;
  chats.value = loaded(chats.value, entries, me.value, Date.now(), before);
  listed.value = true;
  touch();
  confirmSoon();
  void subscribe();
  for (const message of newcomers.splice(0)) {
    const chat = chats.value.get(message.chat_id);
    if (chat && current.value !== message.chat_id) localToast(chat, message);
  }
}

/** Messages of chats that were not in the list yet: who wrote them is known when it has been loaded. */
const newcomers: Message[] = [];
onReset(() => { newcomers.length = 0; });

/** Loads the list because of a message of a chat that is not in it, and tells of the message then. */
export function reloadFor(message: Message): void {
  newcomers.push(message);
  reloadSoon();
}

/** Loads the list, once for all who ask within a short time, and again later if it can't be had now. */
export function reloadSoon(delay = 150): void {
  soon ??= setTimeout(() => {
    soon = null;
    reload().catch((error: unknown) => {
      if (identity.value && error instanceof ApiError && error.passing) reloadSoon(5_000);
    });
  }, delay);
}

export async function reloadBlocks(): Promise<void> {
  blocked.value = new Set((await blocks()).map((block) => block.user_id));
}

/** Gives the chat with somebody, which is made if need be. */
export async function chatWith(person: Profile): Promise<string> {
  const { chat_id, peer } = await startChat(person.user_id);
  const muted = (preferences.value?.muted ?? []).some((one) => one.chat_id === chat_id && Date.parse(one.until) > Date.now());
  chats.value = opened(chats.value, chat_id, peer, Date.now(), muted);
  touch();
  void subscribe();
  return chat_id;
}
