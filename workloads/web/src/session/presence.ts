// Who is there: asks about the members of the chats, and says whether somebody is at this device.
import { ask, tell } from '../socket/connection';
import { present } from './events';
import { chatList, link, me, presence, type Status } from './state';

/** What the server allows a socket to watch. */
const WATCHED_MAX = 200;
const HEARTBEAT_MS = 60_000;
/** Without a touch for so long, nobody sits there. */
const IDLE_MS = 5 * 60_000;

const watched = new Set<string>();

/** Watches the members of the most recent chats that are not watched yet. */
export async function subscribe(): Promise<void> {
  const wanted = chatList.value.map((chat) => chat.peer.user_id).filter((id) => id !== me.value && !watched.has(id));
  const user_ids = [...new Set(wanted)].slice(0, WATCHED_MAX - watched.size);
  if (user_ids.length === 0 || link.value !== 'online') return;
  for (const id of user_ids) watched.add(id);
  try {
    const answer = await ask<{ presence: { user_id: string; status: Status; last_active: string | null }[] }>('presence_subscribe', { user_ids });
    answer.presence.forEach(present);
  } catch {
    for (const id of user_ids) watched.delete(id);
  }
}

/** The socket is gone, and with it what was watched. Whoever was there may not be any more. */
export function unwatched(): void {
  watched.clear();
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
