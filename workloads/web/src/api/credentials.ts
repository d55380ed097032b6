// Who is logged in here. The access token stays in memory; the refresh token is in IndexedDB, shared by all tabs, and
// is used by one tab at a time.
import * as database from '../idb/database';
import { send } from './http';
import { ApiError } from './problem';
import type { Tokens } from './types';

export interface Identity {
  user_id: string;
  username: string;
}

interface Stored extends Identity {
  refresh_token: string;
}

/** A token is renewed when it has less than this left. */
const RENEW_BEFORE_MS = 30_000;
/** With these codes (and 401) the server says that a session is over. Any other refusal may come from what is between us
 * and it: a portal that wants a log-in of its own, a firewall. */
const OVER = new Set(['invalid_refresh_token', 'refresh_expired', 'refresh_reused']);

let access: { token: string; until: number } | null = null;
let refreshing: Promise<string> | null = null;
let ended: (() => void) | null = null;

/** Names who is told that the session is over because the server said so. */
export function onEnded(listener: () => void): void {
  ended = listener;
}

/** Who was logged in when this browser was last used. */
export async function stored(): Promise<Identity | null> {
  const session = await database.get<Stored>('session', 'current');
  return session ? { user_id: session.user_id, username: session.username } : null;
}

async function keep(tokens: Tokens): Promise<void> {
  access = { token: tokens.access_token, until: Date.now() + tokens.expires_in * 1000 };
  const { user_id, username, refresh_token } = tokens;
  await database.put('session', 'current', { user_id, username, refresh_token } satisfies Stored);
}

/** Takes the tokens of a log-in. What another account left here is removed first. */
export async function adopt(tokens: Tokens): Promise<Identity> {
  const previous = (await stored())?.user_id ?? (await database.get<string>('session', 'owner'));
  if (previous !== tokens.user_id) await database.clearAll();
  await keep(tokens);
  return { user_id: tokens.user_id, username: tokens.username };
}

/** Forgets everything of this account. */
export async function forget(): Promise<void> {
  access = null;
  await database.clearAll();
}

/** The session is over though its user did not end it: messages not sent yet stay, for the same user to log in again. */
export async function lapse(): Promise<void> {
  access = null;
  const session = await stored();
  if (session) await database.put('session', 'owner', session.user_id);
  await database.remove('session', ['current']);
  await database.clear(['chats', 'messages', 'meta']);
}

/** Runs `work` in one tab at a time. Without locks (a page that is not secure) the server's grace of 30 s for a used
 * refresh token keeps tabs that race from ending their session. */
async function alone(work: () => Promise<string>): Promise<string> {
  return navigator.locks ? navigator.locks.request('sentinel-refresh', work) : work();
}

async function renew(): Promise<string> {
  return alone(async () => {
    const session = await database.get<Stored>('session', 'current');
    if (!session) {
      ended?.();
      throw new ApiError(401, 'logged_out', '');
    }
    try {
      const tokens = await send<Tokens>('POST', '/token/refresh', { body: { refresh_token: session.refresh_token } });
      await keep(tokens);
      return tokens.access_token;
    } catch (error) {
      if (error instanceof ApiError && error.status === 401 && OVER.has(error.code)) {
        access = null;
        ended?.();
      }
      throw error;
    }
  });
}

/** An access token that is good now. Callers that come while one is being fetched get the same. */
export function token(force = false): Promise<string> {
  if (!force && access && access.until - Date.now() > RENEW_BEFORE_MS) return Promise.resolve(access.token);
  refreshing ??= renew().finally(() => (refreshing = null));
  return refreshing;
}

/** Calls the server as the one who is logged in; a token that it no longer takes is renewed once. */
export async function call<T>(
  method: string,
  path: string,
  options: { body?: unknown; signal?: AbortSignal; keepalive?: boolean } = {},
): Promise<T> {
  const first = await token();
  try {
    return await send<T>(method, path, { ...options, token: first });
  } catch (error) {
    // A wrong password is also a 401, and no token's fault.
    if (!(error instanceof ApiError) || error.status !== 401 || error.code === 'invalid_credentials') throw error;
    // Another call may have renewed it meanwhile.
    const next = await token(access?.token === first);
    return send<T>(method, path, { ...options, token: next });
  }
}
