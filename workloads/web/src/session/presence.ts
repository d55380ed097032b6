// Who is there: asks about the members of the chats, and says whether somebody is at this device.
import { ask, tell } from '../socket/connection';
import { present } from './events';
import { chatList, link, me, presence, type Status } from './state';

/** What the server allows a socket to watch. */
const WATCHED_MAX = 200;
const HEARTBEAT_MS = 60_000;

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

/** Says at once and then every minute whether the page is in front of somebody. */
export function startHeartbeat(): void {
  const beat = () => tell('heartbeat', { active: document.visibilityState === 'visible' });
  document.addEventListener('visibilitychange', beat);
  setInterval(() => {
    if (document.visibilityState === 'visible') beat();
  }, HEARTBEAT_MS);
}

export const heartbeat = (): void => tell('heartbeat', { active: document.visibilityState === 'visible' });
