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

test('what is here of older ones stays when newer ones come, unless there is a gap', async () => {
  const load = async (part: () => Promise<void>, ...answer: [string[], string?]) => {
    const loading = part();
    answers.at(-1)!(...answer);
    await loading;
  };
  await load(loadNotices, ['6', '5'], 'after 5');
  await load(loadOlderNotices, ['4', '3'], 'after 3');
  // The newest was read meanwhile, so it is not in the list any more.
  await load(loadNotices, ['7', '5'], 'after 5');
  expect([shown(), notices.value!.cursor]).toEqual([['7', '5', '4', '3'], 'after 3']);
  await load(loadOlderNotices, ['2']);
  await load(loadNotices, ['8', '7'], 'after 7');
  expect([shown(), notices.value!.cursor]).toEqual([['8', '7', '5', '4', '3', '2'], null]);
  await load(loadNotices, ['99', '98'], 'after 98');
  expect([shown(), notices.value!.cursor]).toEqual([['99', '98'], 'after 98']);
  await load(loadNotices, ['99']);
  expect(shown()).toEqual(['99']);
});

test('older ones of who has left are not shown to the next, and no more are loaded because of them', async () => {
  const first = loadNotices();
  answers[0]!(['2'], 'after 2');
  await first;
  for (const cursor of ['after 2', 'after 4']) {
    const older = loadOlderNotices();
    const answer = answers.at(-1)!;
    reset();
    identity.value = { user_id: cursor, username: 'somebody else' };
    const anew = loadNotices();
    answers.at(-1)!(['4'], cursor);
    await anew;
    const asked = answers.length;
    answer(['1']);
    await Promise.race([older, new Promise((resolve) => setTimeout(resolve, 20))]);
    expect([shown(), answers.length]).toEqual([['4'], asked]);
  }
});

test('those of who has left are not shown to the next', async () => {
  const loading = loadNotices();
  reset();
  identity.value = { user_id: BOB, username: 'bob' };
  answers[0]!(['1']);
  await loading;
  expect(notices.value).toBeNull();
});
