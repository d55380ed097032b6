// From the first connect to the last: catches up with `sync` whenever the connection is back, then follows live.
import { batch } from '@preact/signals';
import * as socket from '../socket/connection';
import { search } from '../api/messages';
import { ApiError } from '../api/problem';
import type { SyncPage } from '../api/types';
import { loadBlocks } from './blocks';
import { drop, flush, restore } from './cache';
import { beginDrafts, endDrafts } from './drafts';
import { apply } from './events';
import * as expiry from './expiry';
import { loadNewest } from './history';
import { reload, reloadSoon } from './listing';
import { loadPreferences, renewQuietHours } from './preferences';
import { renewPush } from './push';
import { loadAccount } from './profile';
import { heartbeat, subscribe, unwatched } from './presence';
import { confirmSoon } from './reading';
import { restoreOutbox } from './outbox';
import { resume } from './sending';
import { account, announce, chats, current, identity, lacks, link, listed, me, messageBytes, setTimeline, timelines, typing } from './state';
import { strings } from '../i18n/en';
import { BYTES_MAX } from '../store/text';
import { spread } from '../store/waits';
import { isNews, messageToast, notified, readByItself, serverTells } from './toasts';
import { zone } from './today';

/** Fan-out is best effort: now and then what the server keeps is compared with what came by itself. */
const REPAIR_MS = 60_000;
const PAGE = 100;
/** When a server is started anew, all who were connected come at once: what `sync` does not bring they ask for within this time. */
const RENEW_WITHIN_MS = 4_000;
const AGAIN_MS = 3_000;

let since: string | null = null;
/** The token of the last connect. */
let newest: string | null = null;
let first = true;
/** Counts connections, so that what an old one still does is recognised. */
let turn = 0;
/** Whether a connection is here for which what comes once after catching up has not been done yet. */
let fresh = false;
interface Syncing {
  readonly turn: number;
  readonly done: Promise<void>;
}
let syncing: Syncing | null = null;
let repair: ReturnType<typeof setInterval> | null = null;
let renewal: ReturnType<typeof setTimeout> | undefined;

/** Shows what is kept, then connects. */
export async function start(): Promise<void> {
  const mine = turn;
  const kept = await restore().catch(() => null);
  for (const takeUp of [restoreOutbox, beginDrafts, expiry.begin]) {
    // Whoever it is of may have left while the browser's store was read.
    if (mine !== turn) return;
    await takeUp().catch(() => undefined);
  }
  if (mine !== turn) return;
  batch(() => {
    if (kept) {
      chats.value = kept.chats;
      timelines.value = kept.timelines;
      listed.value = kept.chats.size > 0;
      expiry.forget();
    }
    link.value = 'connecting';
  });
  since = kept?.token ?? null;
  first = true;
  fresh = false;
  socket.open({ ready, lost, event: happened, notification, notifying: (on) => { serverTells.value = on; } });
  repair = setInterval(() => void catchUp(), REPAIR_MS);
  window.addEventListener('online', back);
  window.addEventListener('offline', lost);
  document.addEventListener('visibilitychange', onVisible);
}

export function stop(): void {
  turn += 1;
  clearTimeout(renewal);
  endDrafts();
  expiry.end();
  if (repair !== null) clearInterval(repair);
  repair = null;
  since = null;
  // The next user does not wait for what is left of it.
  syncing = null;
  window.removeEventListener('online', back);
  window.removeEventListener('offline', lost);
  document.removeEventListener('visibilitychange', onVisible);
  socket.close();
  // It is not heard of any more, also not that it is lost.
  unwatched();
}

let waiting: [string, unknown][] = [];

/** Applies what comes in a burst at once: the page is drawn once. */
function happened(name: string, data: unknown): void {
  if (waiting.push([name, data]) > 1) return;
  setTimeout(() => {
    const events = waiting;
    waiting = [];
    if (identity.value) batch(() => events.forEach(([event, payload]) => apply(event, payload, true)));
  }, 8);
}

/** The browser has a network again. The link may have outlived the time without one. */
function back(): void {
  if (!socket.connected()) return socket.hurry();
  online();
  void followUp();
}

function onVisible(): void {
  if (document.visibilityState !== 'visible') return;
  if (socket.connected()) void catchUp();
  else socket.hurry();
}

/** Who has heard that the connection was lost hears that it is back, too. */
function online(): void {
  if (link.value === 'offline') announce(strings.online);
  link.value = 'online';
}

function lost(): void {
  if (socket.connected() && navigator.onLine) return;
  turn += 1;
  batch(() => {
    if (link.value === 'online') announce(strings.offline);
    link.value = 'offline';
    typing.value = new Set();
  });
  unwatched();
}

