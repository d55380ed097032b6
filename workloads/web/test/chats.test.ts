import { describe, expect, test } from 'vitest';
import { edited, erased, loaded, opened, receipted, received, removed, sorted, unconfirmed, unreadOf, type Chats } from '../src/store/chats';
import { timeOf } from '../src/store/ids';
import { ANN, BOB, CHAT, entry, idAt, message } from './sample';

const NOW = Date.UTC(2026, 0, 6);
const start = (fields = {}): Chats => loaded(new Map(), [entry(fields)], ANN, NOW);
const chatOf = (chats: Chats) => chats.get(CHAT)!;

describe('unread', () => {
  test('counts what the other member wrote, each message once', () => {
    let chats = received(start(), message(1), ANN);
    chats = received(chats, message(1), ANN);
    chats = received(chats, message(2), ANN);
    expect(chatOf(chats).unread).toBe(2);
    expect(unreadOf(chats)).toBe(2);
  });

  test('does not count own messages from another device, nor what was read there', () => {
    let chats = received(start(), message(1, { sender_id: ANN }), ANN);
    chats = receipted(chats, { chat_id: CHAT, user_id: ANN, read_up_to: idAt(5) }, ANN);
    chats = received(chats, message(4), ANN);
    expect(chatOf(chats).unread).toBe(0);
  });

  test('does not count what was deleted before this device heard of it', () => {
    const chats = received(received(start(), message(1, { deleted: true }), ANN), message(2), ANN);
    expect(chatOf(chats)).toMatchObject({ unread: 1, last: { message_id: idAt(2) } });
  });

  test('is nothing after the last message was read', () => {
    const chats = receipted(received(start(), message(1), ANN), { chat_id: CHAT, user_id: ANN, read_up_to: idAt(1) }, ANN);
    expect(chatOf(chats).unread).toBe(0);
  });

  test('is counted anew when only a part was read and all of it is known', () => {
    const seen = [message(0), message(1), message(2), message(3, { sender_id: ANN }), message(4)];
    const chats = start({ last_message: message(4), unread: 4 });
    const half = receipted(chats, { chat_id: CHAT, user_id: ANN, read_up_to: idAt(1) }, ANN, seen);
    expect(chatOf(half).unread).toBe(2);
    const unknown = receipted(chats, { chat_id: CHAT, user_id: ANN, read_up_to: idAt(1) }, ANN, seen.slice(3));
    expect(chatOf(unknown).unread).toBe(4);
  });

  test('a muted chat does not count in the whole', () => {
    expect(unreadOf(start({ last_message: message(1), unread: 3, muted: true }))).toBe(0);
  });
});

describe('receipts', () => {
  test('of the other member only move forwards', () => {
    let chats = receipted(start(), { chat_id: CHAT, user_id: BOB, delivered_up_to: idAt(3), read_up_to: idAt(2) }, ANN);
    chats = receipted(chats, { chat_id: CHAT, user_id: BOB, delivered_up_to: idAt(1), read_up_to: null }, ANN);
    expect(chatOf(chats).theirs).toEqual({ delivered: idAt(3), read: idAt(2) });
  });

  test('what is read has been delivered', () => {
    const chats = receipted(start(), { chat_id: CHAT, user_id: BOB, read_up_to: idAt(2) }, ANN);
    expect(chatOf(chats).theirs.delivered).toBe(idAt(2));
  });

  test('are due for the newest message of the other member, until they are given', () => {
    const chats = received(start(), message(1), ANN);
    expect(unconfirmed(chatOf(chats), ANN)).toBe(idAt(1));
    const given = receipted(chats, { chat_id: CHAT, user_id: ANN, delivered_up_to: idAt(1) }, ANN);
    expect(unconfirmed(chatOf(given), ANN)).toBeNull();
    expect(unconfirmed(chatOf(received(given, message(2, { sender_id: ANN }), ANN)), ANN)).toBeNull();
  });
});

test('receipts are due, too, for a message that was answered from another device before this one was told of it', () => {
  let chats = received(start(), message(1), ANN);
  chats = received(chats, message(2, { sender_id: ANN }), ANN);
  expect(unconfirmed(chatOf(chats), ANN)).toBe(idAt(1));
  chats = loaded(chats, [entry({ last_message: message(2, { sender_id: ANN }) })], ANN, NOW);
  expect(unconfirmed(chatOf(chats), ANN)).toBe(idAt(1));
  expect(unconfirmed(chatOf(receipted(chats, { chat_id: CHAT, user_id: ANN, read_up_to: idAt(1) }, ANN)), ANN)).toBeNull();
});

describe('the list', () => {
  test('has the newest activity first', () => {
    const other = 'dddddddd-0000-5000-8000-000000000004';
    let chats = loaded(new Map(), [entry({ last_message: message(5) }), entry({ chat_id: other, last_message: message(2, { chat_id: other }) })], ANN, NOW);
    expect(sorted(chats).map((chat) => chat.chat_id)).toEqual([CHAT, other]);
    chats = received(chats, message(6, { chat_id: other }), ANN);
    expect(sorted(chats).map((chat) => chat.chat_id)).toEqual([other, CHAT]);
    expect(chats.get(other)!.activity).toBe(timeOf(idAt(6)));
  });

  test('a chat that was just started is first', () => {
    const chats = opened(start({ last_message: message(5) }), 'new', { user_id: BOB, username: 'bob', display_name: 'Bob' }, NOW);
    expect(sorted(chats)[0]!.chat_id).toBe('new');
  });

  test('keeps what came by itself while the list was on its way', () => {
    const live = received(start(), message(9), ANN);
    const chat = chatOf(loaded(live, [entry({ last_message: message(8), unread: 1 })], ANN, NOW));
    expect([chat.last!.message_id, chat.unread]).toEqual([idAt(9), 1]);
  });

  test('a chat that the server no longer has goes', () => {
    expect(loaded(start(), [], ANN, NOW).size).toBe(0);
    expect(removed(start(), CHAT).size).toBe(0);
  });

  test('shows edits and deletions of the last message only', () => {
    const chats = start({ last_message: message(2) });
    const later = message(2, { message: 'new', edited_at: '2026-01-05T13:00:00.000Z' });
    expect(chatOf(edited(chats, later)).last!.message).toBe('new');
    expect(chatOf(erased(chats, CHAT, idAt(2))).last).toMatchObject({ deleted: true, message: '' });
    expect(erased(chats, CHAT, idAt(1))).toBe(chats);
  });

  test('a message of a chat that is not known changes nothing', () => {
    const chats: Chats = new Map();
    expect(received(chats, message(1), ANN)).toBe(chats);
  });
});
