// Who is logged in here. Both tokens are in IndexedDB, shared by all tabs; the refresh token is used by one tab at a
// time, and as seldom as can be: whoever loses its answer has a token that was used.
import * as database from '../idb/database';
import { pauseOf } from '../store/waits';
import { send, type Call } from './http';
import { pause } from './patience';
import { ApiError } from './problem';
import type { Tokens } from './types';

export interface Identity {
  user_id: string;
  username: string;
}

interface Stored extends Identity {
  refresh_token: string;
  access_token: string;
  /** Until when the access token is good, in milliseconds since 1970. */
  until: number;
}

/** A token is renewed when it has less than this left. */
const RENEW_BEFORE_MS = 30_000;
/** The server takes a used refresh token for 30 s more: a renewal whose answer is lost is repeated within that time. The last
 * repeat begins so long after the first try, and ends in time, too. */
const REPEAT_MS = 20_000;
const RENEW_MS = 8_000;
/** For so long a server is told that a session is over. */
const FAREWELL_MS = 10_000;
/** With these codes (and 401) the server says that a session is over. Any other refusal may come from what is between us
 * and it: a portal that wants a log-in of its own, a firewall. */
const OVER = new Set(['invalid_refresh_token', 'refresh_expired', 'refresh_reused']);

let held: Stored | null = null;
/** The refresh token in the place of which `held` could not be written; the browser's store still has it. */
let unwritten: { replaced: string | undefined } | null = null;
/** Counts sessions of this page, so that the end of an old one's renewal does not bring it back. */
let turn = 0;
/** Ends with each of them: what waits to renew it waits no more. */
let left = new AbortController();
let refreshing: Promise<string> | null = null;
let ended: (() => void) | null = null;

/** Names who is told that the session is over because the server said so. */
export function onEnded(listener: () => void): void {
  ended = listener;
}

/** Who was logged in when this browser was last used. */
export async function stored(): Promise<Identity | null> {
  const session = await newest();
  return session ? { user_id: session.user_id, username: session.username } : null;
}

/** The session as the last tab left it that renewed it. */
async function newest(): Promise<Stored | null> {
  const stored = await database.get<Stored>('session', 'current');
  // What could not be written is newer, unless another tab has written since.
  if (held && unwritten && stored?.refresh_token === unwritten.replaced) return held;
  // A store that stopped working is no news of the session.
  if (!stored && held && database.failed()) return held;
  return stored ?? null;
}

/** Takes tokens and writes them. What can't be written is used as long as the page is open. */
async function keep(tokens: Tokens, replaced: string | undefined): Promise<void> {
  const { user_id, username, refresh_token, access_token } = tokens;
  held = { user_id, username, refresh_token, access_token, until: Date.now() + tokens.expires_in * 1000 };
  try {
    await database.put('session', 'current', held);
    unwritten = null;
  } catch (error) {
    unwritten ??= { replaced };
    console.warn('the session could not be kept for later', error);
  }
}

const good = (session: Stored): boolean => session.until - Date.now() > RENEW_BEFORE_MS;

/** Another session begins, or none. */
function turned(): void {
  turn += 1;
  left.abort();
  left = new AbortController();
}

/** Takes the tokens of a log-in. What another account left here is removed first. */
export async function adopt(tokens: Tokens): Promise<Identity> {
  const known = await database.get<Stored>('session', 'current');
  const previous = known?.user_id ?? (await database.get<string>('session', 'owner'));
  if (previous !== tokens.user_id) await database.clearAll();
  turned();
  unwritten = null;
  await keep(tokens, previous === tokens.user_id ? known?.refresh_token : undefined);
  return { user_id: tokens.user_id, username: tokens.username };
}

/** Forgets the session in memory. */
function drop(): void {
  turned();
  held = null;
  unwritten = null;
}

/** Forgets everything of this account, and gives what ends its session at the server: a call that is made with the
 * tokens that were here. */
export async function release(): Promise<(method: string, path: string) => Promise<void>> {
  const last = await newest().catch(() => held);
  await forget();
  let access = last && good(last) ? last.access_token : null;
  return async (method, path) => {
    if (!last) return;
    access ??= (await refreshed(last.refresh_token)).access_token;
    await send<void>(method, path, { token: access, keepalive: true, timeout: FAREWELL_MS });
  };
}

