import './page';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ApiError } from '../src/api/problem';
import { apply } from '../src/session/events';
import { subscribe, unwatched, wantedPeers } from '../src/session/presence';
import { chats, current, identity, link, presence, reset } from '../src/session/state';
import { loaded } from '../src/store/chats';
import { ANN, entry, idAt, message } from './sample';

const { ask } = vi.hoisted(() => ({ ask: vi.fn() }));
vi.mock('../src/socket/connection', () => ({ ask, tell: () => undefined, connected: () => true }));
vi.mock('../src/api/messages', () => ({ history: vi.fn(), chats: vi.fn(), startChat: vi.fn(), search: vi.fn() }));

/** Chats 1 to `n`, the newest first. */
const list = (n: number) => loaded(new Map(), Array.from({ length: n }, (_, at) => entry({
  chat_id: `chat-${n - at}`, peer: { user_id: `peer-${n - at}`, username: '', display_name: '' },
  last_message: message(n - at, { chat_id: `chat-${n - at}` }),
})), ANN, Date.now());
const asked = (event: string) => ask.mock.calls.filter(([name]) => name === event).map(([, payload]) => payload.user_ids);

beforeEach(() => {
  vi.useFakeTimers();
  unwatched();
  reset();
  identity.value = { user_id: ANN, username: 'ann' };
  link.value = 'online';
  ask.mockReset().mockImplementation(async (event: string, { user_ids }: { user_ids: string[] }) => (
    event === 'presence_subscribe' ? { presence: user_ids.map((user_id) => ({ user_id, status: 'online', last_active: null })) } : {}
  ));
});
afterEach(() => {
  unwatched();
  vi.useRealTimers();
});

test('the open chat’s member is watched, also beyond what a connection may watch; of whom it leaves nothing is known', async () => {
  chats.value = list(250);
  await subscribe();
  expect(presence.value.size).toBe(200);
  expect(presence.value.has('peer-3')).toBe(false);
  current.value = 'chat-3';
  await subscribe();
  expect(asked('presence_unsubscribe')).toEqual([['peer-51']]);
  expect(asked('presence_subscribe')[1]).toEqual(['peer-3']);
  expect([presence.value.has('peer-3'), presence.value.has('peer-51'), presence.value.size]).toEqual([true, false, 200]);
});

test('who wrote last is watched, whoever filled the list before', () => {
  const sorted = [...list(3).values()];
  expect(wantedPeers(sorted, null, ANN, 2)).toEqual(['peer-3', 'peer-2']);
  expect(wantedPeers(sorted, 'chat-1', ANN, 2)).toEqual(['peer-1', 'peer-3']);
  expect(idAt(3) > idAt(2)).toBe(true);
});

test('a refusal is followed by another try', async () => {
  chats.value = list(1);
  ask.mockRejectedValueOnce(new ApiError(400, 'too_many_events', ''));
  await subscribe();
  expect(presence.value.size).toBe(0);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(presence.value.get('peer-1')?.status).toBe('online');
});

test('who is told to wait asks nothing until then, whoever is wanted meanwhile', async () => {
  chats.value = list(2);
  ask.mockRejectedValueOnce(new ApiError(400, 'rate_limited', '', {}, 20));
  await subscribe();
  current.value = 'chat-1';
  await subscribe();
  await vi.advanceTimersByTimeAsync(19_000);
  expect(asked('presence_subscribe')).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(22_000);
  expect(asked('presence_subscribe')[1]).toEqual(['peer-1', 'peer-2']);
  expect(presence.value.get('peer-1')?.status).toBe('online');
});

test.each(['presence_unsubscribe', 'presence_subscribe'])('one %s without an answer keeps nobody from being watched later', async (lost) => {
  // As the server counts them.
  const watched = new Set<string>();
  let answers = true;
  ask.mockImplementation(async (event: string, { user_ids }: { user_ids: string[] }) => {
    const after = new Set([...watched, ...user_ids]);
    if (event === 'presence_subscribe' && after.size > 200) throw new ApiError(400, 'too_many_subscriptions', '');
    const silent = event === lost && !answers;
    // One loses its answer, the other does not even come there.
    if (event === 'presence_subscribe') for (const id of user_ids) watched.add(id);
    else if (!silent) for (const id of user_ids) watched.delete(id);
    if (silent) throw new ApiError(0, 'timeout', '');
    return event === 'presence_subscribe' ? { presence: user_ids.map((user_id) => ({ user_id, status: 'online', last_active: null })) } : {};
  });
  chats.value = list(250);
  await subscribe();
  answers = false;
  current.value = 'chat-3';
  await subscribe();
  answers = true;
  for (const [chat_id, user_id] of [['chat-4', 'peer-4'], ['chat-5', 'peer-5'], ['chat-3', 'peer-3']] as const) {
    current.value = chat_id;
    await subscribe();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(presence.value.get(user_id)?.status).toBe('online');
    expect(watched.has(user_id)).toBe(true);
  }
  expect(presence.value.size).toBeLessThanOrEqual(200);
});

test('who comes while it is asked who is there is there', async () => {
  chats.value = list(2);
  let answer = (_: object) => undefined as void;
  ask.mockReturnValueOnce(new Promise((resolve) => { answer = resolve; }));
  const subscribed = subscribe();
  apply('presence', { user_id: 'peer-1', status: 'online' }, true);
  answer({ presence: ['peer-1', 'peer-2'].map((user_id) => ({ user_id, status: 'offline', last_active: null })) });
  await subscribed;
  expect(['peer-1', 'peer-2'].map((id) => presence.value.get(id)?.status)).toEqual(['online', 'offline']);
});

test('an answer to a connection that is gone is no news', async () => {
  chats.value = list(1);
  let answer = (_: object) => undefined as void;
  ask.mockReturnValueOnce(new Promise((resolve) => { answer = resolve; }));
  const subscribed = subscribe();
  unwatched();
  answer({ presence: [{ user_id: 'peer-1', status: 'online', last_active: null }] });
  await subscribed;
  expect(presence.value.size).toBe(0);
});
