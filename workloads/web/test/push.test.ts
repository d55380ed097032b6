import { page } from './page';
import { beforeEach, expect, test, vi } from 'vitest';
import * as database from '../src/idb/database';
import { renewPush, startPush } from '../src/session/push';
import { current, identity, reset, watching } from '../src/session/state';
import { ANN, BOB, CHAT } from './sample';

const { server } = vi.hoisted(() => ({ server: { pushKey: vi.fn(), addDevice: vi.fn(), removeDevice: vi.fn() } }));
vi.mock('../src/api/notifications', () => server);

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
const worker = Object.assign(new EventTarget(), { getRegistration: async () => registration });
Object.assign(page, { isSecureContext: true, PushManager: class {} });
vi.stubGlobal('navigator', { onLine: true, serviceWorker: worker });
vi.stubGlobal('Notification', { get permission() { return permission; } });
const tells = (news: object) => worker.dispatchEvent(new MessageEvent('message', { data: news }));
const registered = () => server.addDevice.mock.calls.map(([device_id, { endpoint }]) => [device_id, endpoint]);

startPush();

beforeEach(async () => {
  vi.clearAllMocks();
  reset();
  await database.clearAll();
  await database.put('meta', 'device_id', 'd');
  server.pushKey.mockResolvedValue({ public_key: '-_8B' });
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
  const enter = (user_id: string) => { identity.value = { user_id, username: 'someone' }; };
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
