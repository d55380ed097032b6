// Log-in to log-out: starts and stops everything that belongs to an account, in all tabs.
import { effect } from '@preact/signals';
import * as accounts from '../api/accounts';
import { forget, lapse, onEnded, release, stored, type Identity } from '../api/credentials';
import { pause } from '../api/patience';
import { ApiError } from '../api/problem';
import * as database from '../idb/database';
import { detach } from './cache';
import { flushDrafts } from './drafts';
import { start, stop } from './live';
import { loadAccount } from './profile';
import { deviceId, silence } from './push';
import { isMailed, route } from './route';
import { endedReason, identity, me, reset } from './state';

/** A store that could not be read is asked again after so long. */
const AGAIN_MS = 200;

const channel = 'BroadcastChannel' in window ? new BroadcastChannel('sentinel') : null;

/** Takes up the session that is kept here, if there is one. */
export async function begin(): Promise<void> {
  onEnded(() => void end('ended'));
  channel?.addEventListener('message', ({ data: news }: MessageEvent<'login' | 'logout'>) => {
    // Nobody is here who could leave. Of a store that can't be written, tabs would tell each other so without end.
    if (news === 'logout' && identity.value === null) return;
    // What this tab knows is of somebody who has left: it writes nothing more.
    stop();
    detach();
    // Nothing of theirs may keep the page from being loaded anew.
    reset();
    if (isMailed(route.value)) identity.value = null;
    // What a mail has led to stays until its reader goes on from there.
    effect(() => { if (!isMailed(route.value)) location.reload(); });
  });
  const known = await stored().catch(again).catch((error: unknown) => {
    console.warn('the browser could not tell who is logged in', error);
    return undefined;
  });
  if (known) return enter(known);
  // What can't be read may be of somebody who is logged in.
  if (known === null) await clean().catch(() => undefined);
  identity.value = null;
}

async function again(): Promise<Identity | null> {
  await pause(AGAIN_MS);
  return stored();
}

/** Removes what another tab wrote after the log-out. What was not sent stays when the session ended by itself. */
async function clean(): Promise<void> {
  const owner = await database.get<string>('session', 'owner');
  await database.clear(owner ? ['chats', 'messages', 'meta'] : ['chats', 'messages', 'meta', 'outbox', 'drafts']);
}

async function enter(who: Identity): Promise<void> {
  reset();
  endedReason.value = null;
  identity.value = who;
  await start();
  loadAccount().catch(() => undefined);
}

export async function login(username: string, password: string): Promise<void> {
  const who = await accounts.login(username, password);
  channel?.postMessage('login');
  await enter(who);
}

export async function register(username: string, password: string, email: string): Promise<void> {
  const who = await accounts.register(username, password, email);
  channel?.postMessage('login');
  await enter(who);
}

/** Forgets everything at once, then tells the server. If it can't be told, the session ends there by its age. */
export async function logout(): Promise<void> {
  stop();
  detach();
  const device_id = await deviceId().catch(() => undefined);
  const tell = await release();
  leave(null);
  silence().catch((error: unknown) => console.warn('the browser may go on to show notifications', error));
  void farewell(tell, device_id);
}

async function farewell(tell: (method: string, path: string) => Promise<void>, device_id: string | undefined): Promise<void> {
  // First, for after it the token is good for nothing.
  if (device_id) await tell('DELETE', `/notifications/devices/${device_id}`).catch(() => undefined);
  await tell('POST', '/logout').catch((error: unknown) => {
    // It was over already.
    if (error instanceof ApiError && error.status === 401) return;
    console.warn('the server could not be told of the log-out', error);
  });
}

export async function deleteAccount(password: string): Promise<void> {
  const owner = me.value;
  await accounts.deleteAccount(password);
  // The session may be over before the answer is here, and somebody else have logged in.
  if (identity.value && me.value !== owner) return;
  stop();
  await forget();
  leave('deleted');
  silence().catch(() => undefined);
}

/** The server says that the session is over. */
async function end(reason: 'ended'): Promise<void> {
  if (!identity.value) return;
  const written = flushDrafts();
  stop();
  await written;
  await lapse();
  leave(reason);
  silence().catch(() => undefined);
}

function leave(reason: 'ended' | 'deleted' | null): void {
  detach();
  reset();
  endedReason.value = reason;
  identity.value = null;
  channel?.postMessage('logout');
  // A new password ends sessions, also that of the page which says that it is set.
  if (!isMailed(route.value)) location.hash = '#/';
}
