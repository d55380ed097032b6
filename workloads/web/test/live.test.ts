import { page } from './page';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import * as database from '../src/idb/database';
import { ApiError } from '../src/api/problem';
import { strings } from '../src/i18n/en';
import { drafts } from '../src/session/drafts';
import { further } from '../src/session/listing';
import { start, stop } from '../src/session/live';
import { preferences } from '../src/session/preferences';
import { account, announcements, blocked, chats, current, identity, link, listed, messageBytes, presence, reset, timelines } from '../src/session/state';
import { dismiss, notified, readByThemselves, toasts } from '../src/session/toasts';
import { startToday } from '../src/session/today';
import type { Listeners } from '../src/socket/connection';
import { ANN, BOB, CHAT, entry, ids, idAt, message } from './sample';

const { ask, server } = vi.hoisted(() => ({ ask: vi.fn(), server: { listeners: null as unknown, connected: true, chats: vi.fn(), history: vi.fn(), blocks: vi.fn(), me: vi.fn(), call: vi.fn() } }));
vi.mock('../src/socket/connection', () => ({
  ask, tell: () => undefined, connected: () => server.connected, close: () => undefined, hurry: () => undefined,
  open: (listeners: unknown) => { server.listeners = listeners; },
}));
vi.mock('../src/api/messages', () => ({ chats: server.chats, history: server.history, startChat: vi.fn(), search: async () => ({ hits: [] }) }));
vi.mock('../src/api/accounts', () => ({ blocks: server.blocks, me: server.me }));
vi.mock('../src/api/credentials', () => ({ call: server.call }));

/** What was asked of `sync`. */
const asked = () => ask.mock.calls.filter(([event]) => event === 'sync').map(([, payload]) => payload.since);
const syncs = (...pages: (object | Error)[]) => ask.mockImplementation(async (event: string) => {
  if (event === 'presence_subscribe') return { presence: [] };
  if (event !== 'sync') return {};
  const page = pages.shift() ?? { events: [], next: 'end', more: false, reset: false };
  if (page instanceof Error) throw page;
  return page;
});
const event = (name: string, data: object) => ({ event_id: 'e', event: name, data });
async function connect(sync_token: string) {
  await (server.listeners as Listeners).ready({ user_id: ANN, session_id: 's', sync_token, limits: { message_bytes: 16384 } });
  await vi.waitFor(async () => expect(await database.get('meta', 'sync_token')).toBeDefined());
}
const keep = () => database.putAll('messages', [[CHAT, { chat_id: CHAT, messages: [message(1), message(2)], older: false }]]);

beforeEach(async () => {
  ask.mockReset();
  server.connected = true;
  // Who comes back does not wait by chance.
  vi.spyOn(Math, 'random').mockReturnValue(0);
  server.blocks.mockReset().mockResolvedValue([]);
  server.call.mockReset().mockResolvedValue({});
  server.me.mockReset().mockResolvedValue({});
  server.chats.mockReset().mockResolvedValue({ entries: [entry({ last_message: message(2) })], next: null });
  await database.clearAll();
  reset();
  identity.value = { user_id: ANN, username: 'ann' };
});
afterEach(stop);

test('the first connect loads the list and begins at the token that it got', async () => {
  syncs();
  await start();
  expect(link.value).toBe('connecting');
  await connect('t0');
  expect(link.value).toBe('online');
  expect(asked()).toEqual(['t0']);
  await vi.waitFor(() => expect(chats.value.get(CHAT)?.last?.message_id).toBe(idAt(2)));
  expect(await database.get('meta', 'sync_token')).toBe('end');
});

test('what is kept is shown at once, and what happened since is added, page by page', async () => {
  await keep();
  await database.put('chats', CHAT, { ...chatOf(), activity: 1 });
  await database.put('meta', 'sync_token', 't1');
  syncs(
    { events: [event('receive_message', message(3))], next: 't2', more: true, reset: false },
    { events: [event('receive_message', message(4)), event('message_deleted', { chat_id: CHAT, message_id: idAt(1) })], next: 't3', more: false, reset: false },
  );
  await start();
  expect(ids(timelines.value.get(CHAT)!.messages)).toEqual([1, 2].map(idAt));
  await connect('t9');
  expect(asked()).toEqual(['t1', 't2']);
  expect(ids(timelines.value.get(CHAT)!.messages)).toEqual([1, 2, 3, 4].map(idAt));
  expect(timelines.value.get(CHAT)!.messages[0]!.deleted).toBe(true);
  expect(await database.get('meta', 'sync_token')).toBe('t3');
  const kept = await database.get<{ messages: object[] }>('messages', CHAT);
  expect(kept!.messages).toHaveLength(4);
});

