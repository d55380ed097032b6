// The list of chats from the server, and starting a chat.
import { signal } from '@preact/signals';
import { chats as fetchChats, startChat } from '../api/messages';
import { ApiError } from '../api/problem';
import type { Message, Profile } from '../api/types';
import { loaded, opened, removed, type Chats } from '../store/chats';
import { spread } from '../store/waits';
import { touch } from './cache';
import { order } from './order';
import { mutedIn, preferences } from './preferences';
import { confirmSoon } from './reading';
import { subscribe } from './presence';
import { chatList, chats, current, identity, listed, me, onReset } from './state';
import { localToast } from './toasts';

/** Pages of the list that are loaded by themselves; more are when its end is looked at. */
const PAGES = 10;
/** Chats of a page. */
const PAGE = 100;
const AGAIN_MS = 5_000;

let soon: ReturnType<typeof setTimeout> | null = null;
/** Whether the first page will do for all who have asked for it. */
let soonTop = true;
/** Loads of the list that run. */
let running = new Set<object>();
/** Whether another one is to begin when they have ended. */
let due = false;
const lists = order();

/** Where the list goes on at the server, and below which activity; `null` when all of it is here. */
export const further = signal<{ readonly cursor: string; readonly below: number } | null>(null);

/** Whether all that is loaded by itself has come and nothing asks for it again: `sync` tells what happens from then on. */
let complete = false;

/** Chats that were deleted: none of them comes back, but a list that was asked for before may still have them. */
const gone = new Set<string>();
onReset(() => {
  gone.clear();
  further.value = null;
  complete = false;
  if (soon) clearTimeout(soon);
  soon = null;
  soonTop = true;
  // The next user does not wait for what the last one has asked for.
  running = new Set();
  due = false;
});

export function forget(chat_id: string): void {
  gone.add(chat_id);
  chats.value = removed(chats.value, chat_id);
}

function merge({ entries, next }: Awaited<ReturnType<typeof fetchChats>>, below: number, before: Chats, whole: boolean, on = true): void {
  const there = entries.filter((one) => !gone.has(one.chat_id));
  chats.value = loaded(chats.value, there, me.value, below, before, whole);
  const last = chats.value.get(there.at(-1)?.chat_id ?? '');
  // What is loaded again at the top only changes nothing of where the list ends.
  if (on || next === null) further.value = next === null ? null : { cursor: next, below: last?.activity ?? below };
  touch();
  confirmSoon();
}

/** Loads the list. `anew`: nothing that is known already counts. `top`: its first page will do if the rest is here, as it is
 * for what no event tells (names, mutes) of the chats that matter. */
export async function reload(how: { anew?: boolean; top?: boolean } = {}): Promise<void> {
  const all = running;
  const mine = {};
  all.add(mine);
  try {
    await load(how);
  } finally {
    all.delete(mine);
  }
  if (due && all === running && all.size === 0) begin();
}

async function load({ anew = false, top = false }: { anew?: boolean; top?: boolean }): Promise<void> {
  const part = top && complete;
  if (!part) complete = false;
  const owner = me.value;
  const before = chats.value;
  const sought = [...missing];
  const isNews = lists.ask();
  const list = await fetchChats(part ? 1 : PAGES);
  if (me.value !== owner || !isNews()) return;
  merge(list, Date.now(), before, anew || list.next === null, !part);
  if (!part) complete = true;
  listed.value = true;
  void subscribe();
  for (const chat_id of sought) missing.delete(chat_id);
  // What this device hears of late may be further down by now.
  if (part && sought.some((chat_id) => !chats.value.has(chat_id) && !gone.has(chat_id))) reloadSoon();
  // A list that was asked for before a message came may not have its chat: another one is on its way.
  for (const message of newcomers.splice(0)) {
    const chat = chats.value.get(message.chat_id);
    if (!chat) newcomers.push(message);
    else if (current.value !== message.chat_id) localToast(chat, message);
  }
}

let more: Promise<void> | null = null;

/** Loads what comes after that part of the list that is here. */
export function loadMore(): Promise<void> {
  more ??= nextPart().finally(() => { more = null; });
  return more;
}

async function nextPart(): Promise<void> {
  const from = further.value;
  if (!from) return;
  const before = chats.value;
  try {
    const part = await fetchChats(1, from.cursor);
    if (further.value === from) return merge(part, from.below, before, false);
  } catch {
    // Whoever looks at the end of the list, or for a chat, asks again when this is another object.
    setTimeout(() => { if (further.value === from) further.value = { ...from }; }, spread(AGAIN_MS));
  }
  // The list was loaded anew meanwhile: it goes on elsewhere.
  if (further.value !== from) return nextPart();
}

/** Messages of chats that were not in the list yet: who wrote them is known when it has been loaded. */
const newcomers: Message[] = [];
/** Chats that events told of and that were not in the list. */
const missing = new Set<string>();
onReset(() => {
  newcomers.length = 0;
  missing.clear();
});

/** Loads the list because of a chat that is not in it: what has just happened there has it on the first page. */
export function reloadFor(chat_id: string): void {
  missing.add(chat_id);
  reloadSoon({ top: true });
}

/** The same because of a message, and tells of it then. */
export function reloadForNews(message: Message): void {
  newcomers.push(message);
  reloadFor(message.chat_id);
}

/** Loads as much of the list as has this chat, of which only the server can say what is unread. */
export function recount(chat_id: string): void {
  reloadSoon({ top: chatList.value.slice(0, PAGE).some((chat) => chat.chat_id === chat_id) });
}

/** Loads the list, once for all who ask within a short time or while it is being loaded, and again later if it can't be had
 * now. */
export function reloadSoon({ delay = 150, top = false } = {}): void {
  soonTop &&= top;
  soon ??= setTimeout(() => {
    soon = null;
    if (running.size > 0) due = true;
    else begin();
  }, delay);
}

function begin(): void {
  const wanted = { top: soonTop };
  soonTop = true;
  due = false;
  reload(wanted).catch((error: unknown) => {
    if (!identity.value || !(error instanceof ApiError) || !error.passing) return;
    reloadSoon({ delay: spread(Math.max(AGAIN_MS, (error.retryAfter ?? 0) * 1_000)), ...wanted });
  });
}

/** Gives the chat with somebody, which is made if need be; `null` when who has asked is not here any more. */
export async function chatWith(person: Profile): Promise<string | null> {
  const owner = me.value;
  const { chat_id, peer } = await startChat(person.user_id);
  if (me.value !== owner) return null;
  chats.value = opened(chats.value, chat_id, peer, Date.now(), mutedIn(preferences.value).has(chat_id));
  touch();
  void subscribe();
  return chat_id;
}
