// Calls about accounts: log-in, profile, sessions, blocks, people.
import { adopt, call, type Identity } from './credentials';
import { query, send } from './http';
import { ApiError } from './problem';
import type { Account, Block, Profile, Session, Tokens } from './types';

/** The name whose registration was asked for last and not answered: it may have been made all the same. */
let unanswered: string | null = null;

/** Registers. After a try whose answer was lost, the name may be taken by that try: then its password logs in. */
export async function register(username: string, password: string, email: string): Promise<Identity> {
  let tokens: Tokens;
  try {
    tokens = await send<Tokens>('POST', '/register', { body: { username, password, email } });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 0 || error.status >= 500) unanswered = username;
    if (error.status !== 409 || unanswered !== username) throw error;
    try {
      return await login(username, password);
    } catch (refused) {
      // Somebody else's name after all. Any other fault is told as what it is: another try may work.
      throw refused instanceof ApiError && refused.status === 401 ? error : refused;
    }
  }
  unanswered = null;
  return adopt(tokens);
}

export async function login(username: string, password: string): Promise<Identity> {
  return adopt(await send<Tokens>('POST', '/login', { body: { username, password } }));
}

export const me = () => call<Account>('GET', '/me');
export const rename = (display_name: string) => call<Account>('PATCH', '/me', { body: { display_name } });
export const changePassword = (current_password: string, new_password: string) =>
  call<void>('POST', '/password', { body: { current_password, new_password } });

export const deleteAccount = (password: string) => call<void>('DELETE', '/me', { body: { password } });

/** All of a list that comes in pages. */
async function all<Name extends string, Entry>(name: Name): Promise<Entry[]> {
  const found: Entry[] = [];
  let cursor: string | null | undefined;
  do {
    const after: string = cursor ? `&cursor=${encodeURIComponent(cursor)}` : '';
    const page = await call<Record<Name, Entry[]> & { next_cursor?: string | null }>('GET', `/${name}?limit=100${after}`);
    found.push(...page[name]);
    cursor = page.next_cursor;
  } while (cursor);
  return found;
}

export const sessions = () => all<'sessions', Session>('sessions');
export const endSession = (id: string) => call<void>('DELETE', `/sessions/${id}`);

export const blocks = () => all<'blocks', Block>('blocks');
export const block = (id: string) => call<void>('PUT', `/users/${id}/block`);
export const unblock = (id: string) => call<void>('DELETE', `/users/${id}/block`);

/** As many as are found at once. */
export const FOUND_MAX = 20;

export const find = async (prefix: string, signal?: AbortSignal) =>
  (await call<{ users: Profile[] }>('GET', `/users/search${query({ prefix, limit: FOUND_MAX })}`, signal ? { signal } : {})).users;

/** Has a mail sent with a link to choose a new password, if there is such an account. */
export const forgotPassword = (email: string) => send<void>('POST', '/password/forgot', { body: { email } });
export const resetPassword = (token: string, new_password: string) => send<void>('POST', '/password/reset', { body: { token, new_password } });
export const verifyEmail = (token: string) => send<void>('POST', '/email/verify', { body: { token } });
export const sendVerification = () => call<void>('POST', '/email/verification');

export const REASONS = ['spam', 'harassment', 'illegal', 'impersonation', 'other'] as const;
export type Reason = (typeof REASONS)[number];

/** What is reported: somebody, or one message and who wrote it. */
export type Reported = { user_id: string } | { chat_id: string; message_id: string; include_message: boolean };

export const report = (what: Reported, reason: Reason, comment: string) =>
  call<unknown>('POST', '/reports', { body: { ...what, reason, ...(comment === '' ? {} : { comment }) } });