async function ready(hello: socket.Ready): Promise<void> {
  turn += 1;
  clearTimeout(renewal);
  online();
  heartbeat();
  newest = hello.sync_token;
  since ??= newest;
  messageBytes.value = hello.limits.message_bytes ?? BYTES_MAX;
  expiry.keepFor(hello.limits.message_retention_seconds ?? null);
  fresh = true;
  await followUp();
}

/** Catches up, then does what needs a connection. What a connection is there for once is left to `back` if the network was
 * away meanwhile and the link outlived it: no other `ready` comes. */
async function followUp(): Promise<void> {
  const mine = turn;
  await catchUp();
  if (mine !== turn) return;
  if (fresh) {
    if (first) {
      renew(!account.value);
      detect();
    } else renewal = setTimeout(() => renew(true), Math.random() * RENEW_WITHIN_MS);
    first = false;
  }
  fresh = false;
  void subscribe();
  confirmSoon();
  // Another tab may have left something that it could not send.
  await restoreOutbox().catch(() => undefined);
  if (mine === turn) resume();
}

/** Loads what other devices may have changed and no event tells of: names, mutes, blocks, how one wants to be told. */
function renew(mine: boolean): void {
  reload({ top: true }).catch(() => reloadSoon({ delay: spread(AGAIN_MS), top: true }));
  loadBlocks().catch(() => undefined);
  compareClocks();
  // A page has asked for it when it was opened.
  if (mine) loadAccount().catch(() => undefined);
}

/** Quiet hours go by another clock when this device has travelled. */
function compareClocks(): void {
  const owner = me.value;
  loadPreferences().then(() => (me.value === owner ? renewQuietHours() : undefined)).catch(() => undefined);
}

// Who travels may stay connected. Without a connection it is for the next one.
zone.subscribe(() => { if (identity.value && link.value === 'online') compareClocks(); });

/** Finds out which features this server has, so that none is offered in vain. */
function detect(): void {
  renewPush().catch(() => undefined);
  search({ q: 'aa', limit: 1 }).catch((error: unknown) => {
    if (error instanceof ApiError && error.absent) lacks('search');
  });
}

/** Applies everything since the last time. */
export function catchUp(): Promise<void> {
  if (syncing?.turn === turn) return syncing.done;
  const mine = turn;
  // What runs for a connection that is over brings nothing more: it only has to end.
  const done = (syncing?.done ?? Promise.resolve())
    .then(() => pages(mine))
    .catch((error: unknown) => console.warn('catching up did not work yet', error))
    .finally(() => { if (syncing === one) syncing = null; });
  const one: Syncing = { turn, done };
  syncing = one;
  return done;
}

async function pages(mine: number): Promise<void> {
  for (let more = true; more && mine === turn && since !== null && socket.connected(); ) {
    let page: SyncPage;
    try {
      page = await socket.ask<SyncPage>('sync', { since, limit: PAGE });
    } catch (error) {
      if (error instanceof ApiError && error.code === 'rate_limited' && error.retryAfter !== null) {
        const seconds = error.retryAfter;
        await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
        continue;
      }
      if (mine !== turn) return;
      // A token that this server does not know: its data are not those of the last time.
      if (!(error instanceof ApiError) || error.code !== 'invalid_cursor' || since === newest) throw error;
      if (await anew(mine)) since = newest;
      continue;
    }
    if (mine !== turn) return;
    if (page.reset && !(await anew(mine))) return;
    batch(() => page.events.forEach(({ event, data }) => apply(event, data, false)));
    since = page.next;
    more = page.more;
    await flush(page.next);
  }
}

/** Too much has happened to tell: all that was kept goes, and the chats are loaded again. Gives whether the connection is
 * still the one for which this was begun; if not, the next one is told the same again. */
async function anew(mine: number): Promise<boolean> {
  const open = current.value;
  batch(() => {
    for (const chat_id of timelines.value.keys()) setTimeline(chat_id, null);
  });
  await drop();
  if (mine !== turn) return false;
  await reload({ anew: true }).catch(() => reloadSoon({ delay: spread(AGAIN_MS) }));
  if (open && mine === turn) await loadNewest(open, true).catch(() => undefined);
  return mine === turn;
}

interface Notification {
  notification_id: string;
  kind: string;
  header: string;
  body?: string;
  chat_id?: string;
  message_id?: string;
}

function notification(name: string, data: unknown): void {
  if (name === 'notification_read') return readByItself((data as Pick<Notification, 'notification_id'>).notification_id);
  if (name !== 'notification') return;
  const { notification_id, header, body, chat_id, message_id } = data as Notification;
  if (!isNews(notification_id)) return;
  notified.value += 1;
  messageToast(header, body ?? '', chat_id ?? null, message_id ?? null);
}