test('who is told to wait in the middle of a flood waits, and goes on from where it was', async () => {
  await database.put('meta', 'sync_token', 't1');
  syncs(
    { events: [], next: 't2', more: true, reset: false },
    new ApiError(400, 'rate_limited', '', {}, 0.1),
    { events: [event('receive_message', message(3))], next: 't3', more: false, reset: false },
  );
  await start();
  await connect('t9');
  expect(asked()).toEqual(['t1', 't2', 't2']);
  expect(await database.get('meta', 'sync_token')).toBe('t3');
});

test('a token that is too old drops what was kept', async () => {
  await keep();
  await database.put('meta', 'sync_token', 'old');
  syncs({ events: [], next: 't5', more: false, reset: true });
  await start();
  await connect('t9');
  expect(timelines.value.size).toBe(0);
  expect(await database.get('messages', CHAT)).toBeUndefined();
  expect(await database.get('meta', 'sync_token')).toBe('t5');
});

test('a token of another server does so too, and the connection’s own is used from then on', async () => {
  await keep();
  await database.put('meta', 'sync_token', 'foreign');
  syncs(new ApiError(400, 'invalid_cursor', ''));
  await start();
  await connect('t9');
  expect(asked()).toEqual(['foreign', 't9']);
  expect(timelines.value.size).toBe(0);
});

test('a sync that fails keeps its token for the next connect', async () => {
  vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  await database.put('meta', 'sync_token', 't1');
  syncs(new ApiError(0, 'timeout', ''));
  await start();
  await connect('t9');
  expect(await database.get('meta', 'sync_token')).toBe('t1');
  await connect('t10');
  expect(asked()).toEqual(['t1', 't1']);
});

test('a sync of a connection that is lost does not take the place of that of the next one', async () => {
  vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  await database.put('meta', 'sync_token', 't1');
  let fail = (_: Error) => undefined as void;
  ask.mockImplementation(async (event: string) => {
    if (event === 'presence_subscribe') return { presence: [] };
    if (event !== 'sync') return {};
    if (asked().length === 1) return new Promise((_, reject) => { fail = reject; });
    return { events: [], next: 't2', more: false, reset: false };
  });
  await start();
  const ready = (sync_token: string) => (server.listeners as Listeners).ready({ user_id: ANN, session_id: 's', sync_token, limits: { message_bytes: 16384 } });
  const connections = [ready('t8')];
  await vi.waitFor(() => expect(asked()).toEqual(['t1']));
  server.connected = false;
  (server.listeners as Listeners).lost();
  server.connected = true;
  connections.push(ready('t9'));
  fail(new ApiError(0, 'timeout', ''));
  await Promise.all(connections);
  expect(asked()).toEqual(['t1', 't1']);
  expect(await database.get('meta', 'sync_token')).toBe('t2');
});

test('a network that is away while a connection catches up keeps nothing of it from being done, once', async () => {
  await database.put('meta', 'sync_token', 't1');
  let answer = () => undefined as void;
  syncs();
  const answers = ask.getMockImplementation()!;
  ask.mockImplementationOnce(async (event: string) => {
    await new Promise<void>((resolve) => { answer = resolve; });
    return answers(event);
  });
  server.chats.mockResolvedValue({ entries: [entry({ last_message: message(2), unread: 1 })], next: null });
  server.blocks.mockResolvedValue([{ user_id: BOB }]);
  const network = (onLine: boolean) => {
    Object.assign(navigator, { onLine });
    page.fire(onLine ? 'online' : 'offline');
  };
  await start();
  const left = { client_message_id: 'c', chat_id: CHAT, message: 'from the other tab', type: 'text', attachments: [], reply_to: null, created_at: Date.now(), state: 'pending', reason: null };
  await database.put('outbox', 'c', left);
  const ready = (server.listeners as Listeners).ready({ user_id: ANN, session_id: 's', sync_token: 't9', limits: { message_bytes: 16384 } });
  await vi.waitFor(() => expect(asked()).toEqual(['t1']));
  network(false);
  expect(link.value).toBe('offline');
  network(true);
  answer();
  await ready;
  await vi.waitFor(() => expect([link.value, listed.value, [...blocked.value]]).toEqual(['online', true, [BOB]]));
  await vi.waitFor(() => expect(ask).toHaveBeenCalledWith('message_delivered', { chat_id: CHAT, message_id: idAt(2) }));
  await vi.waitFor(() => expect(ask).toHaveBeenCalledWith('send_message', expect.objectContaining({ client_message_id: 'c' })));
  expect(preferences.value).toEqual({});
  network(false);
  network(true);
  await vi.waitFor(() => expect(asked()).toHaveLength(3));
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect([server.chats, server.blocks].map((mock) => mock.mock.calls.length)).toEqual([1, 1]);
});

