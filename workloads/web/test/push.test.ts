import { page } from './page';
import { beforeEach, expect, test, vi } from 'vitest';
import * as database from '../src/idb/database';
import { checkPush, pushesElsewhere, renewPush, startPush, subscribe as turnOn, unsubscribe } from '../src/session/push';
import { apply } from '../src/session/events';
import { chats, current, features, identity, reset, watching } from '../src/session/state';
import { loaded } from '../src/store/chats';
import { ANN, BOB, CHAT, entry, idAt, message } from './sample';

const { server } = vi.hoisted(() => ({ server: { pushKey: vi.fn(), addDevice: vi.fn(), removeDevice: vi.fn() } }));
vi.mock('../src/api/notifications', () => server);
vi.mock('../src/socket/connection', () => ({ ask: async () => ({}), tell: () => undefined, connected: () => false }));

const OTHER = 'dddddddd-0000-5000-8000-000000000004';
const KEY = [0xfb, 0xff, 1];
const subscriptionAt = (endpoint: string, key = KEY) => ({
  toJSON: () => ({ endpoint }), options: { applicationServerKey: new Uint8Array(key).buffer }, unsubscribe: async () => { subscription = null; },
});
/** What the browser has. */
let subscription: ReturnType<typeof subscriptionAt> | null;
let permission: string;
let shown: string[];
const subscribe = vi.fn(async () => {
  // As browsers do where there is one for another key.
  if (subscription) throw new DOMException('', 'InvalidStateError');
  return (subscription = subscriptionAt('https://push.example.test/new'));
});
const registration = {
  pushManager: { getSubscription: async () => subscription, subscribe },
  getNotifications: async ({ tag }: { tag: string }) => shown.filter((one) => one === tag).map((one) => ({ close: () => { shown = shown.filter((other) => other !== one); } })),
};
const register = vi.fn(async () => registration);
const worker = Object.assign(new EventTarget(), { getRegistration: async () => registration, register, ready: Promise.resolve(registration) });
Object.assign(page, { isSecureContext: true, PushManager: class {} });
vi.stubGlobal('navigator', { onLine: true, serviceWorker: worker });
const requestPermission = vi.fn(async () => permission);
vi.stubGlobal('Notification', { get permission() { return permission; }, requestPermission });
const tells = (news: object) => worker.dispatchEvent(new MessageEvent('message', { data: news }));
const enter = (user_id: string) => { identity.value = { user_id, username: 'someone' }; };
const registered = () => server.addDevice.mock.calls.map(([device_id, { endpoint }]) => [device_id, endpoint]);

startPush();

beforeEach(async () => {
  vi.clearAllMocks();
  reset();
  await database.clearAll();
  await database.put('meta', 'device_id', 'd');
  server.pushKey.mockResolvedValue({ public_key: '-_8B' });
  server.removeDevice.mockResolvedValue(undefined);
  subscription = subscriptionAt('https://push.example.test/old');
  permission = 'granted';
  shown = [CHAT, OTHER];
});

test('the server gets the subscription that there is, under the name of this browser', async () => {
  await renewPush();
  expect(registered()).toEqual([['d', 'https://push.example.test/old']]);
  expect(subscribe).not.toHaveBeenCalled();
});

test('a subscription that the browser has ended is made anew, at once when the worker tells of it', async () => {
  subscription = null;
  tells({ subscription: 'changed' });
  await vi.waitFor(() => expect(registered()).toEqual([['d', 'https://push.example.test/new']]));
});

test('a subscription for a key that the server has no more gives way to one for its new key', async () => {
  subscription = subscriptionAt('https://push.example.test/old', [1, 2, 3]);
  await renewPush();
  expect(registered()).toEqual([['d', 'https://push.example.test/new']]);
});

test('nothing is subscribed for who has taken the permission back, or never wanted pushes here', async () => {
  subscription = null;
  permission = 'denied';
  await renewPush();
  permission = 'granted';
  await database.remove('meta', ['device_id']);
  await renewPush();
  expect([registered(), subscribe.mock.calls]).toEqual([[], []]);
});

test.each([
  ['the server’s key', () => server.pushKey, { public_key: '-_8B' }],
  ['the browser’s subscription', () => subscribe, subscriptionAt('https://push.example.test/new')],
])('who logs in while %s is asked for has not the pushes of who has left', async (_, asked, value) => {
  let answer = () => undefined as void;
  asked().mockImplementationOnce(() => new Promise((resolve) => { answer = () => resolve(value as never); }));
  subscription = null;
  enter(ANN);
  const renewed = renewPush();
  await vi.waitFor(() => expect(asked()).toHaveBeenCalled());
  const before = subscribe.mock.calls.length;
  reset();
  enter(BOB);
  answer();
  await renewed;
  expect([registered(), subscribe.mock.calls.length]).toEqual([[], before]);
});

