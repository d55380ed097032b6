// Sessions, their end, and that their sockets end with them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { claims, login, newUser } from '../accounts.mjs';
import { BUSY, NOBODY, TIME, anonymous, call, ok, problem } from '../http.mjs';
import { closeAll, connect, dial, promptly, refusedConnect } from '../socket.mjs';

let ann;
let bob;
before(async () => {
  ann = await newUser('ann');
  bob = await newUser('bob');
});
after(closeAll);

/** The server closes this socket within two seconds from now on: from the answer to what ended the session. */
async function closes(client) {
  const since = Date.now();
  await client.next('disconnect');
  promptly('closed', Date.now() - since, 2000);
}

test('logout ends the session: its socket within two seconds, its tokens at once', async () => {
  const phone = await login(ann);
  const client = await connect(phone);
  assert.equal(client.ready.session_id, claims(phone.token).sid);
  ok(await call('POST', '/logout', { token: phone.token }), 204);
  const since = Date.now();
  await closes(client);
  problem(await call('GET', '/me', { token: phone.token }), 401);
  problem(await call('POST', '/token/refresh', { body: { refresh_token: phone.refresh_token } }), 401);
  // A replica that has not heard of it yet lets a socket in and closes it again; after two seconds every one has.
  await setTimeout(Math.max(0, since + (BUSY ? 10_000 : 2000) - Date.now()));
  const { error } = await refusedConnect({ token: phone.token });
  assert.equal(typeof error.data.code, 'string');
  ok(await call('GET', '/me', { token: ann.token }));
});

test('a session can be ended from another device', async () => {
  const lost = await login(ann);
  const client = await connect(lost);
  const sid = claims(lost.token).sid;
  const list = ok(await call('GET', '/sessions', { token: ann.token }));
  const sessions = list.sessions ?? list;
  const found = sessions.find((session) => session.id === sid);
  assert.ok(found, JSON.stringify(list));
  assert.match(found.created_at, TIME);
  assert.ok(!JSON.stringify(list).includes(lost.refresh_token));

  ok(await call('DELETE', `/sessions/${sid}`, { token: ann.token }), 204);
  await closes(client);
  problem(await call('GET', '/me', { token: lost.token }), 401);
});

test("somebody else's session and an unknown one are the same 404", async () => {
  const theirs = claims(bob.token).sid;
  const other = await call('DELETE', `/sessions/${theirs}`, { token: ann.token });
  const unknown = await call('DELETE', `/sessions/${NOBODY}`, { token: ann.token });
  problem(other, 404, 'not_found');
  problem(unknown, 404, 'not_found');
  assert.equal(anonymous(other, theirs), anonymous(unknown, NOBODY));
  ok(await call('GET', '/me', { token: bob.token }));
  problem(await call('DELETE', '/sessions/nonsense', { token: ann.token }), [400, 404, 422]);
});

test('a new password ends all other sessions and keeps this one', async () => {
  const eve = await newUser('eve');
  const tablet = await login(eve);
  const client = await connect(tablet);
  const wrong = { current_password: 'not the one', new_password: 'another pass' };
  problem(await call('POST', '/password', { token: eve.token, body: wrong }), [400, 401, 403, 422]);
  const short = { current_password: eve.password, new_password: 'short' };
  problem(await call('POST', '/password', { token: eve.token, body: short }), [400, 422]);

  const body = { current_password: eve.password, new_password: 'another pass' };
  ok(await call('POST', '/password', { token: eve.token, body }), 204);
  await closes(client);
  ok(await call('GET', '/me', { token: eve.token }));
  problem(await call('GET', '/me', { token: tablet.token }), 401);
  problem(await call('POST', '/login', { body: { username: eve.username, password: eve.password } }), 401);
  await login({ ...eve, password: 'another pass' });
});

test('reauthenticate takes a fresh token of the same session and nobody else', async () => {
  const phone = await login(ann);
  const client = await connect(phone);
  const pair = ok(await call('POST', '/token/refresh', { body: { refresh_token: phone.refresh_token } }));
  await client.must('reauthenticate', { token: pair.access_token });
  for (const token of ['garbage', '', bob.token, pair.refresh_token]) {
    await client.refused(undefined, 'reauthenticate', { token });
  }
  await client.refused(undefined, 'reauthenticate', {});
  await client.refused(undefined, 'reauthenticate', { token: 5 });
  assert.ok(client.socket.connected, 'a refused reauthenticate must not close a socket whose token is good');
  client.close();
});

test('a client made as the guide says comes back with a new token when the server ends its socket', async () => {
  let current = await login(ann);
  const renew = async () => { current = await login(ann); };
  const client = dial(undefined, { auth: (give) => give({ token: current.token }), reconnection: true });
  const { socket } = client;
  socket.on('connect_error', ({ data }) => { if (data) renew().then(() => socket.connect()); });
  socket.on('disconnect', (why) => why === 'io server disconnect' && renew().then(() => socket.connect()));
  const first = await client.next('ready');
  ok(await call('DELETE', `/sessions/${first.session_id}`, { token: ann.token }), 204);
  const second = await client.next('ready');
  assert.notEqual(second.session_id, first.session_id);
  await client.must('heartbeat', {});
  // A bad token refuses it, and it comes back from that, too.
  socket.disconnect();
  current = { token: 'a.b.c' };
  socket.connect();
  assert.equal((await client.next('connect_error')).data.code, 'invalid_token');
  await client.next('ready');
  client.close();
});

test('a namespace that ends leaves the other one of its connection alone', async () => {
  const [stays, ends] = [await login(ann), await login(ann)];
  const chat = await connect(stays, { forceNew: false });
  const notifications = dial(ends.token, { namespace: '/notifications', forceNew: false });
  await notifications.next('connect');
  assert.equal(chat.socket.io, notifications.socket.io, 'one connection');
  ok(await call('POST', '/logout', { token: ends.token }), 204);
  await closes(notifications);
  // Longer than a client would be given to close the connection.
  await setTimeout(2000);
  await chat.must('heartbeat', {});
  assert.deepEqual(chat.all('disconnect'), []);
});

test('a deleted account closes its sockets', async () => {
  const eve = await newUser('eve');
  const client = await connect(eve);
  ok(await call('DELETE', '/me', { token: eve.token, body: { password: eve.password } }), 204);
  await closes(client);
});
