import './page';
import { beforeEach, expect, test, vi } from 'vitest';
import { ApiError } from '../src/api/problem';
import { apply } from '../src/session/events';
import { isTurning, loadAround, loadNewest, loadOlder } from '../src/session/history';
import { send } from '../src/session/sending';
import { chats, identity, link, outbox, reset, timelines } from '../src/session/state';
import type { Message } from '../src/api/types';
import { loaded } from '../src/store/chats';
import { ANN, BOB, CHAT, entry, idAt, message } from './sample';

const { ask, history } = vi.hoisted(() => ({ ask: vi.fn(), history: vi.fn() }));
vi.mock('../src/socket/connection', () => ({ ask, tell: () => undefined, connected: () => true }));
vi.mock('../src/api/messages', () => ({ history, chats: async () => ({ entries: [], next: null }), startChat: vi.fn(), search: vi.fn() }));

/** Answers, one after another, to what is asked of the history: when the test says so, with what it had when it was asked. */
let answers: ((messages: Message[], more?: { next_cursor?: string; prev_cursor?: string }) => void)[];
const shown = () => timelines.value.get(CHAT)!.messages.map((one) => (one.deleted ? 'deleted' : one.message));

beforeEach(() => {
  reset();
  answers = [];
  ask.mockReset();
  history.mockReset().mockImplementation(() => new Promise((resolve) => {
    answers.push((messages, more = {}) => resolve({ messages: [...messages].reverse(), ...more }));
  }));
  identity.value = { user_id: ANN, username: 'ann' };
  link.value = 'online';
  chats.value = loaded(new Map(), [entry({ last_message: message(1) })], ANN, Date.now());
});

test('a message that is sent while a chat is being opened stays', async () => {
  ask.mockResolvedValue({ status: 'ok', message_id: idAt(2), timestamp: message(2).timestamp });
  const opened = loadNewest(CHAT);
  send({ chat_id: CHAT, message: 'hello' });
  await vi.waitFor(() => expect(outbox.value).toEqual([]));
  answers[0]!([message(1)]);
  await opened;
  expect(shown()).toEqual(['text 1', 'hello']);
});

test('a message that a page of history has is no longer on its way', async () => {
  ask.mockReturnValue(new Promise(() => undefined));
  const opened = loadNewest(CHAT);
  send({ chat_id: CHAT, message: 'hello' });
  const { client_message_id } = outbox.value[0]!;
  answers[0]!([message(1), message(2, { sender_id: ANN, message: 'hello', client_message_id })]);
  await opened;
  expect(shown()).toEqual(['text 1', 'hello']);
  expect(outbox.value).toEqual([]);
});

test('what happens while a page is on its way is not undone by it', async () => {
  const opened = loadNewest(CHAT);
  apply('message_edited', message(1, { message: 'edited', edited_at: message(4).timestamp }), true);
  apply('message_deleted', { chat_id: CHAT, message_id: idAt(2) }, true);
  apply('receive_message', message(3), true);
  answers[0]!([message(1), message(2)], { next_cursor: 'more' });
  await opened;
  expect(shown()).toEqual(['edited', 'deleted', 'text 3']);
  const older = loadOlder(CHAT);
  apply('message_deleted', { chat_id: CHAT, message_id: idAt(0) }, true);
  answers[1]!([message(0)]);
  await older;
  expect(shown()).toEqual(['deleted', 'edited', 'deleted', 'text 3']);
});

test('what happens while one jumps into the past does not close the gap to it', async () => {
  timelines.value = new Map([[CHAT, { messages: [message(90)], older: true, newer: false }]]);
  const jumped = loadAround(CHAT, idAt(5));
  apply('receive_message', message(91), true);
  apply('message_deleted', { chat_id: CHAT, message_id: idAt(5) }, true);
  answers[0]!([message(4), message(5)], { next_cursor: 'more', prev_cursor: 'more' });
  expect(await jumped).toBe(true);
  expect(shown()).toEqual(['text 4', 'deleted']);
});

test('who turns from the past to the newest message gets there though a look at it is under way', async () => {
  timelines.value = new Map([[CHAT, { messages: [message(1)], older: false, newer: true }]]);
  const looked = loadNewest(CHAT);
  const turned = loadNewest(CHAT, true);
  for (const answer of answers) answer([message(8), message(9)]);
  await Promise.all([looked, turned]);
  expect(shown()).toEqual(['text 8', 'text 9']);
});

test('who could not be taken from the past to the newest message is taken there by the next load, unless turning elsewhere', async () => {
  timelines.value = new Map([[CHAT, { messages: [message(1)], older: false, newer: true }]]);
  const fails = async () => {
    history.mockRejectedValueOnce(new ApiError(0, 'network', ''));
    await expect(loadNewest(CHAT, true)).rejects.toThrow();
  };
  await fails();
  expect(isTurning(CHAT)).toBe(true);
  await loadAround(CHAT, idAt(1));
  expect(isTurning(CHAT)).toBe(false);
  await fails();
  const next = loadNewest(CHAT);
  answers[0]!([message(8), message(9)]);
  await next;
  expect([shown(), isTurning(CHAT)]).toEqual([['text 8', 'text 9'], false]);
});

test('of two jumps the later one leads somewhere, whichever part comes first', async () => {
  timelines.value = new Map([[CHAT, { messages: [message(90)], older: true, newer: false }]]);
  const jumps = [loadAround(CHAT, idAt(5)), loadAround(CHAT, idAt(50))];
  answers[1]!([message(50)], { next_cursor: 'more', prev_cursor: 'more' });
  await jumps[1];
  answers[0]!([message(5)], { next_cursor: 'more', prev_cursor: 'more' });
  expect(await jumps[0]).toBe(true);
  expect(shown()).toEqual(['text 50']);
});

test('who turns to the newest message, or to one that is there, is not led away by an earlier jump', async () => {
  timelines.value = new Map([[CHAT, { messages: [message(90)], older: true, newer: true }]]);
  const [jumped, turned] = [loadAround(CHAT, idAt(5)), loadNewest(CHAT, true)];
  answers[1]!([message(99)], { next_cursor: 'more' });
  await turned;
  answers[0]!([message(5)]);
  await jumped;
  expect(shown()).toEqual(['text 99']);
  const again = loadAround(CHAT, idAt(5));
  await loadAround(CHAT, idAt(99));
  answers[2]!([message(5)]);
  await again;
  expect(shown()).toEqual(['text 99']);
});

test('a page that comes after its reader has logged out is not the next one’s, who loads the same chat', async () => {
  const hers = loadNewest(CHAT);
  reset();
  identity.value = { user_id: BOB, username: 'bob' };
  const his = loadNewest(CHAT);
  answers[0]!([message(1)]);
  await hers;
  expect(timelines.value.size).toBe(0);
  // There is still one load at a time.
  const again = loadNewest(CHAT);
  expect(answers).toHaveLength(2);
  answers[1]!([message(2)]);
  await Promise.all([his, again]);
  expect(shown()).toEqual(['text 2']);
});
