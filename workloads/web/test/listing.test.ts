import './page';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { ApiError } from '../src/api/problem';
import { apply } from '../src/session/events';
import { chatWith, further, loadMore, reload, reloadSoon } from '../src/session/listing';
import { muteChat, preferences } from '../src/session/preferences';
import { chatList, chats, identity, reset, timelines } from '../src/session/state';
import { toasts } from '../src/session/toasts';
import { loaded } from '../src/store/chats';
import type { ChatEntry, Preferences, Profile } from '../src/api/types';
import { ANN, BOB, CHAT, entry, idAt, message } from './sample';

const { server } = vi.hoisted(() => ({ server: { chats: vi.fn(), startChat: vi.fn() } }));
vi.mock('../src/socket/connection', () => ({ ask: async () => ({}), tell: () => undefined, connected: () => false }));
vi.mock('../src/api/messages', () => ({ ...server, history: vi.fn(), search: vi.fn() }));

vi.mock('../src/api/credentials', () => ({ call: async (_method: string, _path: string, options?: { body?: object }) => options?.body ?? {} }));

const OTHER = 'dddddddd-0000-5000-8000-000000000004';
const NEW = 'eeeeeeee-0000-5000-8000-000000000005';
const first = entry({ last_message: message(2) });
const second = entry({ chat_id: OTHER, last_message: message(1, { chat_id: OTHER }) });
const shown = () => chatList.value.map((chat) => chat.chat_id);

/** An answer that comes when the test says so. */
function later() {
  let answer = (_: ChatEntry[], _next?: string | null) => undefined as void;
  server.chats.mockReturnValueOnce(new Promise((resolve) => { answer = (entries, next = null) => resolve({ entries, next }); }));
  return (entries: ChatEntry[], next?: string | null) => answer(entries, next);
}

/** Asks for the list, has `meanwhile` happen, then lets the answer come. */
async function answered(entries: ChatEntry[], meanwhile: () => unknown, next: string | null = null) {
  const answer = later();
  const reloaded = reload();
  await meanwhile();
  answer(entries, next);
  await reloaded;
}
const nothing = () => undefined;

beforeEach(() => {
  server.chats.mockReset();
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

  test('a chat that is deleted before any list has come does not come with it', async () => {
    chats.value = new Map();
    await answered([first, second], () => apply('chat_deleted', { chat_id: OTHER }, true));
    expect(shown()).toEqual([CHAT]);
  });

  test('a chat that is muted stays muted', async () => {
    await answered([first, second], () => muteChat(CHAT, true));
    expect(chats.value.get(CHAT)!.muted).toBe(true);
    await answered([{ ...first, muted: true }, second], () => muteChat(CHAT, false));
    expect(chats.value.get(CHAT)!.muted).toBe(false);
    await answered([{ ...first, muted: true }, second], nothing);
    expect(chats.value.get(CHAT)!.muted).toBe(true);
  });

  test('an edit or a deletion of the last message stays', async () => {
    await answered([first, second], () => {
      apply('message_edited', message(2, { message: 'edited', edited_at: message(4).timestamp }), true);
      apply('message_deleted', { chat_id: OTHER, message_id: idAt(1) }, true);
    });
    expect(chats.value.get(CHAT)!.last!.message).toBe('edited');
    expect(chats.value.get(OTHER)!.last!.deleted).toBe(true);
  });

  test('what is read is not unread again', async () => {
    const unread = entry({ last_message: message(4), unread: 4, read_up_to: idAt(0) });
    await answered([unread], nothing);
    timelines.value = new Map([[CHAT, { messages: [0, 1, 2, 3, 4].map((n) => message(n)), older: false, newer: false }]]);
    await answered([unread], () => apply('receipt', { chat_id: CHAT, user_id: ANN, read_up_to: idAt(2) }, true));
    expect(chats.value.get(CHAT)!.unread).toBe(2);
  });

  test('a newer list may come first', async () => {
    const [old, young] = [later(), later()];
    const both = [reload(), reload()];
    young([first, second]);
    await both[1];
    old([first]);
    await both[0];
    expect(shown()).toEqual([CHAT, OTHER]);
  });

  test('news of a chat that it does not have yet are told with the next list', async () => {
    await answered([first], () => apply('receive_message', message(9, { chat_id: NEW }), true));
    expect(toasts.value).toEqual([]);
    await answered([entry({ chat_id: NEW, last_message: message(9, { chat_id: NEW }) }), first], nothing);
    expect(toasts.value.map((one) => one.chat_id)).toEqual([NEW]);
  });
});

