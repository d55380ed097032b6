// What happened while a client was away.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { newPair } from '../accounts.mjs';
import { call, invalid, ok, problem } from '../http.mjs';
import { closeAll, connect } from '../socket.mjs';

let ann;
let bob;
let chat;
before(async () => {
  ({ ann, bob, chat } = await newPair());
});
after(closeAll);

const sync = async (user, query) => ok(await call('GET', `/sync?${new URLSearchParams(query)}`, { token: user.token }));

/** Pages from `since` to the end. */
async function syncAll(user, since, limit) {
  const events = [];
  for (let next = since, more = true; more; ) {
    const body = await sync(user, { ...(next === undefined ? {} : { since: next }), limit });
    assert.ok(body.events.length <= limit);
    events.push(...body.events);
    ({ next, more } = body);
    assert.ok(!more || body.events.length > 0, 'more without events');
    assert.ok(events.length < 10_000);
  }
  return events;
}

/** The ids of new messages among events, in their order. */
const messageIds = (events) =>
  events.filter((event) => event.event === 'receive_message').map((event) => event.data.message_id);

test('a client gets what it missed by sync, on the socket and by HTTP, in any page size', async () => {
  const before_ = await connect(bob);
  const since = before_.ready.sync_token;
  before_.close();

  const writer = await connect(ann);
  const sent = [];
  for (let n = 0; n < 12; n += 1) sent.push((await writer.send(chat, `missed ${n}`)).message_id);
  await writer.must('edit_message', { chat_id: chat, message_id: sent[3], message: 'edited' });
  await writer.must('delete_message', { chat_id: chat, message_id: sent[5] });

  const back = await connect(bob);
  const whole = await back.ask('sync', { since, limit: 100 });
  assert.equal(whole.status, 'ok');
  assert.equal(whole.reset, false);
  assert.equal(whole.more, false);
  assert.deepEqual(messageIds(whole.events), sent);
  const byType = (type) => whole.events.filter((event) => event.event === type);
  assert.equal(byType('message_edited')[0].data.message_id, sent[3]);
  assert.equal(byType('message_deleted')[0].data.message_id, sent[5]);
  // An event shows its message as it is now: a deleted text never comes back.
  assert.ok(!JSON.stringify(whole.events).includes('missed 5'));
  assert.ok(!JSON.stringify(whole.events).includes('missed 3'));

  for (const limit of [1, 4, 100]) {
    assert.deepEqual(await syncAll(bob, since, limit), whole.events, `pages of ${limit}`);
  }
  const done = await sync(bob, { since: whole.next });
  assert.deepEqual(done.events, []);
  assert.equal(done.more, false);
  assert.equal(done.reset, false);
  back.close();
  writer.close();
});

test('the sender syncs its own messages too, and receipts come along', async () => {
  const mine = await connect(ann);
  const his = await connect(bob);
  const { message_id } = await mine.send(chat, 'receipted');
  await his.must('message_read', { chat_id: chat, message_id });
  const events = await syncAll(ann, mine.ready.sync_token, 50);
  assert.deepEqual(messageIds(events), [message_id]);
  const receipts = events.filter((event) => event.event === 'receipt');
  assert.equal(receipts.at(-1).data.read_up_to, message_id);
  assert.equal(receipts.at(-1).data.user_id, bob.user_id);
  mine.close();
  his.close();
});

test('sync from the beginning tells the start of the chat first', async () => {
  const events = await syncAll(bob, undefined, 50);
  assert.equal(events[0].event, 'chat_started');
  assert.equal(events[0].data.chat_id, chat);
});

test('nothing is lost between ready and the first event', async () => {
  const writer = await connect(ann);
  const began = await connect(bob);
  const since = began.ready.sync_token;
  began.close();
  const sends = [];
  const sockets = [];
  for (let n = 0; n < 10; n += 1) {
    sends.push(writer.send(chat, `racing ${n}`));
    sockets.push(connect(bob));
  }
  const sent = (await Promise.all(sends)).map((answer) => answer.message_id);
  const ready = await Promise.all(sockets);
  const last = (await writer.send(chat, 'the last')).message_id;
  sent.push(last);
  for (const socket of ready) {
    await socket.next('receive_message', (message) => message.message_id === last);
    const synced = messageIds(await syncAll(bob, socket.ready.sync_token, 100));
    assert.deepEqual(synced, sent.filter((id) => synced.includes(id)), 'in the order of sending, each once');
    assert.equal(synced.at(-1), last);
    // Whatever is newer than the token of `ready` must also have come live: there is no gap between the two.
    const live = socket.all('receive_message').map((message) => message.message_id);
    assert.deepEqual(synced.filter((id) => !live.includes(id)), []);
    assert.equal(new Set(live).size, live.length, 'a message came twice');
    socket.close();
  }
  assert.deepEqual(messageIds(await syncAll(bob, since, 3)), sent);
  writer.close();
});

test('a token of somebody else, a forged one or a wrong limit is refused', async () => {
  const client = await connect(ann);
  const theirs = client.ready.sync_token;
  const get = (query) => call('GET', `/sync?${new URLSearchParams(query)}`, { token: bob.token });
  problem(await get({ since: theirs }), 400);
  for (const since of ['x', 'AAAA', `${theirs}A`, '0', '-1', '\u0000', 'A'.repeat(3000)]) {
    problem(await get({ since }), 400);
  }
  for (const limit of ['0', '101', 'x', '-5']) invalid(await get({ limit }));
  for (const since of ['x', 5, {}, [], true]) await client.refused(undefined, 'sync', { since });
  for (const limit of [0, 101, 'x', -5, 1.5]) await client.refused(undefined, 'sync', { limit });
  client.close();
});
