import './page';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { ApiError } from '../src/api/problem';
import * as database from '../src/idb/database';
import { announcements, blocked, current, reset, identity, link, outbox, chats, timelines } from '../src/session/state';
import { discard, restoreOutbox } from '../src/session/outbox';
import { edit, resume, retry, send } from '../src/session/sending';
import { apply } from '../src/session/events';
import { strings } from '../src/i18n/en';
import { toasts } from '../src/session/toasts';
import { loaded } from '../src/store/chats';
import { ANN, BOB, CHAT, entry, ids, idAt, message } from './sample';

const { ask, blocks } = vi.hoisted(() => ({ ask: vi.fn(), blocks: vi.fn() }));
vi.mock('../src/socket/connection', () => ({ ask, tell: () => undefined, connected: () => true }));
vi.mock('../src/api/messages', () => ({ chats: async () => ({ entries: [], next: null }), history: vi.fn(), startChat: vi.fn(), search: vi.fn() }));
vi.mock('../src/api/accounts', () => ({ blocks }));

const OTHER = 'dddddddd-0000-5000-8000-000000000004';
/** The sends that were asked of the server, by their texts. */
const sent = () => ask.mock.calls.filter(([event]) => event === 'send_message').map(([, payload]) => payload.message);
const idsSent = () => ask.mock.calls.map(([, payload]) => payload.client_message_id);
const settle = () => vi.advanceTimersByTimeAsync(0);

beforeEach(async () => {
  await database.clearAll();
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 5, 12) });
  ask.mockReset();
  blocks.mockReset().mockResolvedValue([]);
  reset();
  identity.value = { user_id: ANN, username: 'ann' };
  link.value = 'online';
  chats.value = loaded(new Map(), [entry(), entry({ chat_id: OTHER })], ANN, Date.now());
  timelines.value = new Map([[CHAT, { messages: [message(1)], older: false, newer: false }]]);
});

