import './page';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { adopt, forget, token } from '../src/api/credentials';
import * as database from '../src/idb/database';
import { drafts, flushDrafts, setDraft } from '../src/session/drafts';
import { apply } from '../src/session/events';
import { found, showFound } from '../src/session/found';
import { begin, deleteAccount, login, logout } from '../src/session/lifecycle';
import { stop } from '../src/session/live';
import { learn, media, want } from '../src/session/media';
import { loadPreferences, preferences } from '../src/session/preferences';
import { send } from '../src/session/sending';
import { account, announcements, chats, current, endedReason, identity, link, outbox, reset, unconfirmed } from '../src/session/state';
import { messageToast, toasts } from '../src/session/toasts';
import { addFiles, uploads } from '../src/session/uploads';
import { loaded } from '../src/store/chats';
import { ANN, BOB, CHAT, entry, idAt, message } from './sample';

vi.mock('../src/socket/connection', () => ({
  ask: vi.fn(), tell: () => undefined, connected: () => false, open: () => undefined, close: () => undefined, hurry: () => undefined,
}));
vi.stubGlobal('location', { hash: '' });

const USERS: Record<string, string> = { ann: ANN, bob: BOB };
const tokensOf = (username: string) => ({
  username, user_id: USERS[username]!, access_token: `access-${username}`, refresh_token: `refresh-${username}`, token_type: 'Bearer', expires_in: 900,
});
/** What a refresh is answered with. */
let refresh: () => Response;
const over = () => new Response(JSON.stringify({ code: 'invalid_refresh_token', detail: '' }), { status: 401 });

/** What was asked, and what was given up. */
const asked: string[] = [];
const aborted: string[] = [];
/** The answer to the details of files. */
let details: Promise<Response>;
/** What the server says of the account of whoever asks. */
let mine: object = {};
/** What the answer to a log-out, or to the end of an account, waits for. */
let slow: Promise<unknown> = Promise.resolve();

vi.stubGlobal('fetch', vi.fn(async (url: string, init: RequestInit) => {
  const path = new URL(url).pathname;
  asked.push(path);
  if (path === '/login') return new Response(JSON.stringify(tokensOf(JSON.parse(String(init.body)).username)));
  if (path === '/token/refresh') return refresh();
  if (path === '/media/details') return details;
  if (path === '/me' && init.method === 'DELETE') await slow;
  if (path === '/me') return new Response(JSON.stringify(mine));
  if (path === '/media/uploads') {
    return new Promise<Response>((_, reject) => {
      init.signal!.addEventListener('abort', () => { aborted.push(path); reject(init.signal!.reason); });
    });
  }
  if (path === '/logout') await slow;
  return path === '/logout' ? new Response('{"code":"session_ended","detail":""}', { status: 401 }) : new Response('{}');
}));

const texts = () => outbox.value.map((one) => one.message);
/** Ann has written something that could not be sent. */
async function annWroteOffline() {
  await adopt(tokensOf('ann'));
  await begin();
  link.value = 'offline';
  send({ chat_id: CHAT, message: 'from a tunnel' });
  await vi.waitFor(async () => expect(await database.all('outbox')).toHaveLength(1));
}
async function sessionEnds() {
  refresh = over;
  await expect(token(true)).rejects.toMatchObject({ code: 'invalid_refresh_token' });
  await vi.waitFor(() => expect(identity.value).toBeNull());
}

beforeEach(async () => {
  slow = Promise.resolve();
  mine = {};
  await forget();
  identity.value = undefined;
});
afterEach(stop);

test('a page of a network in place of an answer logs nobody out', async () => {
  await annWroteOffline();
  refresh = () => new Response('<html>Welcome to our network</html>', { status: 403 });
  await expect(token(true)).rejects.toMatchObject({ status: 403 });
  expect(identity.value?.user_id).toBe(ANN);
  expect(texts()).toEqual(['from a tunnel']);
  expect(await database.all('outbox')).toHaveLength(1);
});

test('a session that ends by itself leaves what was not sent to the same user', async () => {
  await annWroteOffline();
  await database.put('messages', CHAT, { chat_id: CHAT, messages: [], older: false });
  await sessionEnds();
  expect(endedReason.value).toBe('ended');
  expect(texts()).toEqual([]);
  expect(await database.all('messages')).toEqual([]);
  expect(JSON.stringify(await database.all('session'))).not.toContain('refresh-ann');
  await login('ann', 'secret');
  expect(texts()).toEqual(['from a tunnel']);
});

