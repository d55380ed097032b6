import './page';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { apply } from '../src/session/events';
import { announcements, chats, current, identity, reset, timelines } from '../src/session/state';
import { toasts } from '../src/session/toasts';
import { loaded } from '../src/store/chats';
import { ANN, CHAT, entry, idAt, message } from './sample';

const { server } = vi.hoisted(() => ({ server: { chats: vi.fn() } }));
vi.mock('../src/socket/connection', () => ({ ask: async () => ({}), tell: () => undefined, connected: () => false }));
vi.mock('../src/api/messages', () => ({ ...server, history: vi.fn(), startChat: vi.fn(), search: vi.fn() }));

const unread = () => chats.value.get(CHAT)!.unread;

beforeEach(() => {
  reset();
  server.chats.mockReset();
  identity.value = { user_id: ANN, username: 'ann' };
  chats.value = loaded(new Map(), [entry({ last_message: message(5), unread: 3, read_up_to: idAt(2) })], ANN, Date.UTC(2026, 0, 6));
});

test('an unread message that its author deletes is no longer counted', async () => {
  server.chats.mockResolvedValue({ entries: [entry({ last_message: message(5), unread: 2, read_up_to: idAt(2) })], next: null });
  apply('message_deleted', { chat_id: CHAT, message_id: idAt(4) }, true);
  await vi.waitFor(() => expect(unread()).toBe(2));
});

test('what was read on another device is no longer counted, though its messages are not here', async () => {
  server.chats.mockResolvedValue({ entries: [entry({ last_message: message(5), unread: 1, read_up_to: idAt(4) })], next: null });
  apply('receipt', { chat_id: CHAT, user_id: ANN, read_up_to: idAt(4) }, true);
  await vi.waitFor(() => expect(unread()).toBe(1));
});

test('where the messages are here they are counted here, without those that were deleted', () => {
  timelines.value = new Map([[CHAT, { messages: [message(2), message(3), message(4, { deleted: true }), message(5)], older: false, newer: false }]]);
  apply('receipt', { chat_id: CHAT, user_id: ANN, read_up_to: idAt(3) }, true);
  expect(unread()).toBe(1);
});

describe('a message of the other member that comes after a newer one of one’s own', () => {
  const own = message(7, { sender_id: ANN });
  beforeEach(() => {
    chats.value = loaded(new Map(), [entry({ last_message: own, read_up_to: idAt(2) })], ANN, Date.UTC(2026, 0, 6));
    server.chats.mockResolvedValue({ entries: [entry({ last_message: own, unread: 1, read_up_to: idAt(2) })], next: null });
  });

  test('is counted by the server, and told, once', async () => {
    apply('receive_message', message(6), true);
    apply('receive_message', message(6), true);
    expect(toasts.value.map((one) => one.message_id)).toEqual([idAt(6)]);
    await vi.waitFor(() => expect(unread()).toBe(1));
    expect(server.chats).toHaveBeenCalledOnce();
  });

  test('is read out where its chat is open', () => {
    current.value = CHAT;
    apply('receive_message', message(6), true);
    apply('receive_message', message(6), true);
    expect(announcements.value.map((one) => one.text)).toEqual([expect.stringContaining('text 6')]);
  });

  test('is no news when it was read already, or when this device was away', async () => {
    apply('receive_message', message(1), true);
    apply('receive_message', message(6), false);
    expect(toasts.value).toEqual([]);
    await vi.waitFor(() => expect(unread()).toBe(1));
  });
});