/** A store that can't be written, one that is full for instance, keeps nobody from leaving. */
const asFarAsCanBe = (written: Promise<void>): Promise<void> =>
  written.catch((error: unknown) => console.warn('the browser may still keep something of the last user', error));

/** Forgets everything of this account. */
export async function forget(): Promise<void> {
  drop();
  await asFarAsCanBe(database.clearAll());
}

/** The session is over though its user did not end it: messages not sent yet and drafts stay, for the same user to log in
 * again. */
export async function lapse(): Promise<void> {
  const session = await stored().catch(() => undefined);
  drop();
  // What can't be read stays: the next page that can hears the same from the server.
  if (session === undefined) return;
  const removed = Promise.all([
    asFarAsCanBe(database.remove('session', ['current'])),
    asFarAsCanBe(database.clear(['chats', 'messages', 'meta'])),
  ]);
  // At once, for the page may be closed; again when there is more room.
  const note = () => database.put('session', 'owner', session?.user_id);
  await Promise.all([removed, session && asFarAsCanBe(note().catch(() => removed.then(note)))]);
}

/** Runs `work` in one tab at a time. Without locks (a page that is not secure) the server's grace of 30 s for a used
 * refresh token keeps tabs that race from ending their session. */
async function alone(work: () => Promise<string>): Promise<string> {
  return navigator.locks ? navigator.locks.request('sentinel-refresh', work) : work();
}

/** Asks for new tokens. An answer that is lost may have been given, also where something in between says that the server is
 * away: so the same is asked again, with growing waits, unless it is `gone` whom the tokens are for. */
async function refreshed(refresh_token: string, gone?: AbortSignal): Promise<Tokens> {
  const end = Date.now() + REPEAT_MS;
  for (let repeats = 0; ; repeats += 1) {
    try {
      return await send<Tokens>('POST', '/token/refresh', { body: { refresh_token }, timeout: RENEW_MS });
    } catch (error) {
      if (!(error instanceof ApiError) || !error.passing) throw error;
      const wait = pauseOf(repeats, error.retryAfter);
      if (Date.now() + wait > end) throw error;
      await pause(wait, gone);
      if (gone?.aborted) throw error;
    }
  }
}

/** Gives a token other than `refused`: one that another tab has renewed, or a new one. */
async function renew(refused: string | null): Promise<string> {
  const mine = turn;
  const gone = left.signal;
  return alone(async () => {
    const session = await newest();
    if (!session) {
      if (mine === turn) ended?.();
      throw new ApiError(401, 'logged_out', '');
    }
    if (session.access_token !== refused && good(session)) {
      if (mine === turn) held = session;
      return session.access_token;
    }
    try {
      const tokens = await refreshed(session.refresh_token, gone);
      if (mine !== turn || !(await newest())) throw new ApiError(401, 'logged_out', '');
      await keep(tokens, session.refresh_token);
      return tokens.access_token;
    } catch (error) {
      if (mine === turn && error instanceof ApiError && error.status === 401 && OVER.has(error.code)) {
        held = null;
        ended?.();
      }
      throw error;
    }
  });
}

/** An access token that is good now; `force` when the server did not take the last one. Callers that come while one is
 * being fetched get the same. */
export function token(force = false): Promise<string> {
  if (!force && held && good(held)) return Promise.resolve(held.access_token);
  refreshing ??= renew(force ? held?.access_token ?? null : null).finally(() => (refreshing = null));
  return refreshing;
}

/** Calls the server as the one who is logged in; a token that it no longer takes is renewed once. What somebody asked for who
 * has left is not asked for as whoever is here by then. */
export async function call<T>(
  method: string,
  path: string,
  options: Omit<Call, 'token'> = {},
): Promise<T> {
  const mine = turn;
  const own = async (force?: boolean): Promise<string> => {
    const known = await token(force);
    if (mine !== turn) throw new ApiError(401, 'logged_out', '');
    return known;
  };
  const first = await own();
  try {
    return await send<T>(method, path, { ...options, token: first });
  } catch (error) {
    // A wrong password is also a 401, and no token's fault.
    if (!(error instanceof ApiError) || error.status !== 401 || error.code === 'invalid_credentials') throw error;
    // Another call may have renewed it meanwhile.
    const next = await own(held?.access_token === first);
    return send<T>(method, path, { ...options, token: next });
  }
}