test('drafts are left to the same user by a session that ends by itself, also those of the last moment', async () => {
  await annWroteOffline();
  setDraft(CHAT, 'half a sentence');
  await sessionEnds();
  expect(drafts.value.size).toBe(0);
  await login('ann', 'secret');
  expect(drafts.value.get(CHAT)).toBe('half a sentence');
  await sessionEnds();
  await login('bob', 'secret');
  expect(drafts.value.size).toBe(0);
  expect(await database.all('drafts')).toEqual([]);
});

describe('a browser’s store that fails', () => {
  const failing = (...names: ('get' | 'put' | 'remove' | 'clear' | 'clearAll')[]) => {
    for (const name of names) vi.spyOn(database, name).mockRejectedValue(new Error('no room'));
  };
  beforeEach(() => { vi.spyOn(console, 'warn').mockImplementation(() => undefined); });
  afterEach(() => { vi.restoreAllMocks(); });

  test('being full, lets a session end, and keeps what was not sent for its owner', async () => {
    await annWroteOffline();
    const put = database.put;
    let full = true;
    vi.spyOn(database, 'put').mockImplementation(async (...what) => { if (full) throw new Error('no room'); return put(...what); });
    const clear = database.clear;
    vi.spyOn(database, 'clear').mockImplementation(async (stores) => { await clear(stores); full = false; });
    await sessionEnds();
    expect(endedReason.value).toBe('ended');
    expect(JSON.stringify(await database.all('session'))).not.toContain('refresh-ann');
    await login('ann', 'secret');
    expect(texts()).toEqual(['from a tunnel']);
  });

  test.each([[['put']], [['remove', 'clear', 'put']], [['get']]] as const)('lets a session end whatever fails: %s', async (names) => {
    await annWroteOffline();
    refresh = () => {
      failing(...names);
      return over();
    };
    await expect(token(true)).rejects.toMatchObject({ code: 'invalid_refresh_token' });
    await vi.waitFor(() => expect([identity.value, endedReason.value]).toEqual([null, 'ended']));
  });

  test('lets a user log out, and the server is told', async () => {
    await annWroteOffline();
    asked.length = 0;
    failing('clearAll');
    await logout();
    expect([identity.value, texts()]).toEqual([null, []]);
    await vi.waitFor(() => expect(asked).toEqual(['/logout']));
  });

  test('lets the user of an account go that was deleted', async () => {
    await annWroteOffline();
    failing('clearAll');
    await deleteAccount('secret');
    expect([identity.value, endedReason.value]).toEqual([null, 'deleted']);
  });

  test('for a moment when a page is opened, logs nobody out', async () => {
    await annWroteOffline();
    stop();
    identity.value = undefined;
    vi.spyOn(database, 'get').mockRejectedValueOnce(new Error('busy'));
    await begin();
    expect([identity.value, texts()]).toMatchObject([{ user_id: ANN }, ['from a tunnel']]);
  });

  test('when a page is opened, loses nothing of what was not sent', async () => {
    await annWroteOffline();
    setDraft(CHAT, 'half a sentence');
    await flushDrafts();
    stop();
    reset();
    identity.value = undefined;
    const get = database.get;
    const broken = vi.spyOn(database, 'get').mockImplementation(async (store, key) => {
      if (key === 'current') throw new Error('unreadable');
      return get(store, key);
    });
    await begin();
    expect(identity.value).toBeNull();
    broken.mockRestore();
    await begin();
    expect([texts(), drafts.value.get(CHAT)]).toEqual([['from a tunnel'], 'half a sentence']);
  });
});

test('nobody else gets what was not sent', async () => {
  await annWroteOffline();
  await sessionEnds();
  await login('bob', 'secret');
  expect(texts()).toEqual([]);
  expect(await database.all('outbox')).toEqual([]);
});

test('logging out leaves nothing, also when the session was over already', async () => {
  await annWroteOffline();
  setDraft(CHAT, 'half a sentence');
  await flushDrafts();
  setDraft(CHAT, 'half a sentence more');
  refresh = over;
  await logout();
  await new Promise((done) => setTimeout(done, 600));
  expect([identity.value, endedReason.value]).toEqual([null, null]);
  for (const store of ['session', 'chats', 'messages', 'outbox', 'drafts', 'meta'] as const) expect(await database.all(store)).toEqual([]);
});

