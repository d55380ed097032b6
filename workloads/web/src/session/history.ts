// Brings the history of chats to the screen: the newest page, older and newer ones, the surroundings of one message.
import { history, type Where } from '../api/messages';
import { ApiError } from '../api/problem';
import type { Message, MessagePage } from '../api/types';
import { advanceBy, unseenAbove } from '../store/receipts';
import { extended, left, refreshed, union, type Timeline } from '../store/timeline';
import { touch } from './cache';
import { meanwhile, type Meanwhile } from './meanwhile';
import { order, type Order } from './order';
import { arrived } from './outbox';
import { chats, me, onReset, setTimeline, timelines } from './state';

const PAGE = 50;
/** Messages of a chat that stay in memory when it is left. */
const KEPT = 100;
/** Messages of the open chat above which those are let go that its reader, at the end, has long left behind. */
const MANY = 400;
const ENOUGH = 200;

interface Asking {
  readonly parts: Meanwhile<Timeline>;
  /** To which place its reader turned last: what is there of another one when that has come is not shown. */
  readonly place: Order;
  /** Whether its reader wanted to get from the past to the newest message, which has not worked yet. */
  toEnd: boolean;
}

/** What is asked of each chat. */
const asking = new Map<string, Asking>();
/** One load of a kind at a time for each chat. */
const loading = new Map<string, Promise<unknown>>();
onReset(() => {
  asking.clear();
  loading.clear();
});

function askingOf(chat_id: string): Asking {
  const one = asking.get(chat_id) ?? { parts: meanwhile(), place: order(), toEnd: false };
  asking.set(chat_id, one);
  return one;
}

/** Changes what is on screen of a chat; a part of it that is on its way, too, when it comes: it may be older. */
export function amend(chat_id: string, change: (timeline: Timeline) => Timeline): void {
  const timeline = timelines.value.get(chat_id);
  if (timeline) setTimeline(chat_id, change(timeline));
  asking.get(chat_id)?.parts.happened(change);
}

interface Part {
  page: MessagePage;
  /** Shows a timeline that has the page, as it is by now. */
  show: (timeline: Timeline) => void;
}

/** Asks for a part of a chat. */
async function part(chat_id: string, where: Where): Promise<Part> {
  const mine = askingOf(chat_id);
  const { answer: page, repeat } = await mine.parts.ask(() => history(chat_id, where));
  const show = (timeline: Timeline): void => {
    // Whoever asked has logged out.
    if (asking.get(chat_id) !== mine) return;
    setTimeline(chat_id, repeat(timeline));
    learn(chat_id, page.messages);
  };
  return { page, show };
}

function once<T>(key: string, load: () => Promise<T>): Promise<T> {
  const running = loading.get(key) as Promise<T> | undefined;
  if (running) return running;
  const started = load().finally(() => { if (loading.get(key) === started) loading.delete(key); });
  loading.set(key, started);
  return started;
}

/** Messages of one's own say how far the other member has got, and that they are no longer on their way. */
function learn(chat_id: string, messages: readonly Message[]): void {
  messages.forEach(arrived);
  const chat = chats.value.get(chat_id);
  if (!chat) return;
  let { theirs } = chat;
  for (const message of messages) if (message.sender_id === me.value) theirs = advanceBy(theirs, message);
  if (theirs !== chat.theirs) chats.value = new Map(chats.value).set(chat_id, { ...chat, theirs });
}

/** The newest messages. What is on screen already is joined to them, unless it is somewhere in the past: from there they are
 * turned to only when their reader wants it (`force`), and then by each further load, until one has worked. */
export function loadNewest(chat_id: string, force = false): Promise<void> {
  const of = askingOf(chat_id);
  if (force) of.toEnd = true;
  const turns = force || isTurning(chat_id);
  return once(`newest ${chat_id}${turns ? ', from wherever one is' : ''}`, async () => {
    const isThere = turns ? of.place.ask() : () => true;
    const { page, show } = await part(chat_id, { limit: PAGE });
    const known = timelines.value.get(chat_id);
    if ((known?.newer && !turns) || !isThere()) return;
    of.toEnd = false;
    show(refreshed(turns ? undefined : known, page.messages, page.next_cursor != null));
    touch();
  });
}

