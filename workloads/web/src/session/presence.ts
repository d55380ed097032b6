// Who is there: asks about the members of the chats, and says whether somebody is at this device.
import { ApiError } from '../api/problem';
import { ask, tell } from '../socket/connection';
import { present } from './events';
import type { Chat } from '../store/chats';
import { pauseOf } from '../store/waits';
import { chatList, current, link, me, presence, type Status } from './state';

/** What the server allows a socket to watch. */
const WATCHED_MAX = 200;
const HEARTBEAT_MS = 60_000;
/** Without a touch for so long, nobody sits there. */
const IDLE_MS = 5 * 60_000;

const watched = new Set<string>();
/** Who is watched no more. Until the server has said so they take room there. */
const leaving = new Set<string>();
/** Subscriptions that were refused in a row. */
let refused = 0;
let later: ReturnType<typeof setTimeout> | undefined;

/** Whom to watch: the member of the open chat, then those of the most recent ones. */
export function wantedPeers(list: readonly Chat[], open: string | null, self: string, most: number): string[] {
  const first = list.filter((chat) => chat.chat_id === open);
  const peers = [...first, ...list].map((chat) => chat.peer.user_id).filter((id) => id !== self);
  return [...new Set(peers)].slice(0, most);
}

/** Watches the members of the chats that matter most now and are not watched yet. */
export async function subscribe(): Promise<void> {
  // Who was refused comes back when the wait is over, with whom is wanted then.
  if (link.value !== 'online' || later !== undefined) return;
  const wanted = wantedPeers(chatList.value, current.value, me.value, WATCHED_MAX);
  const user_ids = wanted.filter((id) => !watched.has(id));
  if (user_ids.length === 0) return;
  const spare = [...watched].filter((id) => !wanted.includes(id));
  for (const id of spare.slice(0, Math.max(0, watched.size + user_ids.length - WATCHED_MAX))) leave(id);
  for (const id of user_ids) {
    leaving.delete(id);
    watched.add(id);
  }
  const gone = [...leaving];
  const mine = turn;
  try {
    if (gone.length > 0) {
      await ask('presence_unsubscribe', { user_ids: gone });
      if (mine !== turn) return;
      for (const id of gone) leaving.delete(id);
      // Somebody may be wanted again by now.
      unknown(gone.filter((id) => !watched.has(id)));
    }
    const before = presence.value;
    const answer = await ask<{ presence: { user_id: string; status: Status; last_active: string | null }[] }>('presence_subscribe', { user_ids });
    if (mine !== turn) return;
    // What was told of somebody meanwhile is newer.
    for (const one of answer.presence) if (presence.value.get(one.user_id) === before.get(one.user_id)) present(one);
    refused = 0;
  } catch (error) {
    if (mine !== turn) return;
    // The server may have them all the same.
    for (const id of user_ids) leave(id);
    refused += 1;
    later ??= setTimeout(() => {
      later = undefined;
      void subscribe();
    }, pauseOf(refused, error instanceof ApiError ? error.retryAfter : null));
  }
}

function leave(id: string): void {
  watched.delete(id);
  leaving.add(id);
}

/** Of these nothing is known any more. */
function unknown(user_ids: readonly string[]): void {
  const left = new Map(presence.value);
  for (const id of user_ids) left.delete(id);
  presence.value = left;
}

/** Counts connections. */
let turn = 0;

/** The socket is gone, and with it what was watched. Whoever was there may not be any more. */
export function unwatched(): void {
  turn += 1;
  refused = 0;
  clearTimeout(later);
  later = undefined;
  watched.clear();
  leaving.clear();
  presence.value = new Map();
}

let touched = Date.now();
let idle = false;

/** Whether somebody is at the device: the page is in front, and was used not long ago. */
export const heartbeat = (): void => tell('heartbeat', { active: document.visibilityState === 'visible' && !idle });

/** Says at once when that changes, and every minute while the page is in front. */
export function startHeartbeat(): void {
  const used = () => {
    touched = Date.now();
    if (!idle) return;
    idle = false;
    heartbeat();
  };
  for (const name of ['pointerdown', 'pointermove', 'keydown', 'wheel', 'focus']) window.addEventListener(name, used, { passive: true });
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') used();
    heartbeat();
  });
  setInterval(() => {
    if (document.visibilityState !== 'visible') return;
    idle = Date.now() - touched > IDLE_MS;
    heartbeat();
  }, HEARTBEAT_MS);
}
