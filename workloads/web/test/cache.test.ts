import './page';
import { beforeEach, expect, test } from 'vitest';
import * as database from '../src/idb/database';
import { detach, flush, restore } from '../src/session/cache';
import { apply } from '../src/session/events';
import { chats, identity, reset, timelines } from '../src/session/state';
import { loaded } from '../src/store/chats';
import { ANN, CHAT, entry, ids, idAt, message } from './sample';

const list = (n: number) => loaded(new Map(), [entry({ last_message: message(n) })], ANN, Date.now());
const shown = async () => ids((await restore()).timelines.get(CHAT)?.messages ?? []);

beforeEach(async () => {
  await database.clearAll();
  detach();
  reset();
  identity.value = { user_id: ANN, username: 'ann' };
});

test('a chat that is restored has no gap after a search led into its past while new messages came', async () => {
  chats.value = list(10);
  timelines.value = new Map([[CHAT, { messages: [message(9), message(10)], older: true, newer: false }]]);
  await flush('t10');
  expect(await shown()).toEqual([9, 10].map(idAt));
  timelines.value = new Map([[CHAT, { messages: [message(1), message(2)], older: false, newer: true }]]);
  for (const n of [11, 12]) apply('receive_message', message(n), false);
  await flush('t12');
  expect(await shown()).toEqual([]);
  expect((await restore()).token).toBe('t12');
});

test('a chat that another tab did not have is not restored as far as this tab had it', async () => {
  chats.value = list(10);
  timelines.value = new Map([[CHAT, { messages: [message(9), message(10)], older: true, newer: false }]]);
  await flush('t10');
  // The other tab, which has the chat in its list only.
  detach();
  timelines.value = new Map();
  for (const n of [11, 12]) apply('receive_message', message(n), false);
  await flush('t12');
  expect(await shown()).toEqual([]);
});

test('a chat that is not in the list is not restored', async () => {
  await database.put('messages', CHAT, { chat_id: CHAT, messages: [message(1)], older: false });
  expect(await shown()).toEqual([]);
});
