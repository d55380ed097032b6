// Log-in to log-out: starts and stops everything that belongs to an account, in all tabs.
import * as accounts from '../api/accounts';
import { lapse, onEnded, stored, type Identity } from '../api/credentials';
import { detach } from './cache';
import { start, stop } from './live';
import { unsubscribe } from './push';
import { account, endedReason, identity, reset } from './state';

const channel = 'BroadcastChannel' in window ? new BroadcastChannel('sentinel') : null;

/** Takes up the session that is kept here, if there is one. */
export async function begin(): Promise<void> {
  onEnded(() => void end('ended'));
  channel?.addEventListener('message', () => location.reload());
  const known = await stored().catch(() => null);
  if (known) await enter(known);
  else identity.value = null;
}

async function enter(who: Identity): Promise<void> {
  reset();
  endedReason.value = null;
  identity.value = who;
  await start();
  accounts.me().then((mine) => { account.value = mine; }, () => undefined);
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

/** The user is logging out: if the session turns out to be over already, that is no news. */
let leaving = false;

export async function logout(): Promise<void> {
  leaving = true;
  try {
    stop();
    await unsubscribe().catch(() => undefined);
    await accounts.logout();
    leave(null);
  } finally {
    leaving = false;
  }
}

export async function deleteAccount(password: string): Promise<void> {
  await accounts.deleteAccount(password);
  stop();
  leave('deleted');
}

/** The server says that the session is over. */
async function end(reason: 'ended'): Promise<void> {
  if (!identity.value || leaving) return;
  stop();
  await lapse();
  leave(reason);
}

function leave(reason: 'ended' | 'deleted' | null): void {
  detach();
  reset();
  endedReason.value = reason;
  identity.value = null;
  channel?.postMessage('logout');
  location.hash = '#/';
}
