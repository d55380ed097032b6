// Who is online: what watchers are told over sockets, and what HTTP answers.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { login, newPair, newUser } from '../accounts.mjs';
import { BUSY, NOBODY, TIME, call, ok, problem, sleep } from '../http.mjs';
import { PATIENCE_MS, closeAll, connect } from '../socket.mjs';

let ann;
let bob;
let watcher; // Ann's socket
before(async () => {
  ({ ann, bob } = await newPair());
  watcher = await connect(ann);
});
after(closeAll);

/** Longer than the five seconds that somebody who left has to come back. */
const GONE_MS = Math.max(10_000, PATIENCE_MS);
const of = (user, status) => (event) => event.user_id === user.user_id && event.status === status;
const UNKNOWN = (user) => ({ user_id: user.user_id, status: 'offline', last_active: null });
const enc = encodeURIComponent;
const activity = async (token, name, path = '/users/user_activity') =>
  ok(await call('GET', `${path}?username=${enc(name)}`, { token }));

/** Subscribes and returns the presence of each. */
async function watch(client, ...users) {
  const { presence } = await client.must('presence_subscribe', { user_ids: users.map((user) => user.user_id) });
  assert.deepEqual(presence.map((one) => one.user_id), users.map((user) => user.user_id));
  return presence;
}

/** Asks again and again until the status is this. */
async function becomes(token, name, status) {
  for (const deadline = Date.now() + GONE_MS; ; ) {
    const seen = await activity(token, name);
    if (seen.status === status) return seen;
    assert.ok(Date.now() < deadline, `${name} is ${seen.status}, wanted ${status}`);
    await sleep(100);
  }
}

test('two devices of one user: changes of the whole are told, and one that goes is no false offline', async () => {
  const eve = await newUser('eve');
  assert.deepEqual(await watch(watcher, eve), [UNKNOWN(eve)]);
  const phone = await connect(eve);
  const told = await watcher.next('presence', of(eve, 'online'));
  assert.match(told.last_active, TIME);
  const desk = await connect(await login(eve));
  await desk.must('heartbeat', { active: false });
  phone.close();
  await watcher.next('presence', of(eve, 'away'), GONE_MS);
  await desk.must('heartbeat', { active: true });
  await watcher.next('presence', of(eve, 'online'));
  // A client that comes back at once was never gone.
  const left = Date.now();
  desk.close();
  const back = await connect(eve);
  const inTime = Date.now() - left < 4000;
  await sleep(6500);
  if (inTime || !BUSY) {
    const statuses = watcher.all('presence').filter((event) => event.user_id === eve.user_id);
    assert.deepEqual(statuses.map((event) => event.status), ['online', 'away', 'online']);
  }
  // None, unless the server was too busy to take her back in time.
  for (const _ of watcher.all('presence').filter(of(eve, 'offline'))) await watcher.next('presence', of(eve, 'offline'));
  back.close();
  const offline = await watcher.next('presence', of(eve, 'offline'), GONE_MS);
  assert.match(offline.last_active, TIME);
  assert.equal((await activity(ann.token, eve.username)).status, 'offline');
});

test('who unsubscribed hears no more, and unknown users look as if never there', async () => {
  const eve = await newUser('eve');
  const nobody = { user_id: NOBODY };
  assert.deepEqual(await watch(watcher, eve, nobody), [UNKNOWN(eve), UNKNOWN(nobody)]);
  const answer = await watcher.must('presence_unsubscribe', { user_ids: [eve.user_id, NOBODY] });
  assert.deepEqual(answer.presence, []);
  const hers = await connect(eve);
  await becomes(ann.token, eve.username, 'online');
  await sleep(500);
  assert.equal(watcher.all('presence').filter((event) => event.user_id === eve.user_id).length, 0);
  hers.close();
});

