// Administration: an account that the command line made an admin, and what it can do while the server runs.
// SENTINEL_DATA: the folder of the server's data; without it there is no way to make an admin from here.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { claims, login, newPair, newUser, post } from '../accounts.mjs';
import { NOBODY, TIME, call, invalid, ok, problem } from '../http.mjs';
import { closeAll, connect, dial } from '../socket.mjs';

const data = process.env.SENTINEL_DATA;
const skip = !data && 'SENTINEL_DATA is not set';
const program = process.env.SENTINEL_PROGRAM ?? 'sentinel';
const admin = (what, name) => promisify(execFile)(program, ['admin', what, name, '--data', data], { timeout: 60_000 });

/** Calls until the answer is this problem; bounded. */
async function until(status, code, ask) {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const answer = await ask();
    if (answer.status === status) return problem(answer, status, code);
    assert.ok(Date.now() < deadline, `still ${answer.status}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

let root;
after(closeAll);
before(async () => {
  if (skip) return;
  const user = await newUser('root');
  problem(await call('GET', '/admin/stats', { token: user.token }), 403, 'forbidden');
  await admin('grant', user.username);
  // The server learns from its store that the session has ended.
  await until(401, 'session_ended', () => call('GET', '/me', { token: user.token }));
  root = await login(user);
});

test('an admin has the scope and gets in', { skip }, async () => {
  assert.equal(claims(root.token).scope, 'admin');
  const stats = ok(await call('GET', '/admin/stats', { token: root.token }));
  assert.ok(stats.users > 0 && stats.admins > 0 && stats.sessions > 0, JSON.stringify(stats));
});

test('a disabled account loses its sockets and tokens and cannot log in until enabled', { skip }, async () => {
  const eve = await newUser('eve');
  const client = await connect(eve);
  const path = `/admin/users/${eve.user_id}`;
  ok(await call('POST', `${path}/disable`, { token: root.token, body: { reason: 'spam' } }), 204);
  await client.next('disconnect');
  problem(await call('GET', '/me', { token: eve.token }), 401, 'session_ended');
  const body = { username: eve.username, password: eve.password };
  problem(await call('POST', '/login', { body }), 403, 'account_disabled');
  ok(await call('POST', `${path}/enable`, { token: root.token }), 204);
  await login(eve);
  const log = ok(await call('GET', `/admin/audit?user_id=${eve.user_id}`, { token: root.token }));
  assert.deepEqual(log.entries.map((one) => one.action), ['user_enabled', 'disabled_login', 'user_disabled']);
});

test('a report reaches the admins, the text only if it was included', { skip }, async () => {
  const { ann, bob, chat } = await newPair();
  const { message_id } = await post(bob, chat, 'buy my watches');
  const report = { chat_id: chat, message_id, reason: 'spam' };
  ok(await call('POST', '/reports', { token: ann.token, body: report }), 201);
  const taken = await call('POST', '/reports', { token: ann.token, body: { ...report, include_message: true } });
  const { report_id } = ok(taken, 201);
  const { reports } = ok(await call('GET', '/admin/reports', { token: root.token }));
  const about = reports.filter((one) => one.user_id === bob.user_id);
  assert.deepEqual(about.map((one) => one.message), ['buy my watches', null]);
  const path = `/admin/reports/${report_id}/resolve`;
  ok(await call('POST', path, { token: root.token, body: { resolution: 'warned' } }), 204);
});

test('a reported account that is deleted stays reported', { skip }, async () => {
  const { ann, bob, chat } = await newPair();
  const { message_id } = await post(bob, chat, 'buy my watches');
  const report = { chat_id: chat, message_id, reason: 'spam', include_message: true };
  ok(await call('POST', '/reports', { token: ann.token, body: report }), 201);
  ok(await call('DELETE', '/me', { token: bob.token, body: { password: bob.password } }), 204);
  ok(await call('DELETE', '/me', { token: ann.token, body: { password: ann.password } }), 204);
  const { reports } = ok(await call('GET', '/admin/reports', { token: root.token }));
  const [found, ...others] = reports.filter((one) => one.user_id === bob.user_id);
  assert.deepEqual(others, []);
  assert.deepEqual([found.username, found.account_deleted, found.reporter_id], [bob.username, true, null]);
  assert.deepEqual([found.message_id, found.message], [message_id, 'buy my watches']);
  problem(await call('POST', `/admin/users/${bob.user_id}/disable`, { token: root.token, body: {} }), 404, 'not_found');
  const path = `/admin/reports/${found.id}/resolve`;
  ok(await call('POST', path, { token: root.token, body: { resolution: 'told the police' } }), 204);
});

test('a notice reaches one user, in the list and on sockets', { skip }, async () => {
  const { ann, bob } = await newPair();
  const client = dial(bob.token, { namespace: '/notifications' });
  await client.next('connect');
  const body = { header: 'Quota', body: 'Your files\nare too many.', user_id: bob.user_id };
  problem(await call('POST', '/send_notification', { token: bob.token, body }), 403, 'forbidden');
  problem(await call('POST', '/send_notification', { body }), 401);
  const answer = ok(await call('POST', '/send_notification', { token: root.token, body }));
  assert.deepEqual(answer, { notification_id: answer.notification_id, recipients: 1, next_cursor: null });
  const told = await client.next('notification', (one) => one.notification_id === answer.notification_id);
  assert.match(told.created_at, TIME);
  const { notification_id, created_at } = told;
  assert.deepEqual(told, { notification_id, kind: 'notice', header: body.header, body: body.body, created_at });
  assert.deepEqual(await client.next('new_message'), { header: body.header, body: body.body });
  const notices = async (user) => {
    const { notifications } = ok(await call('GET', '/notifications', { token: user.token }));
    return notifications.filter((one) => one.kind === 'notice');
  };
  assert.deepEqual(await notices(bob), [{ ...told, read: false }]);
  assert.deepEqual(await notices(ann), []);
  ok(await call('POST', `/notifications/${notification_id}/read`, { token: bob.token }), 204);
  assert.deepEqual(await notices(bob), [{ ...told, read: true }]);
  const log = ok(await call('GET', `/admin/audit?user_id=${bob.user_id}`, { token: root.token }));
  const [entry] = log.entries;
  assert.deepEqual([entry.action, entry.actor, entry.note], ['notice_sent', root.user_id, notification_id]);
});

test('a notice without a user reaches everybody, in steps', { skip }, async () => {
  const { ann, bob } = await newPair();
  const body = { header: 'Maintenance', body: 'Tonight at ten.' };
  const ids = new Set();
  let told = 0;
  for (let cursor; cursor !== null; ) {
    const answer = ok(await call('POST', '/send_notification', { token: root.token, body: { ...body, cursor } }));
    assert.ok(answer.recipients <= 500);
    told += answer.recipients;
    ids.add(answer.notification_id);
    cursor = answer.next_cursor;
  }
  const { users } = ok(await call('GET', '/admin/stats', { token: root.token }));
  assert.equal(told, users);
  assert.equal(ids.size, 1, 'one notification for all');
  for (const user of [ann, bob, root]) {
    const { notifications } = ok(await call('GET', '/notifications', { token: user.token }));
    assert.ok(notifications.some((one) => ids.has(one.notification_id) && one.body === body.body));
  }
});

test('a wrong notice is refused by field', { skip }, async () => {
  const send = (body) => call('POST', '/send_notification', { token: root.token, body });
  const good = { header: 'h', body: 'b', user_id: root.user_id };
  const wrong = [
    ['header', { ...good, header: ' ' }], ['header', { ...good, header: 'x'.repeat(101) }],
    ['header', { ...good, header: 'two\nlines' }], ['body', { ...good, body: 'x'.repeat(1001) }],
    ['body', { header: 'h' }], ['user_id', { ...good, user_id: 'x' }], ['cursor', { ...good, cursor: 'x' }],
  ];
  for (const [field, body] of wrong) invalid(await send(body), field);
  problem(await send({ header: 'h', body: 'b', cursor: 'x' }), 400, 'invalid_cursor');
  problem(await send({ ...good, user_id: NOBODY }), 404, 'not_found');
});

test('an admin makes the search index anew and sees how far that is', { skip }, async () => {
  const { ann, bob, chat } = await newPair();
  await post(ann, chat, 'quokka of the index');
  for (const method of ['GET', 'POST']) {
    problem(await call(method, '/admin/reindex', { token: ann.token }), 403, 'forbidden');
    problem(await call(method, '/admin/reindex'), 401);
  }
  const look = async () => ok(await call('GET', '/admin/reindex', { token: root.token }));
  const found = async () => ok(await call('GET', '/search/messages?q=quokka', { token: bob.token })).hits.length;
  /** Looks until the last rebuild is through; what has been indexed is found all the while. */
  const through = async () => {
    for (const deadline = Date.now() + 120_000; ; ) {
      const status = await look();
      if (status.last?.ended_at !== null) return status;
      assert.ok(Date.now() < deadline, JSON.stringify(status));
      assert.equal(await found(), 1);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };
  for (const deadline = Date.now() + 20_000; (await found()) === 0; ) assert.ok(Date.now() < deadline, 'not indexed');
  if ((await look()).last) await through();
  const begun = ok(await call('POST', '/admin/reindex', { token: root.token }), 202);
  assert.ok(['waiting', 'running'].includes(begun.last.state), JSON.stringify(begun));
  assert.equal(begun.last.started_by, root.user_id);
  problem(await call('POST', '/admin/reindex', { token: root.token }), 409, 'reindex_running');
  const { mode, needed, advice, last } = await through();
  assert.deepEqual([mode, needed, advice], ['Blind', false, null]);
  assert.deepEqual([last.reindex_id, last.state, last.failure], [begun.last.reindex_id, 'done', null]);
  assert.ok(last.messages_done > 0 && last.attempts >= 1, JSON.stringify(last));
  assert.match(last.ended_at, TIME);
  assert.equal(await found(), 1);
  const { entries } = ok(await call('GET', '/admin/audit', { token: root.token }));
  const entry = entries.find((one) => one.note === last.reindex_id);
  assert.deepEqual([entry?.action, entry?.actor], ['reindex_started', root.user_id]);
});

test('an admin whose right is taken away is out', { skip }, async () => {
  const user = await newUser('former');
  await admin('grant', user.username);
  await until(401, 'session_ended', () => call('GET', '/me', { token: user.token }));
  const former = await login(user);
  ok(await call('GET', '/admin/stats', { token: former.token }));
  await admin('revoke', user.username);
  await until(401, 'session_ended', () => call('GET', '/admin/stats', { token: former.token }));
  const ordinary = await login(user);
  problem(await call('GET', '/admin/stats', { token: ordinary.token }), 403, 'forbidden');
});