test('where a sync of who has left goes on, the next user does not begin', async () => {
  await database.put('meta', 'sync_token', 'foreign');
  let answer = () => undefined as void;
  server.chats.mockReturnValueOnce(new Promise((resolve) => { answer = () => resolve({ entries: [], next: null }); }));
  syncs(new ApiError(400, 'invalid_cursor', ''));
  await start();
  const left = (server.listeners as Listeners).ready({ user_id: ANN, session_id: 's', sync_token: 'hers', limits: { message_bytes: 16384 } });
  await vi.waitFor(() => expect(server.chats).toHaveBeenCalled());
  stop();
  reset();
  identity.value = { user_id: BOB, username: 'bob' };
  await start();
  answer();
  await left;
  await connect('his');
  expect(asked()).toEqual(['foreign', 'his']);
});

test.each(['chats', 'outbox', 'drafts'] as const)('who leaves while the browser’s store is read leaves nothing of it, and is not connected: %s', async (slow) => {
  const all = database.all;
  let answer = () => undefined as void;
  vi.spyOn(database, 'all').mockImplementation(async (store) => {
    if (store === slow) await new Promise<void>((resolve) => { answer = resolve; });
    return all(store);
  });
  await keep();
  await database.put('chats', CHAT, { ...chatOf(), activity: 1 });
  await database.put('drafts', CHAT, { chat_id: CHAT, text: 'half a sentence' });
  server.listeners = null;
  const started = start();
  await vi.waitFor(() => expect(vi.mocked(database.all)).toHaveBeenCalledWith(slow));
  stop();
  reset();
  identity.value = null;
  answer();
  await started;
  vi.mocked(database.all).mockRestore();
  expect([chats.value.size, drafts.value.size, server.listeners]).toEqual([0, 0, null]);
});

test('who logs in again in the same tab sees who is there', async () => {
  syncs();
  const answer = ask.getMockImplementation()!;
  ask.mockImplementation(async (event: string, payload: { user_ids: string[] }) => (
    event === 'presence_subscribe' ? { presence: payload.user_ids.map((user_id) => ({ user_id, status: 'online', last_active: null })) } : answer(event, payload)
  ));
  await start();
  await connect('t0');
  await vi.waitFor(() => expect(presence.value.get(BOB)?.status).toBe('online'));
  stop();
  reset();
  await start();
  await connect('t1');
  await vi.waitFor(() => expect(presence.value.get(BOB)?.status).toBe('online'));
});

function chatOf() {
  return { chat_id: CHAT, peer: entry().peer, last: message(2), unread: 0, mine: { delivered: null, read: null }, theirs: { delivered: null, read: null }, muted: false };
}

test('when the other member of the open chat deletes the account, the reader is told why the chat is gone', async () => {
  syncs();
  await start();
  await connect('t0');
  await vi.waitFor(() => expect(chats.value.has(CHAT)).toBe(true));
  current.value = CHAT;
  (server.listeners as Listeners).event('chat_deleted', { chat_id: CHAT });
  await vi.waitFor(() => expect(chats.value.has(CHAT)).toBe(false));
  expect(toasts.value.map((one) => one.header)).toEqual([expect.stringContaining('has deleted the account')]);
});

test('messages that the server keeps no more are forgotten, at the next start before there is a connection', async () => {
  const shown = () => ids(timelines.value.get(CHAT)?.messages ?? []);
  await keep();
  await database.put('chats', CHAT, { ...chatOf(), activity: 1 });
  server.chats.mockResolvedValue({ entries: [entry()], next: null });
  syncs();
  await start();
  expect(shown()).toEqual([idAt(1), idAt(2)]);
  const limits = { message_bytes: 16384, message_retention_seconds: 86_400 };
  await (server.listeners as Listeners).ready({ user_id: ANN, session_id: 's', sync_token: 't0', limits });
  expect(shown()).toEqual([]);
  stop();
  reset();
  identity.value = { user_id: ANN, username: 'ann' };
  await keep();
  await start();
  expect(shown()).toEqual([]);
  expect(chats.value.get(CHAT)?.last ?? null).toBeNull();
});

