import './page';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ApiError } from '../src/api/problem';
import { loadUnread, trim } from '../src/session/history';
import { confirmSoon, startReading } from '../src/session/reading';
import { chats, current, identity, link, reset, skipped, timelines, visibleUpTo } from '../src/session/state';
import { loaded } from '../src/store/chats';
import { unseenAbove } from '../src/store/receipts';
import { ANN, CHAT, entry, idAt, ids, message } from './sample';

const { ask, history } = vi.hoisted(() => ({ ask: vi.fn(), history: vi.fn() }));
vi.mock('../src/socket/connection', () => ({ ask, tell: () => undefined, connected: () => true }));
vi.mock('../src/api/messages', () => ({ history, chats: vi.fn(), startChat: vi.fn(), search: vi.fn() }));

const PAGE = 50;
/** Messages from second `a` to second `b`. */
const from = (a: number, b: number) => Array.from({ length: b - a + 1 }, (_, n) => message(a + n));
const told = () => ask.mock.calls.filter(([event]) => event === 'message_read').map(([, payload]) => payload.message_id);
const shown = () => ids(timelines.value.get(CHAT)!.messages);

/** A chat of `all` messages, of which the first `read` are read, with its newest page loaded. */
function open(all: number, read: number) {
  chats.value = loaded(new Map(), [entry({ last_message: message(all), unread: all - read, read_up_to: read > 0 ? idAt(read) : null })], ANN, Date.now());
  timelines.value = new Map([[CHAT, { messages: from(Math.max(1, all - PAGE + 1), all), older: all > PAGE, newer: false }]]);
  history.mockImplementation(async (_: string, { before }: { before: string }) => {
    const older = from(1, all).filter((one) => one.message_id < before).slice(-PAGE);
    return { messages: [...older].reverse(), next_cursor: older[0]?.message_id === idAt(1) ? null : 'more' };
  });
}

beforeEach(() => {
  reset();
  ask.mockReset().mockResolvedValue({});
  history.mockReset();
  identity.value = { user_id: ANN, username: 'ann' };
  link.value = 'online';
});

describe('a chat with more unread messages than a page has', () => {
  test('is loaded up to the first of them', async () => {
    open(170, 40);
    await loadUnread(CHAT);
    expect(history).toHaveBeenCalledTimes(2);
    expect(shown()[0]).toBe(idAt(21));
  });

  test('is not loaded without end', async () => {
    open(2000, 0);
    await loadUnread(CHAT);
    expect(history).toHaveBeenCalledTimes(10);
    expect(unseenAbove(timelines.value.get(CHAT), null, 2000, ANN)).toBe(true);
  });

  test('asks for nothing when all of them are there', async () => {
    open(170, 150);
    await loadUnread(CHAT);
    expect(history).not.toHaveBeenCalled();
  });
});

describe('what is told as read', () => {
  startReading();

  test('leaves out what nobody can have seen, until it is loaded or its reader goes on without it', async () => {
    open(170, 40);
    current.value = CHAT;
    visibleUpTo.value = { chat_id: CHAT, message_id: idAt(170) };
    expect(told()).toEqual([]);
    await loadUnread(CHAT);
    await vi.waitFor(() => expect(told()).toEqual([idAt(170)]));
    current.value = null;
    open(1000, 0);
    current.value = CHAT;
    expect(told()).toHaveLength(1);
    visibleUpTo.value = { chat_id: CHAT, message_id: idAt(1000) };
    skipped.value = CHAT;
    expect(told()).toEqual([idAt(170), idAt(1000)]);
  });

  test('is nothing of the chat that one leaves when the next one can be seen already', () => {
    open(170, 0);
    skipped.value = CHAT;
    current.value = CHAT;
    visibleUpTo.value = { chat_id: 'another', message_id: idAt(170) };
    expect(told()).toEqual([]);
    visibleUpTo.value = { chat_id: CHAT, message_id: idAt(160) };
    expect(told()).toEqual([idAt(160)]);
  });

  test('is an answer to many messages of one’s own at once', async () => {
    // Read long ago, and 60 messages of one's own since: those are nothing to be read.
    const own = from(2, 61).map((one) => ({ ...one, sender_id: ANN }));
    chats.value = loaded(new Map(), [entry({ last_message: message(62), unread: 1, read_up_to: idAt(1) })], ANN, Date.now());
    timelines.value = new Map([[CHAT, { messages: [...own.slice(-49), message(62)], older: true, newer: false }]]);
    current.value = CHAT;
    visibleUpTo.value = { chat_id: CHAT, message_id: idAt(62) };
    expect(told()).toEqual([idAt(62)]);
  });
});

