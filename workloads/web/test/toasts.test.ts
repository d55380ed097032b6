import './page';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { identity, reset } from '../src/session/state';
import { dismiss, hold, messageToast, release, toast, toaster, toasts } from '../src/session/toasts';
import { ANN, BOB, CHAT } from './sample';

const shown = () => toasts.value.map((one) => one.header);
const idOf = (header: string) => toasts.value.find((one) => one.header === header)!.id;

beforeEach(() => {
  vi.useFakeTimers();
  reset();
});
afterEach(() => { vi.useRealTimers(); });

test('what an answer brings is told to who has asked, not to the next user', () => {
  const enter = (user_id: string | null) => { identity.value = user_id === null ? null : { user_id, username: 'someone' }; };
  enter(ANN);
  const tell = toaster();
  tell({ header: 'Bob is blocked' });
  expect(shown()).toEqual(['Bob is blocked']);
  for (const next of [null, BOB]) {
    reset();
    enter(next);
    tell({ header: 'Bob is blocked' });
    expect(shown()).toEqual([]);
  }
});

test('a toast ends by itself, but not while somebody is at it', () => {
  toast({ header: 'read' });
  toast({ header: 'not read' });
  vi.advanceTimersByTime(6_000);
  hold(idOf('read'));
  vi.advanceTimersByTime(60_000);
  expect(shown()).toEqual(['read']);
  release(idOf('read'));
  vi.advanceTimersByTime(6_000);
  expect(shown()).toEqual(['read']);
  vi.advanceTimersByTime(2_000);
  expect(shown()).toEqual([]);
});

test('the oldest makes room for more than three, but not one that somebody is at', () => {
  for (const header of ['1', '2', '3']) toast({ header });
  hold(idOf('1'));
  toast({ header: '4' });
  expect(shown()).toEqual(['1', '3', '4']);
  for (const header of ['3', '4']) hold(idOf(header));
  toast({ header: '5' });
  toast({ header: '6' });
  expect(shown()).toEqual(['1', '3', '4', '6']);
});

test('more of a chat whose toast somebody is at is said by the same one', () => {
  messageToast('Bob', 'one', CHAT, 'm1');
  const { id } = toasts.value[0]!;
  hold(id);
  toast({ header: 'else' });
  messageToast('Bob', 'two', CHAT, 'm2');
  expect(toasts.value.map(({ body }) => body)).toEqual(['two', '']);
  expect(toasts.value[0]!.id).toBe(id);
  vi.advanceTimersByTime(60_000);
  expect(shown()).toEqual(['Bob']);
  dismiss(id);
  expect(shown()).toEqual([]);
});