test('what another tab could not send is sent by this one when it is connected', async () => {
  syncs();
  await start();
  const left = { client_message_id: 'c', chat_id: CHAT, message: 'from the other tab', type: 'text', attachments: [], reply_to: null, created_at: Date.now(), state: 'pending', reason: null };
  await database.put('outbox', 'c', left);
  await connect('t0');
  await vi.waitFor(() => expect(ask).toHaveBeenCalledWith('send_message', expect.objectContaining({ message: 'from the other tab', client_message_id: 'c' })));
});

test('how long a message may be the server says', async () => {
  syncs();
  await start();
  expect(messageBytes.value).toBe(16384);
  await (server.listeners as Listeners).ready({ user_id: ANN, session_id: 's', sync_token: 't0', limits: { message_bytes: 1000 } });
  expect(messageBytes.value).toBe(1000);
});

test('who does not see the page hears that the connection is lost, and that it is back, once each time', async () => {
  syncs();
  await start();
  await connect('t0');
  const heard = () => announcements.value.map((one) => one.text);
  expect(heard()).toEqual([]);
  server.connected = false;
  for (let tries = 0; tries < 3; tries += 1) (server.listeners as Listeners).lost();
  expect(heard()).toEqual([strings.offline]);
  server.connected = true;
  for (let times = 0; times < 2; times += 1) await connect('t0');
  expect(heard()).toEqual([strings.offline, strings.online]);
});

test('what another device has changed is here with the next connection: names, mutes, blocks, how one is told', async () => {
  const shown = () => {
    const chat = chats.value.get(CHAT);
    return [chat?.peer.display_name, chat?.muted, [...blocked.value], preferences.value, account.value];
  };
  const has = (display_name: string, muted: boolean, blocks: string[], show_content: boolean, mine: string) => {
    server.chats.mockResolvedValue({ entries: [entry({ peer: { ...entry().peer, display_name }, muted })], next: null });
    server.blocks.mockResolvedValue(blocks.map((user_id) => ({ user_id })));
    server.call.mockResolvedValue({ show_content });
    server.me.mockResolvedValue({ display_name: mine });
    return [display_name, muted, blocks, { show_content }, { display_name: mine }];
  };
  syncs();
  await start();
  const before = has('Bob', false, [BOB], true, 'Ann');
  await connect('t0');
  await vi.waitFor(() => expect(shown()).toEqual(before));
  const after = has('Robert', true, [], false, 'Anna');
  await connect('t1');
  await vi.waitFor(() => expect(shown()).toEqual(after));
});

test('who comes back asks at a random time for what sync does not tell, and for one page of the list if the rest is here', async () => {
  server.chats.mockResolvedValue({ entries: [entry({ last_message: message(2) })], next: 'c1' });
  syncs();
  await start();
  await connect('t0');
  await vi.waitFor(() => expect(listed.value).toBe(true));
  vi.mocked(Math.random).mockReturnValue(0.2);
  for (const mock of [server.chats, server.blocks, server.call, server.me]) mock.mockClear();
  await connect('t1');
  expect([server.chats, server.blocks, server.call, server.me].map((mock) => mock.mock.calls.length)).toEqual([0, 0, 0, 0]);
  await vi.waitFor(() => expect(server.chats.mock.calls).toEqual([[1]]), { timeout: 3_000 });
  expect([server.blocks, server.call, server.me].map((mock) => mock.mock.calls.length)).toEqual([1, 1, 1]);
  expect(further.value?.cursor).toBe('c1');
});

test('who comes back after so long that sync can’t tell loads the whole list', async () => {
  syncs();
  await start();
  await connect('t0');
  await vi.waitFor(() => expect(listed.value).toBe(true));
  server.chats.mockClear();
  syncs({ events: [], next: 't5', more: false, reset: true });
  await connect('t9');
  expect(server.chats.mock.calls[0]![0]).toBeGreaterThan(1);
});

test('a chat that another device muted is muted also where it is further down than what is loaded again', async () => {
  syncs();
  server.chats.mockResolvedValueOnce({ entries: [entry({ last_message: message(2) })], next: null });
  await start();
  await connect('t0');
  await vi.waitFor(() => expect(chats.value.get(CHAT)?.muted).toBe(false));
  server.chats.mockResolvedValue({ entries: [], next: 'c1' });
  server.call.mockResolvedValue({ muted: [{ chat_id: CHAT, until: '9999-12-31T23:59:59Z' }] });
  await connect('t1');
  await vi.waitFor(() => expect(chats.value.get(CHAT)?.muted).toBe(true));
  server.call.mockResolvedValue({ muted: [{ chat_id: CHAT, until: '2020-01-01T00:00:00Z' }] });
  await connect('t2');
  await vi.waitFor(() => expect(chats.value.get(CHAT)?.muted).toBe(false));
});

