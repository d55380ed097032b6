import { page } from './page';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { adopt, forget, token } from '../src/api/credentials';
import { stop } from '../src/session/live';
import { parse, route } from '../src/session/route';
import { chats, identity } from '../src/session/state';
import { loaded } from '../src/store/chats';
import { ANN, entry } from './sample';

vi.mock('../src/socket/connection', () => ({
  ask: vi.fn(), tell: () => undefined, connected: () => false, open: () => undefined, close: () => undefined, hurry: () => undefined,
}));

/** What other tabs say. */
let say = (_: string) => undefined as void;
class Channel {
  addEventListener(_: string, listener: (event: { data: string }) => void) { say = (data) => listener({ data }); }
  postMessage() { /* Nobody else is there. */ }
}
Object.assign(page, { BroadcastChannel: Channel });
vi.stubGlobal('BroadcastChannel', Channel);
const reload = vi.fn();
const place = { hash: '', reload };
vi.stubGlobal('location', place);
vi.stubGlobal('fetch', vi.fn(async (url: string) => (
  url.endsWith('/token/refresh') ? new Response('{"code":"invalid_refresh_token","detail":""}', { status: 401 }) : new Response('{}')
)));
const { begin } = await import('../src/session/lifecycle');

const MAILED = ['#reset-password=t', '#verify-email=t'];
const goTo = (hash: string) => {
  place.hash = hash;
  route.value = parse(hash);
};

beforeEach(async () => {
  reload.mockReset();
  await forget();
  await adopt({ username: 'ann', user_id: ANN, access_token: 'a', refresh_token: 'r', token_type: 'Bearer', expires_in: 900 });
  identity.value = undefined;
  await begin();
  chats.value = loaded(new Map(), [entry()], ANN, Date.now());
});
afterEach(() => {
  goTo('#/');
  stop();
});

test.each([...MAILED, '#/settings'])('a session that ends leaves the page where a mail has led to, and no other: %s', async (hash) => {
  goTo(hash);
  await expect(token(true)).rejects.toThrow();
  await vi.waitFor(() => expect(identity.value).toBeNull());
  expect(place.hash).toBe(MAILED.includes(hash) ? hash : '#/');
});

test.each(MAILED)('a log-out in another tab takes all but that away, and loads the page when one goes on: %s', (hash) => {
  goTo(hash);
  say('logout');
  expect([chats.value.size, identity.value, reload.mock.calls.length]).toEqual([0, null, 0]);
  goTo('#/');
  expect(reload).toHaveBeenCalled();
});

test('a log-out in another tab loads every other page at once', () => {
  goTo('#/settings');
  reload.mockClear();
  say('logout');
  expect(reload).toHaveBeenCalled();
});

test('a page to log in is loaded by a log-in in another tab, not by a log-out', () => {
  identity.value = null;
  reload.mockClear();
  say('logout');
  expect(reload).not.toHaveBeenCalled();
  say('login');
  expect(reload).toHaveBeenCalled();
});
