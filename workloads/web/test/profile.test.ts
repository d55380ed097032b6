import './page';
import { beforeEach, expect, test, vi } from 'vitest';
import { loadAccount, rename } from '../src/session/profile';
import { account, identity, reset } from '../src/session/state';
import { ANN, BOB } from './sample';

const { server } = vi.hoisted(() => ({ server: { me: vi.fn(), rename: vi.fn() } }));
vi.mock('../src/api/accounts', () => server);

/** Asks for the account and gives what lets the answer come. */
function asked(display_name: string) {
  let answer = () => undefined as void;
  server.me.mockReturnValueOnce(new Promise((resolve) => { answer = () => resolve({ display_name }); }));
  const loading = loadAccount();
  return () => { answer(); return loading; };
}

beforeEach(() => {
  reset();
  identity.value = { user_id: ANN, username: 'ann' };
});

test('a new name is not undone by an account that was asked for before', async () => {
  const answered = asked('Ann');
  server.rename.mockResolvedValueOnce({ display_name: 'Anna' });
  await rename('Anna');
  await answered();
  expect(account.value).toEqual({ display_name: 'Anna' });
});

test('of two answers the one to the later question holds', async () => {
  const [first, second] = [asked('old'), asked('new')];
  await second();
  await first();
  expect(account.value).toEqual({ display_name: 'new' });
});

test('the account of who has left is not shown to the next', async () => {
  const answered = asked('Ann');
  reset();
  identity.value = { user_id: BOB, username: 'bob' };
  await answered();
  expect(account.value).toBeNull();
});
