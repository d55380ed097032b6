import './page';
import { afterEach, beforeEach, expect, test } from 'vitest';
import * as database from '../src/idb/database';
import { begin, end, forget, keepFor } from '../src/session/expiry';
import { chats, reset, setTimeline, timelines } from '../src/session/state';
import { loaded } from '../src/store/chats';
import { borderOf, chatsSince, timelineSince } from '../src/store/expiry';
import { timeOf } from '../src/store/ids';
import { ANN, CHAT, entry, idAt, ids, message } from './sample';

const at = (n: number) => timeOf(idAt(n));
const three = [message(1), message(2), message(3)];
const list = () => loaded(new Map(), [entry({ last_message: message(3), unread: 2 })], ANN, at(4));

beforeEach(async () => {
  await database.clearAll();
  reset();
});
afterEach(end);

test('a part of a history loses what is too old, and has nothing before it then', () => {
  const timeline = { messages: three, older: true, newer: false };
  expect(timelineSince(timeline, at(0))).toBe(timeline);
  expect(timelineSince(timeline, at(2))).toEqual({ messages: [three[2]], older: false, newer: false });
  expect(timelineSince(timeline, at(3))).toEqual({ messages: [], older: false, newer: false });
  expect(timelineSince({ ...timeline, newer: true }, at(3))).toBeNull();
  const empty = { messages: [], older: false, newer: false };
  expect(timelineSince(empty, at(3))).toBe(empty);
});

test('a chat stays, without its last message and with nothing to be read', () => {
  const before = list();
  expect(chatsSince(before, at(2))).toBe(before);
  expect(chatsSince(before, at(3)).get(CHAT)).toEqual({ ...before.get(CHAT), last: null, unread: 0 });
});

test('without a rule nothing is too old', () => {
  expect(borderOf(at(9), null)).toBeNull();
  expect(borderOf(at(9), 5)).toBe(at(4));
});

test('what the server says is kept to at once, and after the next start before it is heard of again', async () => {
  const fill = () => {
    chats.value = list();
    setTimeline(CHAT, { messages: three, older: true, newer: false });
  };
  await begin();
  fill();
  forget(at(1000));
  expect(ids(timelines.value.get(CHAT)!.messages)).toEqual(ids(three));
  keepFor(10);
  expect(timelines.value.get(CHAT)!.messages).toEqual([]);
  expect(chats.value.get(CHAT)!.last).toBeNull();
  reset();
  await begin();
  fill();
  forget(at(12));
  expect(ids(timelines.value.get(CHAT)!.messages)).toEqual([idAt(3)]);
  keepFor(null);
  reset();
  await begin();
  fill();
  forget(at(1000));
  expect(ids(timelines.value.get(CHAT)!.messages)).toEqual(ids(three));
});
