import './page';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { apply } from '../src/session/events';
import { chatWith, reload } from '../src/session/listing';
import { preferences } from '../src/session/preferences';
import { chatList, chats, identity, reset } from '../src/session/state';
import { loaded } from '../src/store/chats';
import type { ChatEntry, Preferences, Profile } from '../src/api/types';
import { ANN, CHAT, entry, message } from './sample';

const { server } = vi.hoisted(() => ({ server: { chats: vi.fn(), startChat: vi.fn() } }));
vi.mock('../src/socket/connection', () => ({ ask: async () => ({}), tell: () => undefined, connected: () => false }));
vi.mock('../src/api/messages', () => ({ ...server, history: vi.fn(), search: vi.fn() }));

const OTHER = 'dddddddd-0000-5000-8000-000000000004';
const NEW = 'eeeeeeee-0000-5000-8000-000000000005';
const first = entry({ last_message: message(2) });
const second = entry({ chat_id: OTHER, last_message: message(1, { chat_id: OTHER }) });
const shown = () => chatList.value.map((chat) => chat.chat_id);

/** Asks for the list, has `meanwhile` happen, then lets the answer come. */
async function answered(entries: ChatEntry[], meanwhile: () => unknown) {
  let answer = (_: ChatEntry[]) => undefined as void;
  server.chats.mockReturnValueOnce(new Promise((resolve) => { answer = resolve; }));
  const reloaded = reload();
  await meanwhile();
  answer(entries);
  await reloaded;
}

beforeEach(() => {
  reset();
  identity.value = { user_id: ANN, username: 'ann' };
  chats.value = loaded(new Map(), [first, second], ANN, Date.UTC(2026, 0, 6));
});

describe('while the list is on its way', () => {
  test('a chat that moves from a page not read yet to one read already stays', async () => {
    await answered([first], () => apply('receive_message', message(9, { chat_id: OTHER }), true));
    expect(shown()).toEqual([OTHER, CHAT]);
    expect(chats.value.get(OTHER)!.unread).toBe(1);
  });

  test('a chat that is opened stays', async () => {
    server.startChat.mockResolvedValueOnce({ chat_id: NEW, peer: first.peer });
    await answered([first, second], () => chatWith(first.peer as Profile));
    expect(shown()).toEqual([NEW, CHAT, OTHER]);
  });

  test('a chat that is deleted goes', async () => {
    await answered([first, second], () => apply('chat_deleted', { chat_id: OTHER }, true));
    expect(shown()).toEqual([CHAT]);
  });

  test('a chat of which nothing was heard goes when the list does not have it', async () => {
    await answered([first], () => apply('receive_message', message(9), true));
    expect(shown()).toEqual([CHAT]);
  });
});

test('a chat that is found again is muted if its user muted it', async () => {
  preferences.value = { muted: [{ chat_id: NEW, until: new Date(Date.now() + 60_000).toISOString() }] } as Preferences;
  server.startChat.mockResolvedValue({ chat_id: NEW, peer: first.peer });
  await chatWith(first.peer as Profile);
  expect(chats.value.get(NEW)!.muted).toBe(true);
  chats.value = new Map();
  preferences.value = { muted: [{ chat_id: NEW, until: new Date(Date.now() - 1).toISOString() }] } as Preferences;
  await chatWith(first.peer as Profile);
  expect(chats.value.get(NEW)!.muted).toBe(false);
});