/** Whether the past is on screen of a reader who wanted to get to the newest message. */
export const isTurning = (chat_id: string): boolean =>
  (asking.get(chat_id)?.toEnd ?? false) && (timelines.value.get(chat_id)?.newer ?? false);

export function loadOlder(chat_id: string): Promise<void> {
  return once(`older ${chat_id}`, async () => {
    const first = timelines.value.get(chat_id)?.messages[0];
    if (!first) return;
    const { page, show } = await part(chat_id, { limit: PAGE, before: first.message_id });
    const known = timelines.value.get(chat_id);
    if (!known || known.messages[0]?.message_id !== first.message_id) return;
    show(extended(known, page.messages, { older: page.next_cursor != null && page.messages.length > 0 }));
    touch();
  });
}

/** Pages of unread messages that are loaded when a chat is opened; there may be more. */
const UNREAD_PAGES = 10;

/** Loads older messages until all that are unread are there, or many. */
export async function loadUnread(chat_id: string): Promise<void> {
  for (let page = 0; page < UNREAD_PAGES; page += 1) {
    const chat = chats.value.get(chat_id);
    const timeline = timelines.value.get(chat_id);
    if (!chat || !unseenAbove(timeline, chat.mine.read, chat.unread, me.value)) return;
    await loadOlder(chat_id);
    // Somebody else changed it meanwhile.
    if (timelines.value.get(chat_id) === timeline) return;
  }
}

export function loadNewer(chat_id: string): Promise<void> {
  return once(`newer ${chat_id}`, async () => {
    const last = timelines.value.get(chat_id)?.messages.at(-1);
    if (!last) return;
    const { page, show } = await part(chat_id, { limit: PAGE, after: last.message_id });
    const known = timelines.value.get(chat_id);
    if (!known || known.messages.at(-1)?.message_id !== last.message_id) return;
    show(extended(known, page.messages, { newer: page.prev_cursor != null && page.messages.length > 0 }));
  });
}

/** Has a message on screen, with what surrounds it, unless its reader turns elsewhere meanwhile. Gives whether it exists, if
 * that still matters. */
export async function loadAround(chat_id: string, message_id: string): Promise<boolean> {
  const of = askingOf(chat_id);
  of.toEnd = false;
  if (isShown(chat_id, message_id)) {
    of.place.changed();
    return true;
  }
  return once(`around ${message_id}`, async () => {
    const isThere = of.place.ask();
    let around: Part;
    try {
      around = await part(chat_id, { limit: PAGE, around: message_id });
    } catch (error) {
      if (error instanceof ApiError && (error.status === 404 || error.status === 400)) return !isThere();
      throw error;
    }
    const { page, show } = around;
    if (!isThere()) return true;
    show({ messages: union([], page.messages), older: page.next_cursor != null, newer: page.prev_cursor != null });
    return page.messages.some((message) => message.message_id === message_id);
  });
}

export const isShown = (chat_id: string, message_id: string): boolean =>
  timelines.value.get(chat_id)?.messages.some((message) => message.message_id === message_id) ?? false;

/** The reader is at the end of the chat. */
export function trim(chat_id: string): void {
  const timeline = timelines.value.get(chat_id);
  if (timeline && !timeline.newer && timeline.messages.length > MANY) setTimeline(chat_id, left(timeline, ENOUGH));
}

/** The chat is no longer on screen. */
export function leave(chat_id: string): void {
  const timeline = timelines.value.get(chat_id);
  if (!timeline) return;
  const kept = left(timeline, KEPT);
  if (kept !== timeline) setTimeline(chat_id, kept);
}
