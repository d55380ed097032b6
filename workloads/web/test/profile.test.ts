import './page';
import { beforeEach, expect, test, vi } from 'vitest';
import { confirmEmail, loadAccount, rename } from '../src/session/profile';
import { account, identity, reset } from '../src/session/state';
import type { Account } from '../src/api/types';
import { ANN, BOB } from './sample';

const { server } = vi.hoisted(() => ({ server: { me: vi.fn(), rename: vi.fn(), verifyEmail: vi.fn() } }));
vi.mock('../src/api/accounts', () => server);

/** Asks for the account and gives what lets the answer come. */
function asked(display_name: string) {
  let answer = () => undefined as void;
  server.me.mockReturnValueOnce(new Promise((resolve) => { answer = () => resolve({ display_name }); }));
  const loading = loadAccount();
  return () => { answer(); return loading; };
}

beforeEach(() => {
  server.me.mockReset();
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

test('an address that is confirmed here is so at once, also where the account can’t be had; nobody’s account is asked for by who is not logged in', async () => {
  account.value = { email_verified: false } as Account;
  server.verifyEmail.mockResolvedValue(undefined);
  server.me.mockResolvedValueOnce({ email_verified: true });
  await confirmEmail('token');
  expect(account.value).toEqual({ email_verified: true });
  server.me.mockRejectedValueOnce(new Error('no network'));
  await confirmEmail('token');
  identity.value = null;
  await confirmEmail('token');
  expect(server.me).toHaveBeenCalledTimes(2);
});

test('an address that is refused is not told as confirmed', async () => {
  server.verifyEmail.mockRejectedValueOnce(new Error('invalid'));
  await expect(confirmEmail('token')).rejects.toThrow('invalid');
});
