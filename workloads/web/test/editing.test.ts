import './page';
import { beforeEach, expect, test, vi } from 'vitest';
import { ApiError } from '../src/api/problem';
import { strings } from '../src/i18n/en';
import { saveEdit } from '../src/session/editing';
import { identity, reset, timelines } from '../src/session/state';
import { toasts } from '../src/session/toasts';
import { ANN, CHAT, idAt, message } from './sample';

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
