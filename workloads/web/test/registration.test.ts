import './page';
import { beforeEach, expect, test, vi } from 'vitest';
import { register } from '../src/api/accounts';
import { ANN } from './sample';

const asked: string[] = [];
const answers: (() => Response)[] = [];
vi.stubGlobal('fetch', vi.fn(async (url: string) => {
  asked.push(new URL(url).pathname);
  return answers.shift()!();
}));
const lost = () => { throw new TypeError('Failed to fetch'); };
const taken = () => new Response(JSON.stringify({ code: 'username_taken', detail: 'taken' }), { status: 409 });
const wrong = () => new Response(JSON.stringify({ code: 'invalid_credentials', detail: '' }), { status: 401 });
const tokens = () => new Response(JSON.stringify({ user_id: ANN, username: 'ann', access_token: 'a', refresh_token: 'r', token_type: 'Bearer', expires_in: 900 }));
const again = () => register('ann', 'correct horse', 'ann@example.com');

beforeEach(() => {
  asked.length = 0;
  answers.length = 0;
});

test('a name that is taken is tried with no password, unless one asked for it before', async () => {
  answers.push(taken);
  await expect(again()).rejects.toMatchObject({ code: 'username_taken' });
  expect(asked).toEqual(['/register']);
});

test('who registers again after the answer was lost is logged in', async () => {
  answers.push(lost, taken, tokens);
  await expect(again()).rejects.toMatchObject({ status: 0 });
  expect(await again()).toEqual({ user_id: ANN, username: 'ann' });
  expect(asked).toEqual(['/register', '/register', '/login']);
});

test('a name that is somebody else’s is told to be taken', async () => {
  answers.push(lost, taken, wrong);
  await expect(again()).rejects.toMatchObject({ status: 0 });
  await expect(again()).rejects.toMatchObject({ code: 'username_taken' });
});