describe('sending', () => {
  test('is one by one within a chat, and side by side among chats', async () => {
    const answers: (() => void)[] = [];
    let n = 10;
    ask.mockImplementation(() => new Promise((resolve) => answers.push(() => resolve({ status: 'ok', message_id: idAt((n += 1)), timestamp: message(n).timestamp }))));
    send({ chat_id: CHAT, message: 'one' });
    send({ chat_id: CHAT, message: 'two' });
    send({ chat_id: OTHER, message: 'elsewhere' });
    expect(sent()).toEqual(['one', 'elsewhere']);
    answers[0]!();
    await settle();
    expect(sent()).toEqual(['one', 'elsewhere', 'two']);
    answers[2]!();
    await settle();
    expect(outbox.value.map((one) => one.message)).toEqual(['elsewhere']);
    expect(timelines.value.get(CHAT)!.messages.map((one) => one.message)).toEqual(['text 1', 'one', 'two']);
    answers[1]!();
    await settle();
    expect(outbox.value).toEqual([]);
  });

  test('is tried again with the same id until the server answers', async () => {
    ask.mockRejectedValueOnce(new ApiError(0, 'timeout', '')).mockRejectedValueOnce(new ApiError(400, 'unavailable', ''))
      .mockResolvedValueOnce({ status: 'ok', message_id: idAt(9), timestamp: message(9).timestamp, duplicate: true });
    send({ chat_id: CHAT, message: 'hello' });
    await settle();
    expect(outbox.value[0]!.state).toBe('pending');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sent()).toEqual(['hello', 'hello', 'hello']);
    expect(new Set(idsSent()).size).toBe(1);
    expect(outbox.value).toEqual([]);
  });

  test('waits for as long as the server asks to, also with what is written meanwhile', async () => {
    ask.mockRejectedValueOnce(new ApiError(400, 'rate_limited', '', {}, 20))
      .mockResolvedValue({ status: 'ok', message_id: idAt(9), timestamp: message(9).timestamp });
    send({ chat_id: CHAT, message: 'too much' });
    await vi.advanceTimersByTimeAsync(10_000);
    send({ chat_id: CHAT, message: 'more' });
    resume();
    await vi.advanceTimersByTimeAsync(9_000);
    expect(sent()).toEqual(['too much']);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sent()).toEqual(['too much', 'too much', 'more']);
    expect(outbox.value).toEqual([]);
  });

  test('holds up no other chat where the server can’t take what is for one, and is tried there no more often for what the others send', async () => {
    ask.mockImplementation(async (event, { chat_id }) => {
      if (event === 'send_message' && chat_id === CHAT) throw new ApiError(400, 'unavailable', '', {}, 2);
      return { status: 'ok', message_id: idAt(9), timestamp: message(9).timestamp };
    });
    const stuck = () => sent().filter((text) => text === 'stuck').length;
    send({ chat_id: CHAT, message: 'stuck' });
    for (let second = 0; second < 60; second += 1) {
      send({ chat_id: OTHER, message: `first ${second}` });
      send({ chat_id: OTHER, message: `second ${second}` });
      await vi.advanceTimersByTimeAsync(1_000);
      expect(sent()).toEqual(expect.arrayContaining([`first ${second}`, `second ${second}`]));
    }
    expect(stuck()).toBeGreaterThan(2);
    expect(stuck()).toBeLessThan(8);
    expect(outbox.value.map((one) => one.message)).toEqual(['stuck']);
  });

  test.each(['unavailable', 'rate_limited'])('to many chats at once is one try, however many are refused: %s', async (code) => {
    const many = Array.from({ length: 8 }, (_, n) => `dddddddd-0000-5000-8000-00000000001${n}`);
    for (let n = 0; n < many.length; n += 1) ask.mockRejectedValueOnce(new ApiError(400, code, '', {}, 1));
    ask.mockResolvedValue({ status: 'ok', message_id: idAt(9), timestamp: message(9).timestamp });
    for (const chat_id of many) send({ chat_id, message: 'to all' });
    await vi.advanceTimersByTimeAsync(900);
    expect(sent()).toHaveLength(8);
    await vi.advanceTimersByTimeAsync(1_200);
    expect(outbox.value).toEqual([]);
  });

  test('is tried at once where its author writes on after long trouble, but not before the server wants it', async () => {
    ask.mockRejectedValue(new ApiError(400, 'unavailable', '', {}, 2));
    send({ chat_id: CHAT, message: 'one' });
    await vi.advanceTimersByTimeAsync(200_000);
    const before = sent().length;
    while (sent().length === before) await vi.advanceTimersByTimeAsync(500);
    ask.mockResolvedValue({ status: 'ok', message_id: idAt(9), timestamp: message(9).timestamp });
    send({ chat_id: CHAT, message: 'too early' });
    expect(sent()).toHaveLength(before + 1);
    await vi.advanceTimersByTimeAsync(2_000);
    send({ chat_id: CHAT, message: 'again' });
    await settle();
    expect(sent().slice(before + 1)).toEqual(['one', 'too early', 'again']);
  });

  test('waits for the connection, and goes on when it is there', async () => {
    link.value = 'offline';
    send({ chat_id: CHAT, message: 'later' });
    expect(sent()).toEqual([]);
    link.value = 'online';
    ask.mockResolvedValue({ status: 'ok', message_id: idAt(9), timestamp: message(9).timestamp });
    resume();
    await settle();
    expect(sent()).toEqual(['later']);
    expect(outbox.value).toEqual([]);
  });

  test('that the server refuses says why, does not hold up others, and can be tried again or given up', async () => {
    ask.mockRejectedValueOnce(new ApiError(400, 'blocked', 'blocked'));
    ask.mockResolvedValue({ status: 'ok', message_id: idAt(9), timestamp: message(9).timestamp });
    send({ chat_id: CHAT, message: 'refused' });
    send({ chat_id: CHAT, message: 'fine' });
    await vi.advanceTimersByTimeAsync(10);
    expect(outbox.value).toMatchObject([{ message: 'refused', state: 'failed', reason: expect.stringContaining('blocked') }]);
    retry(outbox.value[0]!.client_message_id);
    await vi.advanceTimersByTimeAsync(10);
    expect(sent()).toEqual(['refused', 'fine', 'refused']);
    expect(outbox.value).toEqual([]);
    link.value = 'offline';
    send({ chat_id: CHAT, message: 'given up' });
    discard(outbox.value[0]!.client_message_id);
    expect(outbox.value).toEqual([]);
  });

  test('that the server refuses says so wherever its author is by then', async () => {
    current.value = OTHER;
    ask.mockRejectedValueOnce(new ApiError(400, 'blocked', 'blocked'));
    send({ chat_id: CHAT, message: 'refused' });
    await settle();
    expect(toasts.value).toMatchObject([{ kind: 'error', header: strings.sendErrors.blocked, body: 'Bob', chat_id: CHAT }]);
    current.value = CHAT;
    ask.mockRejectedValueOnce(new ApiError(400, 'not_found', ''));
    send({ chat_id: CHAT, message: 'refused here' });
    await settle();
    expect(outbox.value.map((one) => one.state)).toEqual(['failed', 'failed']);
    expect(toasts.value).toHaveLength(1);
  });

  test('or changing that is refused for a block shows the block, which another device may have set', async () => {
    ask.mockRejectedValue(new ApiError(400, 'blocked', 'blocked'));
    blocks.mockResolvedValueOnce([{ user_id: BOB }]).mockResolvedValueOnce([]);
    send({ chat_id: CHAT, message: 'refused' });
    await settle();
    expect([...blocked.value]).toEqual([BOB]);
    await expect(edit(CHAT, idAt(1), 'changed')).rejects.toMatchObject({ code: 'blocked' });
    await settle();
    expect([...blocked.value]).toEqual([]);
  });

  test('asks first when a message waited for so long that it might be sent twice', async () => {
    ask.mockResolvedValue({ status: 'ok', message_id: idAt(9), timestamp: message(9).timestamp });
    link.value = 'offline';
    send({ chat_id: CHAT, message: 'from last week' });
    await vi.waitFor(async () => expect(await database.all('outbox')).not.toEqual([]));
    reset();
    identity.value = { user_id: ANN, username: 'ann' };
    await vi.advanceTimersByTimeAsync(8 * 86_400_000);
    await restoreOutbox();
    link.value = 'online';
    resume();
    expect(outbox.value).toMatchObject([{ state: 'failed', reason: strings.sentLongAgo }]);
    expect(sent()).toEqual([]);
    retry(outbox.value[0]!.client_message_id);
    await settle();
    expect(sent()).toEqual(['from last week']);
    expect(await database.all('outbox')).toEqual([]);
  });

  test('does not bring back what has arrived while the browser’s store was read', async () => {
    ask.mockResolvedValue({ status: 'ok', message_id: idAt(9), timestamp: message(9).timestamp });
    link.value = 'offline';
    send({ chat_id: CHAT, message: 'once' });
    const kept = [{ ...outbox.value[0]! }];
    vi.spyOn(database, 'all').mockResolvedValueOnce(kept);
    link.value = 'online';
    resume();
    await settle();
    await restoreOutbox();
    expect(outbox.value).toEqual([]);
  });

  test('is over when the message comes back before the acknowledgement does', async () => {
    ask.mockImplementation(() => new Promise(() => undefined));
    send({ chat_id: CHAT, message: 'quick' });
    const { client_message_id } = outbox.value[0]!;
    apply('receive_message', message(9, { sender_id: ANN, message: 'quick', client_message_id }), false);
    expect(outbox.value).toEqual([]);
    expect(ids(timelines.value.get(CHAT)!.messages)).toEqual([idAt(1), idAt(9)]);
  });
});