test('quiet hours go by the zone of who travels with a page that stays connected', async () => {
  const env = (globalThis as { process?: { env: Record<string, string> } }).process!.env;
  let comesBack = () => undefined as void;
  vi.spyOn(document, 'addEventListener').mockImplementationOnce((_, listener) => { comesBack = listener as () => void; });
  env.TZ = 'Europe/Berlin';
  startToday();
  comesBack();
  let kept = { quiet_hours: { from_minute: 60, to_minute: 120, time_zone: 'Europe/Berlin', utc_offset_minutes: -new Date().getTimezoneOffset() } };
  server.call.mockImplementation(async (method: string, path: string, options?: { body: typeof kept }) => {
    if (path !== '/notifications/preferences') return {};
    if (method === 'PUT') kept = options!.body;
    return kept;
  });
  syncs();
  await start();
  await connect('t0');
  await vi.waitFor(() => expect(preferences.value).toEqual(kept));
  env.TZ = 'Asia/Tokyo';
  comesBack();
  await vi.waitFor(() => expect(kept.quiet_hours).toEqual({ from_minute: 60, to_minute: 120, time_zone: 'Asia/Tokyo', utc_offset_minutes: 540 }));
  stop();
  reset();
  identity.value = null;
  server.call.mockClear();
  env.TZ = 'Europe/Berlin';
  comesBack();
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(server.call).not.toHaveBeenCalled();
});

test('quiet hours of the next user are compared with the clock though those of who has left were asked for before', async () => {
  const there = { quiet_hours: { from_minute: 60, to_minute: 120, time_zone: 'Pacific/Auckland', utc_offset_minutes: 720 } };
  let answer = () => undefined as void;
  const put = vi.fn();
  let late: Promise<object> | null = new Promise((resolve) => { answer = () => resolve({}); });
  server.call.mockImplementation(async (method: string, path: string, options?: { body: object }) => {
    if (path !== '/notifications/preferences') return {};
    if (method === 'PUT') put(options!.body);
    return late ?? options?.body ?? there;
  });
  const askedFor = () => server.call.mock.calls.filter(([, path]) => path === '/notifications/preferences').length;
  syncs();
  await start();
  await connect('t0');
  await vi.waitFor(() => expect(askedFor()).toBe(1));
  late = null;
  stop();
  reset();
  identity.value = { user_id: BOB, username: 'bob' };
  await start();
  answer();
  await new Promise((resolve) => setTimeout(resolve));
  await connect('t1');
  await vi.waitFor(() => expect(put).toHaveBeenCalledOnce());
});

test('who is blocked is asked again with the next connection when it could not be had', async () => {
  server.blocks.mockRejectedValueOnce(new ApiError(0, 'network', '')).mockResolvedValue([{ user_id: BOB }]);
  syncs();
  await start();
  for (const times of [1, 2]) {
    await connect('t0');
    await vi.waitFor(() => expect(blocked.value.size).toBe(times - 1));
  }
});

test.each([
  ['a notice', () => ({})],
  ['a message', (message_id: string) => ({ chat_id: CHAT, message_id })],
])('a notification that comes again is told once: %s', async (_, about: (id: string) => object) => {
  syncs();
  await start();
  await connect('t0');
  const before = notified.value;
  const comes = (n: number) => (server.listeners as Listeners).notification('notification', { notification_id: idAt(n), header: `number ${n}`, body: '', ...about(idAt(n)) });
  comes(7);
  for (const { id } of toasts.value) dismiss(id);
  comes(7);
  expect([notified.value - before, toasts.value]).toEqual([1, []]);
  comes(8);
  expect([notified.value - before, toasts.value.map(({ header }) => header)]).toEqual([2, ['number 8']]);
});

test('a notification that was read on another device is read here, and is no news', async () => {
  syncs();
  await start();
  await connect('t0');
  const before = notified.value;
  (server.listeners as Listeners).notification('notification_read', { notification_id: idAt(7) });
  expect([...readByThemselves.value]).toEqual([idAt(7)]);
  expect([notified.value, toasts.value]).toEqual([before, []]);
});
