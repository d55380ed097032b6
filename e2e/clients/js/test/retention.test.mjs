// Messages that get too old: what clients see of that. Only against a server that keeps messages for a short time, which
// SENTINEL_MESSAGE_RETENTION tells in seconds: long enough for a few calls, short enough to wait for.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { newPair, post } from '../accounts.mjs';
import { call, ok, problem } from '../http.mjs';
import { closeAll, connect } from '../socket.mjs';

const seconds = Number(process.env.SENTINEL_MESSAGE_RETENTION ?? 0);
const skip = seconds === 0 && 'the server keeps messages';
after(closeAll);

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Waits until `look` gives what `done` takes; bounded. */
async function eventually(look, done, patience) {
  for (const deadline = Date.now() + patience; ; await pause(200)) {
    const found = await look();
    if (done(found)) return found;
    assert.ok(Date.now() < deadline, `still ${JSON.stringify(found)}`);
  }
}

/** Uploads a text of one line and returns its id. */
async function upload(user) {
  const bytes = Buffer.from('the file\n');
  const announced = { filename: 'note.txt', content_type: 'text/plain', size: bytes.length };
  const { media_id, upload } = ok(await call('POST', '/media/uploads', { token: user.token, body: announced }), 201);
  const put = await fetch(upload.url, { method: upload.method, headers: upload.headers, body: bytes });
  assert.equal(put.status, 200, await put.text());
  ok(await call('POST', `/media/uploads/${media_id}/complete`, { token: user.token }));
  return media_id;
}

test('a message that is too old is gone for everybody, and places before it stay good', { skip }, async () => {
  const { ann, bob, chat } = await newPair();
  const socket = await connect(bob);
  assert.equal(socket.ready.limits.message_retention_seconds, seconds);
  const get = async (path, user = bob) => ok(await call('GET', path, { token: user.token }));
  const history = (query = 'limit=10') => get(`/users/chat/${chat}?${query}`);
  const ids = (page) => page.messages.map((message) => message.message_id);
  const found = async () => (await get('/search/messages?q=ephemeral')).hits.map((hit) => hit.message.message_id);
  const told = async () => (await get('/notifications')).notifications.map((one) => one.message_id);

  const client_message_id = randomUUID();
  const media = await upload(ann);
  const old = await post(ann, chat, 'ephemeral words', { client_message_id, attachments: [media] });
  const { message_id } = old;
  const expires = Date.parse(old.timestamp) + seconds * 1000;
  // All of it is there before it is too old.
  assert.deepEqual(ids(await history()), [message_id]);
  await get(`/media/${media}/details`);
  await eventually(found, (hits) => hits.includes(message_id), 10_000);
  await eventually(told, (list) => list.includes(message_id), 10_000);
  assert.ok(Date.now() < expires, 'the server is too slow for this time');

  await eventually(history, (page) => page.messages.length === 0, seconds * 1000 + 10_000);
  // Nobody's clock is exact; a message does not go before its time.
  assert.ok(Date.now() >= expires - 1000, `gone ${expires - Date.now()} ms before its time`);
  assert.deepEqual(await found(), []);
  assert.ok(!(await told()).includes(message_id));
  problem(await call('GET', `/media/${media}/details`, { token: bob.token }), 404, 'not_found');
  const entry = (await get('/users/chat')).chats.find((one) => one.chat_id === chat);
  assert.deepEqual([entry.last_message, entry.unread], [null, 0]);

  // It can not be changed, answered or read, and sending it again makes no second message.
  const path = `/users/chat/${chat}/messages/${message_id}`;
  problem(await call('PATCH', path, { token: ann.token, body: { message: 'changed' } }), 404, 'not_found');
  problem(await call('DELETE', path, { token: ann.token }), 404, 'not_found');
  problem(await call('POST', `/users/chat/${chat}/read`, { token: bob.token, body: { message_id } }), 404, 'not_found');
  const again = { message: 'ephemeral words', client_message_id };
  const repeat = ok(await call('POST', `/users/chat/${chat}/messages`, { token: ann.token, body: again }));
  assert.deepEqual([repeat.message_id, repeat.deleted, repeat.message], [message_id, true, '']);

  const young = await post(ann, chat, 'still here');
  for (const query of ['limit=10', `after=${message_id}`, `around=${message_id}`]) {
    const page = await history(query);
    assert.deepEqual([ids(page), page.next_cursor], [[young.message_id], null], query);
  }
  assert.deepEqual(ids(await history(`before=${message_id}`)), []);
  const missed = await get(`/sync?since=${encodeURIComponent(socket.ready.sync_token)}`);
  assert.equal(missed.reset, false);
  const messages = missed.events.filter((event) => event.event === 'receive_message');
  assert.deepEqual(messages.map((event) => event.data.message_id), [young.message_id]);
});