describe('what happens', () => {
  test('live and again by sync counts once', () => {
    for (const live of [true, false]) apply('receive_message', message(5), live);
    expect(chats.value.get(CHAT)).toMatchObject({ unread: 1, last: { message_id: idAt(5) } });
    expect(ids(timelines.value.get(CHAT)!.messages)).toEqual([idAt(1), idAt(5)]);
  });

  test('in the open chat is told to those who do not see it, each message of a burst, the same text again too', () => {
    current.value = CHAT;
    for (const n of [5, 6, 7]) apply('receive_message', message(n, { message: n === 7 ? 'bye' : 'hello' }), true);
    expect(announcements.value.map((one) => one.text)).toEqual(['hello', 'hello', 'bye'].map((text) => strings.announce('Bob', text)));
    expect(new Set(announcements.value.map((one) => one.key)).size).toBe(3);
  });

  test('to a message shows everywhere', () => {
    apply('receive_message', message(5), true);
    apply('message_edited', message(5, { message: 'better', edited_at: '2026-01-05T13:00:00.000Z' }), true);
    expect(chats.value.get(CHAT)!.last!.message).toBe('better');
    apply('message_deleted', { chat_id: CHAT, message_id: idAt(5) }, true);
    expect(timelines.value.get(CHAT)!.messages.at(-1)).toMatchObject({ deleted: true, message: '' });
    expect(chats.value.get(CHAT)!.last).toMatchObject({ deleted: true });
  });

  test('to the other member’s account takes the chat away', () => {
    apply('chat_deleted', { chat_id: CHAT }, true);
    expect([chats.value.has(CHAT), timelines.value.has(CHAT)]).toEqual([false, false]);
  });

  test('as receipts moves the ticks of own messages only', () => {
    apply('receipt', { chat_id: CHAT, user_id: BOB, delivered_up_to: idAt(3), read_up_to: idAt(2) }, true);
    expect(chats.value.get(CHAT)!.theirs).toEqual({ delivered: idAt(3), read: idAt(2) });
    expect(chats.value.get(CHAT)!.mine).toEqual({ delivered: null, read: null });
  });

  test('as an event of a later server, or as nonsense, changes nothing', () => {
    const before = chats.value;
    apply('something_new', { chat_id: CHAT }, true);
    apply('receive_message', null, true);
    expect(chats.value).toBe(before);
  });
});
