import './page';
import { beforeEach, expect, test, vi } from 'vitest';
import { ApiError } from '../src/api/problem';
import * as database from '../src/idb/database';
import { drafts, flushDrafts, setDraft } from '../src/session/drafts';
import { media, type Shown } from '../src/session/media';
import { resume, send } from '../src/session/sending';
import { identity, link, outbox, reset } from '../src/session/state';
import { takeBack, withdraw } from '../src/session/takeback';
import { FILES_MAX, giveBack, takeUploads, uploads } from '../src/session/uploads';
import type { Media } from '../src/api/types';
import { ANN, CHAT, idAt } from './sample';

/** A chat of which nothing is on its way. */
const OTHER = 'dddddddd-0000-5000-8000-000000000004';
const { ask } = vi.hoisted(() => ({ ask: vi.fn() }));
vi.mock('../src/socket/connection', () => ({ ask, tell: () => undefined, connected: () => true }));

/** A message that the server refuses. */
async function refused(message: string, more: { attachments?: string[]; reply_to?: string } = {}): Promise<string> {
  ask.mockRejectedValueOnce(new ApiError(400, 'blocked', 'blocked'));
  send({ chat_id: CHAT, message, ...more });
  await vi.waitFor(() => expect(outbox.value.at(-1)?.state).toBe('failed'));
  return outbox.value.at(-1)!.client_message_id;
}

beforeEach(async () => {
  await database.clearAll();
  reset();
  identity.value = { user_id: ANN, username: 'ann' };
  link.value = 'online';
});

test('a message that failed is in the field again, and on its way no more', async () => {
  const id = await refused('first try', { reply_to: idAt(1) });
  expect(takeBack(id)).toMatchObject({ reply_to: idAt(1) });
  expect(drafts.value.get(CHAT)).toBe('first try');
  expect(outbox.value).toEqual([]);
  await flushDrafts();
  expect(await database.all('outbox')).toEqual([]);
  expect(await database.all('drafts')).toEqual([{ chat_id: CHAT, text: 'first try' }]);
  expect(takeBack(id)).toBeNull();
});

test('what was being written stays, after it', async () => {
  const id = await refused('first try');
  setDraft(CHAT, 'and then');
  takeBack(id);
  expect(drafts.value.get(CHAT)).toBe('first try\nand then');
});

test('its files are there again, without those that are gone', async () => {
  const id = await refused('look', { attachments: ['a', 'b'] });
  media.value = new Map<string, Shown>([['a', { media_id: 'a', filename: 'sun.png', content_type: 'image/png', size: 9, url: '' } as Media], ['b', 'gone']]);
  takeBack(id);
  expect(uploads.value.get(CHAT)).toMatchObject([{ name: 'sun.png', kind: 'image', state: 'done', media_id: 'a' }]);
  expect(takeUploads(CHAT).map((one) => one.media_id)).toEqual(['a']);
});

test('it stays where it is when there is no room for its files', async () => {
  const id = await refused('look', { attachments: ['a'] });
  giveBack(CHAT, Array.from({ length: FILES_MAX }, (_, n) => `other ${n}`));
  expect(takeBack(id)).toBeNull();
  expect(outbox.value).toHaveLength(1);
  expect(drafts.value.size).toBe(0);
});

test('one that is on its way is not taken back', () => {
  ask.mockReturnValueOnce(new Promise(() => undefined));
  send({ chat_id: CHAT, message: 'under way' });
  expect(takeBack(outbox.value[0]!.client_message_id)).toBeNull();
  expect(outbox.value).toHaveLength(1);
});

test('one that nobody was asked to send yet is taken back or discarded, and never sent', async () => {
  ask.mockReset();
  link.value = 'offline';
  send({ chat_id: OTHER, message: 'to be changed' });
  send({ chat_id: OTHER, message: 'to be forgotten' });
  const [changed, forgotten] = outbox.value.map((one) => one.client_message_id);
  expect(takeBack(changed!)).not.toBeNull();
  expect(drafts.value.get(OTHER)).toBe('to be changed');
  withdraw(forgotten!);
  expect(outbox.value).toEqual([]);
  link.value = 'online';
  resume();
  expect(ask).not.toHaveBeenCalled();
  await vi.waitFor(async () => expect(await database.all('outbox')).toEqual([]));
});

test('one that another tab is sending is neither', async () => {
  ask.mockReset();
  link.value = 'offline';
  send({ chat_id: OTHER, message: 'sent by another tab' });
  const id = outbox.value[0]!.client_message_id;
  const tab = new BroadcastChannel('sentinel-discarded');
  tab.postMessage({ tried: id });
  await vi.waitFor(() => expect(outbox.value[0]!.tried).toBe(true));
  expect(takeBack(id)).toBeNull();
  withdraw(id);
  expect(outbox.value).toHaveLength(1);
  tab.close();
});

test('one that the server may have, though it did not answer, is neither: it is known once there is a network', async () => {
  ask.mockReset();
  ask.mockRejectedValueOnce(new ApiError(0, 'timeout', ''));
  send({ chat_id: OTHER, message: 'perhaps there' });
  await vi.waitFor(() => expect(ask).toHaveBeenCalledOnce());
  link.value = 'offline';
  const id = outbox.value[0]!.client_message_id;
  expect(takeBack(id)).toBeNull();
  withdraw(id);
  expect(outbox.value).toHaveLength(1);
  // Also when the page was closed in between.
  await vi.waitFor(async () => expect(await database.all('outbox')).toMatchObject([{ tried: true }]));
});