test('a block hides on live subscriptions and over HTTP, both ways, until it is taken back', async () => {
  const his = await connect(bob);
  await becomes(ann.token, bob.username, 'online');
  assert.equal((await watch(watcher, bob))[0].status, 'online');
  assert.equal((await watch(his, ann))[0].status, 'online');
  ok(await call('PUT', `/users/${ann.user_id}/block`, { token: bob.token }), 204);
  assert.deepEqual(await watcher.next('presence', of(bob, 'offline')), UNKNOWN(bob));
  assert.deepEqual(await his.next('presence', of(ann, 'offline')), UNKNOWN(ann));
  await his.must('heartbeat', { active: false });
  const hidden = { active: false, status: 'offline', last_active_timestamp: null };
  assert.deepEqual(await activity(ann.token, bob.username), { username: bob.username, ...hidden });
  assert.deepEqual(await activity(bob.token, ann.username), { username: ann.username, ...hidden });
  const last = ok(await call('GET', `/users/last_active?user_id=${bob.user_id}`, { token: ann.token }));
  assert.deepEqual(last, { user_id: bob.user_id, last_active_timestamp: null });
  ok(await call('DELETE', `/users/${ann.user_id}/block`, { token: bob.token }), 204);
  await watcher.next('presence', of(bob, 'away'));
  await his.next('presence', of(ann, 'online'));
  his.close();
});

test('a socket may watch so many users and is told when that is too few', async () => {
  const fresh = await connect(ann);
  const ids = Array.from({ length: 201 }, (_, n) => NOBODY.slice(0, -3) + String(n).padStart(3, '0'));
  await fresh.refused('too_many_subscriptions', 'presence_subscribe', { user_ids: ids });
  const { presence } = await fresh.must('presence_subscribe', { user_ids: ids.slice(1) });
  assert.equal(presence.length, 200);
  await fresh.refused('too_many_subscriptions', 'presence_subscribe', { user_ids: [ids[0]] });
  await fresh.must('presence_unsubscribe', { user_ids: [ids[1]] });
  await fresh.must('presence_subscribe', { user_ids: [ids[0]] });
  fresh.close();
});

test('activity over HTTP, under the paths of the seed too', async () => {
  const seen = await becomes(bob.token, ann.username, 'online');
  assert.equal(seen.username, ann.username);
  assert.equal(seen.active, true);
  assert.ok(Math.abs(seen.last_active_timestamp - Date.now()) < 120_000);
  assert.equal((await activity(bob.token, ann.username, '/user/user_activity')).status, 'online');

  const eve = await newUser('eve');
  for (const path of ['/users/last_active', '/user/last_active']) {
    const last = ok(await call('GET', `${path}?user_id=${eve.user_id}`, { token: ann.token }));
    assert.deepEqual(last, { user_id: eve.user_id, last_active_timestamp: null });
  }
  const query = `/users/update-last-active?user_id=${eve.user_id}`;
  const body = { userId: eve.user_id };
  for (const [method, path, options] of [['GET', query], ['POST', query], ['POST', '/update-last-active', { body }]]) {
    ok(await call(method, path, { token: eve.token, ...options }));
    problem(await call(method, path, { token: ann.token, ...options }), 403, 'forbidden');
    problem(await call(method, path, options), 401);
  }
  const last = ok(await call('GET', `/users/last_active?user_id=${eve.user_id}`, { token: ann.token }));
  assert.ok(Math.abs(last.last_active_timestamp - Date.now()) < 60_000);
  const beating = await activity(ann.token, eve.username);
  assert.deepEqual([beating.active, beating.status], [true, 'online'], 'a heartbeat over HTTP counts as one over a socket');

  problem(await call('GET', '/users/user_activity?username=nobody_at_all', { token: ann.token }), 404, 'not_found');
  problem(await call('GET', `/users/last_active?user_id=${NOBODY}`, { token: ann.token }), 404, 'not_found');
  for (const path of ['/users/user_activity', '/users/last_active', '/users/last_active?user_id=x']) {
    problem(await call('GET', path, { token: ann.token }), [400, 422]);
  }
});