test('who turns pushes on has them here, and nobody after turning them off', async () => {
  await database.remove('meta', ['device_id']);
  subscription = null;
  await checkPush();
  expect(await turnOn()).toBe(true);
  const device_id = await database.get('meta', 'device_id');
  expect(registered()).toEqual([[device_id, 'https://push.example.test/new']]);
  await unsubscribe();
  expect([await database.get('meta', 'device_id'), subscription, server.removeDevice.mock.calls]).toEqual([undefined, null, [[device_id]]]);
});

test.each([
  ['the user', () => requestPermission, 'granted', 0],
  ['the worker', () => register, registration, 0],
  ['the browser’s subscription', () => subscribe, subscriptionAt('https://push.example.test/new'), 0],
  ['the server', () => server.addDevice, undefined, 1],
])('who logs in while %s is asked about pushes for who has left has not asked for any', async (_, asked, value, told) => {
  let answer = () => undefined as void;
  (asked() as ReturnType<typeof vi.fn>).mockImplementationOnce(() => new Promise((resolve) => { answer = () => resolve(value); }));
  await database.remove('meta', ['device_id']);
  subscription = null;
  await checkPush();
  enter(ANN);
  const turned = turnOn();
  await vi.waitFor(() => expect(asked()).toHaveBeenCalled());
  reset();
  enter(BOB);
  answer();
  expect(await turned).toBe(false);
  expect([registered().length, await database.get('meta', 'device_id')]).toEqual([told, undefined]);
});

test('pushes that the next user has turned on are not turned off for who has left', async () => {
  let answer = () => undefined as void;
  server.removeDevice.mockImplementationOnce(() => new Promise<void>((resolve) => { answer = resolve; }));
  enter(ANN);
  const turned = unsubscribe();
  await vi.waitFor(() => expect(server.removeDevice).toHaveBeenCalled());
  reset();
  enter(BOB);
  await database.put('meta', 'device_id', 'his');
  answer();
  await turned;
  expect([await database.get('meta', 'device_id'), subscription]).toEqual(['his', expect.anything()]);
});

test('what is shown of the chat that one looks at is taken away, and of no other', async () => {
  current.value = CHAT;
  watching.value = false;
  tells({ shown: CHAT });
  watching.value = true;
  tells({ shown: OTHER });
  tells({ shown: null });
  await new Promise((resolve) => setTimeout(resolve));
  expect(shown).toEqual([CHAT, OTHER]);
  tells({ shown: CHAT });
  await vi.waitFor(() => expect(shown).toEqual([OTHER]));
});

test('what is shown of a chat is taken away when all of it was read on another device', async () => {
  enter(ANN);
  chats.value = loaded(new Map(), [CHAT, OTHER].map((chat_id) => entry({ chat_id, last_message: message(5, { chat_id }), unread: 2 })), ANN, Date.now());
  apply('receipt', { chat_id: CHAT, user_id: BOB, read_up_to: idAt(5) }, true);
  apply('receipt', { chat_id: CHAT, user_id: ANN, delivered_up_to: idAt(5) }, true);
  await new Promise((resolve) => setTimeout(resolve));
  expect(shown).toEqual([CHAT, OTHER]);
  apply('receipt', { chat_id: CHAT, user_id: ANN, read_up_to: idAt(5) }, true);
  await vi.waitFor(() => expect(shown).toEqual([OTHER]));
});

test('where the server pushes and the browser takes none for this page, that is said; not where there is nothing to say', async () => {
  const seen = async () => {
    await checkPush();
    return [features.value.push, pushesElsewhere.value];
  };
  expect(await seen()).toEqual([true, false]);
  const { PushManager } = page as unknown as { PushManager: object };
  delete (page as Partial<{ PushManager: object }>).PushManager;
  try {
    expect(await seen()).toEqual([false, true]);
    server.pushKey.mockResolvedValue({ public_key: null });
    expect(await seen()).toEqual([false, false]);
    server.pushKey.mockRejectedValue(new Error('not found'));
    expect(await seen()).toEqual([false, false]);
  } finally {
    Object.assign(page, { PushManager });
  }
});