test('the next user of the tab finds nothing of the last one', async () => {
  const file = { media_id: 'f', content_type: 'text/plain', size: 3, url: '/f', filename: 'hers.txt' };
  refresh = over;
  await adopt(tokensOf('ann'));
  await begin();
  chats.value = loaded(new Map(), [entry()], ANN, Date.now());
  current.value = CHAT;
  setDraft(CHAT, 'half a sentence');
  addFiles(CHAT, [new File(['abc'], 'hers.txt', { type: 'text/plain' })]);
  learn(file);
  let answer = (_: Response) => undefined as void;
  details = new Promise((resolve) => { answer = resolve; });
  want('late');
  await loadPreferences();
  apply('receive_message', message(1), true);
  messageToast('Bob', 'for Ann only', CHAT, idAt(2));
  showFound({ message_id: idAt(1), text: 'for Ann only', ranges: [] });
  await vi.waitFor(() => expect(asked).toEqual(expect.arrayContaining(['/media/uploads', '/media/details'])));
  const left = () => [drafts, uploads, media, preferences, toasts, announcements, found].map(({ value }) => (value instanceof Map ? value.size : Array.isArray(value) ? value.length : value || null));
  expect(left()).toEqual([1, 1, 1, {}, 1, 1, expect.anything()]);
  await logout();
  await login('bob', 'secret');
  const late = new Response(JSON.stringify({ media: [{ ...file, media_id: 'late' }] }));
  answer(late);
  await vi.waitFor(() => expect(late.bodyUsed).toBe(true));
  await new Promise((resolve) => setTimeout(resolve));
  expect(aborted).toEqual(['/media/uploads']);
  expect(left()).toEqual([0, 0, 0, null, 0, 0, null]);
  // Bob has this chat, too, and hears of the same message.
  messageToast('Ann', 'for Bob', CHAT, idAt(2));
  expect(toasts.value).toMatchObject([{ body: 'for Bob' }]);
});

test.each([
  ['the server sends mail and the address is not confirmed', { mail_enabled: true, email_verified: false }, true],
  ['the address is confirmed', { mail_enabled: true, email_verified: true }, false],
  ['the server sends no mail', { mail_enabled: false, email_verified: false }, false],
  ['an older server does not tell', { email_verified: false }, false],
])('a mail that confirms the address is offered or not: %s', async (_, said, offered) => {
  mine = said;
  await login('ann', 'secret');
  await vi.waitFor(() => expect(account.value).toEqual(said));
  expect(unconfirmed.value).toBe(offered);
  await logout();
  expect(unconfirmed.value).toBe(false);
});

test('logging out waits for no server, and tells it afterwards with the token that was there', async () => {
  await annWroteOffline();
  asked.length = 0;
  slow = new Promise(() => undefined);
  await logout();
  expect(identity.value).toBeNull();
  expect(await database.all('session')).toEqual([]);
  expect(asked).toEqual(['/logout']);
});

test('an account that is deleted leaves nothing here, and its owner is told', async () => {
  await annWroteOffline();
  await deleteAccount('secret');
  expect([identity.value, endedReason.value]).toEqual([null, 'deleted']);
  for (const store of ['session', 'chats', 'messages', 'outbox', 'drafts', 'meta'] as const) expect(await database.all(store)).toEqual([]);
});

test('an account whose end is known only when somebody else has logged in ends nothing of theirs', async () => {
  let answer = () => undefined as void;
  slow = new Promise<void>((resolve) => { answer = resolve; });
  await annWroteOffline();
  const deleted = deleteAccount('secret');
  await vi.waitFor(() => expect(asked.at(-1)).toBe('/me'));
  await sessionEnds();
  await login('bob', 'secret');
  answer();
  await deleted;
  expect([identity.value?.user_id, endedReason.value]).toEqual([BOB, null]);
  expect(JSON.stringify(await database.all('session'))).toContain('refresh-bob');
});

test('what another tab wrote after the log-out is removed when a page is opened', async () => {
  await database.put('chats', CHAT, { chat_id: CHAT });
  await database.put('outbox', 'x', { chat_id: CHAT });
  await begin();
  expect(identity.value).toBeNull();
  expect([await database.all('chats'), await database.all('outbox')]).toEqual([[], []]);
});

test('what was to be sent to a chat goes with it', async () => {
  await annWroteOffline();
  chats.value = loaded(new Map(), [entry()], ANN, Date.now());
  setDraft(CHAT, 'half a sentence');
  addFiles(CHAT, [new File(['abc'], 'hers.txt', { type: 'text/plain' })]);
  apply('chat_deleted', { chat_id: CHAT }, true);
  expect([texts(), drafts.value.size, uploads.value.size]).toEqual([[], 0, 0]);
  await vi.waitFor(async () => expect(await database.all('outbox')).toEqual([]));
});
