// Rate limits. Against a server whose limits were raised for tests (SENTINEL_LIMITS=tests) only the headers are checked.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newUser } from '../accounts.mjs';
import { call, ok, problem } from '../http.mjs';

test('answers tell what is left', async () => {
  const ann = await newUser('ann');
  const answer = await call('GET', '/me', { token: ann.token });
  ok(answer);
  for (const name of ['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset']) {
    assert.match(answer.headers.get(name) ?? '', /^\d+$/, name);
  }
});

const raised = process.env.SENTINEL_LIMITS === 'tests' && 'the limits were raised';
test('guessing a password is stopped for that account only', { skip: raised }, async () => {
  const [ann, bob] = [await newUser('ann'), await newUser('bob')];
  const guess = () =>
    call('POST', '/login', { body: { username: ann.username, password: 'not the one' }, impatient: true });
  let answer;
  for (let n = 0; n < 40; n += 1) {
    answer = await guess();
    if (answer.status === 429) break;
    problem(answer, 401, 'invalid_credentials');
  }
  problem(answer, 429, 'rate_limited');
  assert.equal(answer.json.limit, 'login');
  assert.match(answer.headers.get('retry-after'), /^[1-9]\d*$/);
  assert.equal(answer.headers.get('ratelimit-remaining'), '0');
  const right = await call('POST', '/login', {
    body: { username: ann.username, password: ann.password },
    impatient: true,
  });
  problem(right, 429, 'rate_limited');
  ok(await call('POST', '/login', { body: { username: bob.username, password: bob.password }, impatient: true }));
  ok(await call('GET', '/me', { token: ann.token }));
});
