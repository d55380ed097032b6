// What the page shows, as signals. Only the modules beside this one change them, by the pure functions of `store`.
import { computed, signal } from '@preact/signals';
import type { Identity } from '../api/credentials';
import type { Account } from '../api/types';
import { sorted, unreadOf, type Chats } from '../store/chats';
import type { Outbox } from '../store/outbox';
import { BYTES_MAX } from '../store/text';
import type { Timeline } from '../store/timeline';

/** Who is logged in; `undefined` until the browser's store has been read, `null` when nobody is. */
export const identity = signal<Identity | null | undefined>(undefined);
export const account = signal<Account | null>(null);
/** Whether a mail can be had that confirms the account's address. */
export const unconfirmed = computed(() => account.value?.mail_enabled === true && !account.value.email_verified);
export const me = computed(() => identity.value?.user_id ?? '');

/** Why the log-in page is shown although somebody was logged in. */
export const endedReason = signal<'ended' | 'deleted' | null>(null);

export type Link = 'connecting' | 'online' | 'offline';
export const link = signal<Link>('connecting');
/** Whether the list of chats has come from the server or the cache. */
export const listed = signal(false);

export const chats = signal<Chats>(new Map());
export const chatList = computed(() => sorted(chats.value));
export const unread = computed(() => unreadOf(chats.value));

export const timelines = signal<ReadonlyMap<string, Timeline>>(new Map());
export const timelineOf = (chat_id: string): Timeline | undefined => timelines.value.get(chat_id);
export const outbox = signal<Outbox>([]);
/** How many bytes a message's text may have, as the server says. */
export const messageBytes = signal(BYTES_MAX);

export type Status = 'online' | 'away' | 'offline';
export interface Presence {
  readonly status: Status;
  readonly last_active: string | null;
}
export const presence = signal<ReadonlyMap<string, Presence>>(new Map());

/** Chats whose other member is typing. */
export const typing = signal<ReadonlySet<string>>(new Set());
export const isTyping = (chat_id: string): boolean => typing.value.has(chat_id);

export const blocked = signal<ReadonlySet<string>>(new Set());

/** The chat on screen. */
export const current = signal<string | null>(null);
/** Up to which message a chat can be seen. While one turns to another chat, it may be that of the other one already. */
export const visibleUpTo = signal<{ readonly chat_id: string; readonly message_id: string | null } | null>(null);
/** The chat whose reader chose to go on at its end, with unread messages above that were not even loaded. */
export const skipped = signal<string | null>(null);
/** Whether somebody can be looking at the page. */
export const watching = signal(false);

/** What this server has. Features are there until an answer says that they are not. */
export const features = signal({ search: true, notifications: true, media: true, push: false, reports: true });
export const lacks = (feature: keyof typeof features.value): void => {
  if (features.value[feature]) features.value = { ...features.value, [feature]: false };
};

/** What screen readers say as it is added, one after another, the same again too. */
export const announcements = signal<readonly { readonly key: number; readonly text: string }[]>([]);
/** As many as stay in the page. */
const ANNOUNCED = 20;
let announced = 0;

export function announce(text: string): void {
  announced += 1;
  announcements.value = [...announcements.value, { key: announced, text }].slice(-ANNOUNCED);
}

export function setTimeline(chat_id: string, timeline: Timeline | null): void {
  const next = new Map(timelines.value);
  if (timeline) next.set(chat_id, timeline);
  else next.delete(chat_id);
  timelines.value = next;
}

const resets: (() => void)[] = [];

/** For modules that keep something of an account themselves: how to forget it. */
export function onReset(forget: () => void): void {
  resets.push(forget);
}

/** Back to what a page is when it has just been opened: the next user of the tab finds nothing of the last one. */
export function reset(): void {
  account.value = null;
  listed.value = false;
  chats.value = new Map();
  timelines.value = new Map();
  outbox.value = [];
  presence.value = new Map();
  typing.value = new Set();
  blocked.value = new Set();
  current.value = null;
  visibleUpTo.value = null;
  skipped.value = null;
  announcements.value = [];
  for (const forget of resets) forget();
}
