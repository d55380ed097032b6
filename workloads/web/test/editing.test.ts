import './page';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { ApiError } from '../src/api/problem';
import { strings } from '../src/i18n/en';
import { answeringIn, textOf } from '../src/session/drafts';
import { editLast, saveEdit } from '../src/session/editing';
import { apply } from '../src/session/events';
import { send } from '../src/session/sending';
import { identity, link, reset, timelines } from '../src/session/state';
import { toasts } from '../src/session/toasts';
import { ANN, BOB, CHAT, idAt, message } from './sample';

const { ask } = vi.hoisted(() => ({ ask: vi.fn() }));
vi.mock('../src/socket/connection', () => ({ ask, tell: () => undefined, connected: () => true }));

const own = message(1, { sender_id: ANN });
const leave = vi.fn();
const shown = () => timelines.value.get(CHAT)!.messages[0]!.message;

beforeEach(() => {
  ask.mockReset();
  leave.mockReset();
  reset();
  identity.value = { user_id: ANN, username: 'ann' };
  timelines.value = new Map([[CHAT, { messages: [own], older: false, newer: false }]]);
});

describe('what one has written last', () => {
  const [older, newest] = [message(3, { sender_id: ANN }), message(4, { sender_id: ANN })];
  const shows = (newer: boolean) => { timelines.value = new Map([[CHAT, { messages: [older, newest, message(5)], older: false, newer }]]); };
  const edited = () => {
    const answering = answeringIn(CHAT);
    return answering?.kind === 'edit' ? answering.message.message_id : null;
  };

  test('is changed, whatever the other has written since, and not what was taken back', () => {
    shows(false);
    expect([editLast(CHAT), edited()]).toEqual([true, idAt(4)]);
    apply('message_deleted', { chat_id: CHAT, message_id: idAt(4) }, true);
    expect([editLast(CHAT), edited()]).toEqual([true, idAt(3)]);
  });

  test('is not known in a part of the past', () => {
    shows(true);
    expect([editLast(CHAT), edited()]).toEqual([false, null]);
  });

  test('is not what the server has while newer is on its way', () => {
    shows(false);
    link.value = 'offline';
    send({ chat_id: CHAT, message: 'from a tunnel' });
    expect([editLast(CHAT), edited()]).toEqual([false, null]);
  });
});

test('an edit that the server does not get stays in the field, and can be saved later', async () => {
  ask.mockRejectedValueOnce(new ApiError(0, 'not_connected', '')).mockResolvedValueOnce({ status: 'ok' });
  await saveEdit(own, 'much better', leave);
  expect(leave).not.toHaveBeenCalled();
  expect(toasts.value).toMatchObject([{ kind: 'error', header: strings.faults.network }]);
  expect(shown()).toBe('text 1');
  await saveEdit(own, 'much better', leave);
  expect(leave).toHaveBeenCalledOnce();
  expect(shown()).toBe('much better');
});

test('that an edit could not be saved is not told to the next user', async () => {
  ask.mockImplementationOnce(async () => {
    reset();
    identity.value = { user_id: BOB, username: 'bob' };
    throw new ApiError(0, 'timeout', '');
  });
  await saveEdit(own, 'much better', leave);
  expect([toasts.value, leave.mock.calls]).toEqual([[], []]);
});

test('the field is left when the server has the edit, not before', async () => {
  let answer = () => undefined as void;
  ask.mockReturnValueOnce(new Promise((resolve) => { answer = () => resolve({ status: 'ok' }); }));
  const saved = saveEdit(own, 'much better', leave);
  expect(ask).toHaveBeenCalledWith('edit_message', { chat_id: CHAT, message_id: idAt(1), message: 'much better' });
  expect(leave).not.toHaveBeenCalled();
  answer();
  await saved;
  expect(leave).toHaveBeenCalledOnce();
});

test('a text that was not changed is left without asking', async () => {
  await saveEdit(own, 'text 1', leave);
  expect(ask).not.toHaveBeenCalled();
  expect(leave).toHaveBeenCalledOnce();
});

test('when a message was edited is said by the server’s clock, not by this one', async () => {
  ask.mockResolvedValue({ status: 'ok' });
  await saveEdit(own, 'much better', leave);
  apply('message_edited', { ...own, message: 'best', edited_at: '2026-01-05T12:00:09.000Z' }, true);
  expect(timelines.value.get(CHAT)!.messages[0]).toMatchObject({ message: 'best', edited_at: '2026-01-05T12:00:09.000Z' });
});

test('an edit from another device that came meanwhile stays', async () => {
  ask.mockImplementation(async () => {
    apply('message_edited', { ...own, message: 'newer', edited_at: '2026-01-05T12:00:09.000Z' }, true);
    return { status: 'ok' };
  });
  await saveEdit(own, 'much better', leave);
  expect(shown()).toBe('newer');
});

test('the text of an edit is not that of an answer, and what was being written comes back', () => {
  const edit = { kind: 'edit', message: own, text: 'text 1, changed' } as const;
  const reply = { kind: 'reply', message_id: idAt(2), message: message(2) } as const;
  expect(textOf(edit, 'half a sentence')).toBe('text 1, changed');
  expect(textOf(reply, 'half a sentence')).toBe('half a sentence');
  expect(textOf(null, '')).toBe('');
});