describe('a receipt that the server refuses', () => {
  const refused = new ApiError(400, 'rate_limited', '', {}, 20);
  const calls = (name: string) => ask.mock.calls.filter(([event]) => event === name).length;
  beforeEach(() => { vi.useFakeTimers(); });
  afterEach(() => { vi.useRealTimers(); });

  test('is given again when the server wants it, though nothing else happens', async () => {
    ask.mockRejectedValueOnce(refused);
    open(3, 1);
    current.value = CHAT;
    visibleUpTo.value = { chat_id: CHAT, message_id: idAt(3) };
    await vi.advanceTimersByTimeAsync(19_000);
    expect([calls('message_read'), chats.value.get(CHAT)!.unread]).toEqual([1, 2]);
    await vi.advanceTimersByTimeAsync(41_000);
    expect([calls('message_read'), chats.value.get(CHAT)!.unread]).toEqual([2, 0]);
  });

  test('is given again, too, when it says that a message has come', async () => {
    ask.mockRejectedValueOnce(refused);
    open(3, 1);
    confirmSoon();
    await vi.advanceTimersByTimeAsync(60_000);
    expect([calls('message_delivered'), chats.value.get(CHAT)!.mine.delivered]).toEqual([2, idAt(3)]);
  });

  describe('with those of many other chats', () => {
    const many = Array.from({ length: 10 }, (_, n) => `${CHAT.slice(0, -2)}${n + 10}`);
    beforeEach(() => {
      chats.value = loaded(new Map(), many.map((chat_id) => entry({ chat_id, last_message: message(3, { chat_id }), unread: 1 })), ANN, Date.now());
    });

    test('waits no longer than one that is refused alone', async () => {
      ask.mockRejectedValue(new ApiError(0, 'timeout', ''));
      confirmSoon();
      await vi.advanceTimersByTimeAsync(100);
      expect(calls('message_delivered')).toBe(10);
      // From 1 s to 2 s after the first try, from 2 s to 4 s after the second.
      await vi.advanceTimersByTimeAsync(2_100);
      expect(calls('message_delivered')).toBe(20);
      await vi.advanceTimersByTimeAsync(4_100);
      expect(calls('message_delivered')).toBe(30);
    });

    test('waits for as long as the server wants for any of them', async () => {
      ask.mockRejectedValueOnce(new ApiError(0, 'timeout', '')).mockRejectedValueOnce(refused);
      confirmSoon();
      await vi.advanceTimersByTimeAsync(19_000);
      expect(calls('message_delivered')).toBe(10);
      await vi.advanceTimersByTimeAsync(22_000);
      expect(calls('message_delivered')).toBe(12);
    });
  });

  test('for good is not given again', async () => {
    ask.mockRejectedValueOnce(new ApiError(400, 'not_found', ''));
    open(3, 1);
    confirmSoon();
    await vi.advanceTimersByTimeAsync(120_000);
    expect(calls('message_delivered')).toBe(1);
  });
});

test('a long chat does not only grow: at its end the oldest messages are let go', () => {
  open(500, 500);
  timelines.value = new Map([[CHAT, { messages: from(1, 401), older: false, newer: true }]]);
  trim(CHAT);
  expect(shown()).toHaveLength(401);
  timelines.value = new Map([[CHAT, { messages: from(1, 401), older: false, newer: false }]]);
  trim(CHAT);
  expect([shown().length, shown()[0], timelines.value.get(CHAT)!.older]).toEqual([200, idAt(202), true]);
});

test('what the system shows of a chat goes when the chat is read', async () => {
  const closed: string[] = [];
  const shown = [CHAT, 'another'].map((tag) => ({ tag, close: () => closed.push(tag) }));
  const getNotifications = async ({ tag }: { tag: string }) => shown.filter((one) => one.tag === tag);
  vi.stubGlobal('navigator', { onLine: true, serviceWorker: { getRegistration: async () => ({ getNotifications }) } });
  Object.assign(window, { isSecureContext: true, PushManager: class {} });
  startReading();
  open(3, 1);
  current.value = CHAT;
  expect(closed).toEqual([]);
  visibleUpTo.value = { chat_id: CHAT, message_id: idAt(3) };
  await vi.waitFor(() => expect(closed).toEqual([CHAT]));
});
