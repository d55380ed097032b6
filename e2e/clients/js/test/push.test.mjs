// Devices that want pushes, and being told over the socket. What a push service gets is tested beside its client; here no
// push service is called.
import assert from 'node:assert/strict';
import { createECDH, randomBytes, randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { login, newPair, newUser, post } from '../accounts.mjs';
import { TIME, UUID, call, invalid, ok, problem } from '../http.mjs';
import { closeAll, dial, refusedConnect } from '../socket.mjs';

const PATIENCE_MS = 4 * Number(process.env.SENTINEL_PATIENCE_MS ?? 5000);

let ann;
let bob;
let chat;
before(async () => {
  ({ ann, bob, chat } = await newPair());
});
after(closeAll);

/** A subscription as a browser gives it. */
function subscription(endpoint = `https://updates.push.services.mozilla.com/wpush/v2/${randomUUID()}`) {
  const key = createECDH('prime256v1');
  key.generateKeys();
  return {
    endpoint,
    expirationTime: null,
    keys: { p256dh: key.getPublicKey('base64url'), auth: randomBytes(16).toString('base64url') },
  };
}

const register = (user, body) => call('POST', '/notifications/devices', { token: user.token, body });
const browser = (device_id, of = subscription()) => ({ device_id, platform: 'webpush', subscription: of });

/** A socket that is told of notifications. */
async function listen(user) {
  const client = dial(user.token, { namespace: '/notifications' });
  await client.next('connect');
  return client;
}

test('a browser gets the key to subscribe with', async () => {
  const { public_key: key } = ok(await call('GET', '/notifications/vapid', { token: ann.token }));
  const point = Buffer.from(key, 'base64url');
  assert.equal(point.length, 65);
  assert.equal(point[0], 4);
  const again = ok(await call('GET', '/notifications/vapid', { token: bob.token }));
  assert.equal(again.public_key, key, 'one key for all');
  problem(await call('GET', '/notifications/vapid'), 401);
});

test('a browser is registered, again, and removed', async () => {
  ok(await register(ann, browser('firefox-1')), 204);
  ok(await register(ann, browser('firefox-1')), 204);
  const moved = subscription();
  ok(await register(ann, browser('firefox-1', moved)), 204);
  ok(await register(bob, browser('firefox-1', moved)), 204);
  for (const user of [ann, bob, bob]) {
    ok(await call('DELETE', '/notifications/devices/firefox-1', { token: user.token }), 204);
  }
  problem(await call('DELETE', '/notifications/devices/firefox-1'), 401);
  invalid(await call('DELETE', '/notifications/devices/a%20b', { token: ann.token }), 'device_id');
});

test('what nothing can be pushed to is refused by field', async () => {
  const keys = subscription().keys;
  for (const endpoint of [
    'http://updates.push.services.mozilla.com/x',
    'https://updates.push.services.mozilla.com.example.com/x',
    'https://127.0.0.1/x',
    'https://localhost/x',
    'https://[::1]/x',
    'https://169.254.169.254/latest/meta-data/',
    'https://kubernetes.default.svc/api',
    'https://user:pass@updates.push.services.mozilla.com/x',
    'https://updates.push.services.mozilla.com:8443/x',
    'file:///etc/passwd',
    'x',
  ]) {
    invalid(await register(ann, browser('d', { endpoint, keys })), 'subscription.endpoint');
  }
  const { endpoint } = subscription();
  invalid(await register(ann, browser('d', { endpoint, keys: { ...keys, auth: 'x' } })), 'subscription.keys.auth');
  const p256dh = Buffer.alloc(65, 4).toString('base64url');
  invalid(await register(ann, browser('d', { endpoint, keys: { ...keys, p256dh } })), 'subscription.keys.p256dh');
  invalid(await register(ann, browser('not a name')), 'device_id');
  invalid(await register(ann, { device_id: 'd', platform: 'webpush' }), 'subscription');
  invalid(await register(ann, { device_id: 'd', platform: 'fcm' }), 'token');
  invalid(await register(ann, { device_id: 'd', platform: 'pigeon', token: 'x' }));
  problem(await call('POST', '/notifications/devices', { body: browser('d') }), 401);
});

test('the user concerned is told over the socket, and nobody else', async () => {
  const [mine, phone, theirs] = [await listen(bob), await listen(await login(bob)), await listen(ann)];
  const message = await post(ann, chat, 'a secret');
  for (const client of [mine, phone]) {
    const told = await client.next('notification', (one) => one.message_id === message.message_id, PATIENCE_MS);
    assert.match(told.notification_id, UUID);
    assert.match(told.created_at, TIME);
    assert.deepEqual(told, {
      notification_id: told.notification_id,
      kind: 'new_message',
      header: 'New message',
      body: 'You have a new message',
      chat_id: chat,
      message_id: message.message_id,
      created_at: told.created_at,
    });
    assert.deepEqual(await client.next('new_message'), { header: 'New message', body: 'You have a new message' });
  }
  // Events of a chat are handled in order: by now hers would have come.
  const answer = await post(bob, chat, 'an answer');
  await theirs.next('notification', (one) => one.message_id === answer.message_id, PATIENCE_MS);
  assert.equal(theirs.all('notification').length, 1);
  assert.equal(mine.all('receive_message').length, 0, 'messages come in /chat');
});

test('a notification that is read on one device is read on the others', async () => {
  const [mine, phone, theirs] = [await listen(bob), await listen(await login(bob)), await listen(ann)];
  const message = await post(ann, chat, 'to be read');
  const of = (one) => one.message_id === message.message_id;
  const { notification_id } = await phone.next('notification', of, PATIENCE_MS);
  ok(await call('POST', `/notifications/${notification_id}/read`, { token: bob.token }), 204);
  for (const client of [mine, phone]) {
    assert.deepEqual(await client.next('notification_read', undefined, PATIENCE_MS), { notification_id });
  }
  assert.equal(theirs.all('notification_read').length, 0);
});

test('a user who reads a message at once is left with nothing unread', async () => {
  const client = await listen(bob);
  const read = await post(ann, chat, 'read at once');
  const body = { message_id: read.message_id };
  ok(await call('POST', `/users/chat/${chat}/read`, { token: bob.token, body }), 204);
  const unread = await post(ann, chat, 'not read');
  await client.next('notification', (one) => one.message_id === unread.message_id, PATIENCE_MS);
  const { notifications } = ok(await call('GET', '/notifications?limit=100', { token: bob.token }));
  assert.ok(!notifications.some((one) => one.message_id === read.message_id && !one.read));
});

test('the namespace needs a token, takes nothing but a new one, and ends with the session', async () => {
  for (const [auth, code] of [[{}, 'missing_token'], [{ token: 'x' }, 'invalid_token']]) {
    const { error } = await refusedConnect(auth, { namespace: '/notifications' });
    assert.equal(error.data.code, code);
  }
  const phone = await login(bob);
  const client = await listen(phone);
  await client.refused('unknown_event', 'send_message', { chat_id: chat, message: 'no' });
  await client.must('reauthenticate', { token: (await login(bob)).token });
  const ending = await login(bob);
  const closing = await listen(ending);
  ok(await call('POST', '/logout', { token: ending.token }), 204);
  await closing.next('disconnect');
});

test('a new account finds that it is welcome', async () => {
  const eve = await newUser('eve');
  for (const deadline = Date.now() + PATIENCE_MS; ; ) {
    const { notifications } = ok(await call('GET', '/notifications', { token: eve.token }));
    if (notifications.length > 0) {
      const [welcome] = notifications;
      assert.equal(notifications.length, 1);
      assert.equal(welcome.kind, 'welcome');
      assert.equal(welcome.read, false);
      assert.ok(welcome.header && welcome.body);
      assert.equal(welcome.chat_id, undefined);
      ok(await call('POST', `/notifications/${welcome.notification_id}/read`, { token: eve.token }), 204);
      return;
    }
    assert.ok(Date.now() < deadline, 'no welcome');
    await new Promise((done) => setTimeout(done, 100));
  }
});