describe('a list that goes on', () => {
  const third = entry({ chat_id: NEW, last_message: message(0, { chat_id: NEW }) });

  test('is loaded on from where it ended, until there is no more', async () => {
    await answered([first], nothing, 'c1');
    expect(further.value?.cursor).toBe('c1');
    for (const [part, next] of [[second, 'c2'], [third, null]] as const) {
      const answer = later();
      const loading = loadMore();
      answer([part], next);
      await loading;
    }
    expect(server.chats.mock.calls.slice(1).map(([, from]) => from)).toEqual(['c1', 'c2']);
    expect(shown()).toEqual([CHAT, OTHER, NEW]);
    expect(further.value).toBeNull();
    await loadMore();
    expect(server.chats).toHaveBeenCalledTimes(3);
  });

  test('keeps what is below the part that is loaded again', async () => {
    await answered([first], nothing, 'c1');
    expect(shown()).toEqual([CHAT, OTHER]);
    await answered([first], nothing);
    expect(shown()).toEqual([CHAT]);
  });

  test('ends where it ended when its top is loaded again, which is all of it while the rest is not here', async () => {
    const pages = () => server.chats.mock.calls.map(([many]) => many > 1 ? 'all' : 'top');
    server.chats.mockRejectedValueOnce(new Error('no network'));
    await expect(reload({ top: true })).rejects.toThrow();
    server.chats.mockResolvedValueOnce({ entries: [first, second], next: 'c9' });
    await reload({ top: true });
    expect(pages()).toEqual(['all', 'all']);
    server.chats.mockResolvedValueOnce({ entries: [first], next: 'c1' });
    await reload({ top: true });
    expect(pages()).toEqual(['all', 'all', 'top']);
    expect([shown(), further.value?.cursor]).toEqual([[CHAT, OTHER], 'c9']);
    const full = later();
    const loading = reload();
    server.chats.mockResolvedValueOnce({ entries: [first], next: 'c1' });
    await reload({ top: true });
    expect(pages().at(-1)).toBe('all');
    full([first]);
    await loading;
  });

  test('is asked for again after as long as the server says', async () => {
    vi.useFakeTimers();
    server.chats.mockRejectedValueOnce(new ApiError(429, 'rate_limited', '', {}, 20)).mockResolvedValue({ entries: [first], next: null });
    reloadSoon();
    await vi.advanceTimersByTimeAsync(19_000);
    expect(server.chats).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(22_000);
    expect(server.chats).toHaveBeenCalledTimes(2);
    vi.useRealTimers();
  });

  test('is loaded up to the chat that an event tells of, by one call unless that is further down', async () => {
    vi.useFakeTimers();
    await answered([first], nothing, 'c1');
    const pages = () => server.chats.mock.calls.slice(1).map(([many]) => (many > 1 ? 'all' : 'top'));
    server.chats.mockResolvedValueOnce({ entries: [third, first], next: 'c1' });
    apply('receive_message', message(9, { chat_id: NEW }), true);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(pages()).toEqual(['top']);
    const OLD = 'ffffffff-0000-5000-8000-000000000006';
    server.chats.mockResolvedValueOnce({ entries: [third, first], next: 'c1' })
      .mockResolvedValueOnce({ entries: [third, first, second, entry({ chat_id: OLD })], next: null });
    apply('chat_started', { chat_id: OLD }, false);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(pages()).toEqual(['top', 'top', 'all']);
    expect(shown()).toContain(OLD);
    vi.useRealTimers();
  });

  test('is loaded again at its top for what is to be counted there, and as a whole for what is further down', async () => {
    vi.useFakeTimers();
    const many = Array.from({ length: 101 }, (_, n) => `dddddddd-0000-5000-8000-${String(n).padStart(12, '0')}`);
    const entries = many.map((chat_id, n) => entry({ chat_id, last_message: message(500 - n, { chat_id }), unread: 2 }));
    chats.value = new Map();
    await answered(entries, nothing, 'c1');
    server.chats.mockResolvedValue({ entries, next: 'c1' });
    const deleted = async (chat_id: string) => {
      apply('message_deleted', { chat_id, message_id: idAt(300) }, true);
      await vi.advanceTimersByTimeAsync(1_000);
      return server.chats.mock.lastCall![0];
    };
    expect(await deleted(many[99]!)).toBe(1);
    expect(await deleted(many[100]!)).toBeGreaterThan(1);
    vi.useRealTimers();
  });

  test('is not asked for while it is on its way, but once afterwards', async () => {
    vi.useFakeTimers();
    const answer = later();
    const loading = reload();
    for (let n = 0; n < 3; n += 1) {
      reloadSoon({ top: true });
      await vi.advanceTimersByTimeAsync(1_000);
    }
    expect(server.chats).toHaveBeenCalledTimes(1);
    server.chats.mockResolvedValue({ entries: [first], next: 'c1' });
    answer([first], 'c1');
    await loading;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(server.chats.mock.calls.map(([pages]) => pages)).toEqual([10, 1]);
    vi.useRealTimers();
  });

  test('is asked for by who logs in, whatever is still on its way for who has left', async () => {
    vi.useFakeTimers();
    later();
    void reload();
    reset();
    identity.value = { user_id: BOB, username: 'bob' };
    server.chats.mockResolvedValue({ entries: [], next: null });
    reloadSoon();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(server.chats).toHaveBeenCalledTimes(2);
    vi.useRealTimers();
  });

  test('goes on where a newer list ends', async () => {
    await answered([first], nothing, 'c1');
    const old = later();
    const loading = loadMore();
    await answered([first], nothing, 'c2');
    const young = later();
    old([], null);
    await vi.waitFor(() => expect(server.chats).toHaveBeenLastCalledWith(1, 'c2'));
    young([second], null);
    await loading;
    expect(shown()).toEqual([CHAT, OTHER]);
  });

  test('has its chats without messages in their places', async () => {
    const empty = entry({ chat_id: NEW });
    await answered([first], nothing, 'c1');
    const answer = later();
    const loading = loadMore();
    answer([empty]);
    await loading;
    expect(shown()).toEqual([CHAT, NEW, OTHER]);
  });

  test('is asked for again later when it can’t be had', async () => {
    vi.useFakeTimers();
    await answered([first], nothing, 'c1');
    const before = further.value;
    server.chats.mockRejectedValueOnce(new Error('no network'));
    await loadMore();
    expect(further.value).toBe(before);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(further.value).toEqual(before);
    expect(further.value).not.toBe(before);
    vi.useRealTimers();
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

test('a chat that somebody asked for who has left is not opened for the next user', async () => {
  let answer = () => undefined as void;
  server.startChat.mockReturnValueOnce(new Promise((resolve) => { answer = () => resolve({ chat_id: NEW, peer: first.peer }); }));
  const asked = chatWith(first.peer as Profile);
  reset();
  identity.value = { user_id: BOB, username: 'bob' };
  answer();
  expect([await asked, chats.value.size]).toEqual([null, 0]);
});
