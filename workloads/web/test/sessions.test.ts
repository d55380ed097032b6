import './page';
import { beforeEach, expect, test, vi } from 'vitest';
import { changePassword, endSession, loadSessions, sessions } from '../src/session/sessions';
import { identity, reset } from '../src/session/state';
import { ANN, BOB } from './sample';

const { server } = vi.hoisted(() => ({ server: { sessions: vi.fn(), endSession: vi.fn(), changePassword: vi.fn() } }));
vi.mock('../src/api/accounts', () => server);

const session = (id: string) => ({ id, current: id === 'here' });
const shown = () => sessions.value.map((one) => one.id);

beforeEach(async () => {
  for (const one of Object.values(server)) one.mockReset();
  reset();
  identity.value = { user_id: ANN, username: 'ann' };
  server.sessions.mockResolvedValue([session('here'), session('phone'), session('tablet')]);
  await loadSessions();
});

test('sessions that a new password has ended are not listed any more, even where the list can’t be had', async () => {
  server.sessions.mockResolvedValueOnce([session('here')]);
  await changePassword('old', 'new');
  expect(server.sessions).toHaveBeenCalledTimes(2);
  expect(shown()).toEqual(['here']);
  await loadSessions();
  server.sessions.mockRejectedValueOnce(new Error('no network'));
  await changePassword('old', 'new');
  expect(shown()).toEqual(['here']);
});

test('a password that is refused ends none', async () => {
  server.changePassword.mockRejectedValueOnce(new Error('wrong'));
  await expect(changePassword('old', 'new')).rejects.toThrow('wrong');
  expect(shown()).toEqual(['here', 'phone', 'tablet']);
});

test('one that was ended does not come back with a list that was asked for before', async () => {
  let answer = () => undefined as void;
  server.sessions.mockReturnValueOnce(new Promise((resolve) => { answer = () => resolve([session('here'), session('phone')]); }));
  const loading = loadSessions();
  await endSession('phone');
  answer();
  await loading;
  expect(shown()).toEqual(['here', 'tablet']);
});

test('those of who has left are not shown to the next', async () => {
  const loading = loadSessions();
  reset();
  identity.value = { user_id: BOB, username: 'bob' };
  await loading;
  expect(shown()).toEqual([]);
});
