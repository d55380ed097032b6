import './page';
import { beforeEach, expect, test, vi } from 'vitest';
import { loadNotices, loadOlderNotices, notices } from '../src/session/notices';
import { identity, reset } from '../src/session/state';
import { ANN, BOB } from './sample';

const { notifications } = vi.hoisted(() => ({ notifications: vi.fn() }));
vi.mock('../src/api/notifications', () => ({ notifications }));

/** Answers, one after another, to what is asked: when the test says so. */
let answers: ((ids: string[], next_cursor?: string) => void)[];
const shown = () => notices.value?.entries.map((one) => one.notification_id);

beforeEach(() => {
  reset();
  answers = [];
  notifications.mockReset().mockImplementation(() => new Promise((resolve) => {
    answers.push((ids, next_cursor) => resolve({ notifications: ids.map((notification_id) => ({ notification_id })), next_cursor }));
  }));
  identity.value = { user_id: ANN, username: 'ann' };
});

test('a newer list is not undone by an older one', async () => {
  const both = [loadNotices(), loadNotices()];
  answers[1]!(['2', '1']);
  await both[1];
  answers[0]!(['1']);
  await both[0];
  expect(shown()).toEqual(['2', '1']);
});

test('older ones follow those that are here, also when newer ones came meanwhile', async () => {
  const first = loadNotices();
  answers[0]!(['2'], 'after 2');
  await first;
  const older = loadOlderNotices();
  const anew = loadNotices();
  answers[2]!(['3'], 'after 3');
  await anew;
  answers[1]!(['1']);
  await vi.waitFor(() => expect(notifications).toHaveBeenLastCalledWith('after 3'));
  answers[3]!(['2', '1']);
  await older;
  expect(shown()).toEqual(['3', '2', '1']);
  expect(notices.value!.cursor).toBeNull();
});

test('those of who has left are not shown to the next', async () => {
  const loading = loadNotices();
  reset();
  identity.value = { user_id: BOB, username: 'bob' };
  answers[0]!(['1']);
  await loading;
  expect(notices.value).toBeNull();
});
