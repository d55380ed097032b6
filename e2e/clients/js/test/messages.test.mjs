// The chat over Socket.IO: what a client sends, what it is told, and what the others see.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { login, newPair, newUser } from '../accounts.mjs';
import { BUSY, NOBODY, TIME, UUID, call, ok } from '../http.mjs';
import { closeAll, connect } from '../socket.mjs';

let ann;
let bob;
let chat;
let phone; // Ann's sockets
let laptop;
let peer; // Bob's
before(async () => {
  ({ ann, bob, chat } = await newPair());
  phone = await connect(ann);
  laptop = await connect(await login(ann));
  peer = await connect(bob);
});
after(closeAll);

const of = (message_id) => (event) => event.message_id === message_id;

/** Waits until everything sent so far has reached these clients: a message sent last arrives last. */
async function settled(...clients) {
  for (const client of clients) {
    const { message_id } = await (client === peer ? phone : peer).send(chat, 'marker');
    await client.next('receive_message', of(message_id));
  }
}

test('ready says who one is, where to sync from, and the limits', () => {
  assert.equal(phone.ready.user_id, ann.user_id);
  assert.match(phone.ready.session_id, UUID);
  assert.equal(typeof phone.ready.sync_token, 'string');
  assert.equal(typeof phone.ready.limits, 'object');
  assert.notEqual(phone.ready.session_id, laptop.ready.session_id);
});

test('start_private_chat answers twice, once for clients of the seed, and tells the peer', async () => {
  const eve = await newUser('eve');
  const hers = await connect(eve);
  const answer = await phone.must('start_private_chat', { receiver_id: eve.user_id, sender_id: ann.user_id });
  assert.match(answer.chat_id, UUID);
  assert.equal(answer.created, true);
  assert.equal(answer.peer.user_id, eve.user_id);
  assert.equal(await phone.next('private_chat_room_created'), answer.chat_id);
  assert.equal((await hers.next('chat_started')).chat_id, answer.chat_id);
  const again = await phone.must('start_private_chat', { receiver_id: eve.user_id });
  assert.equal(again.chat_id, answer.chat_id);
  assert.equal(again.created, false);
  const [one, two] = await Promise.all([
    phone.must('start_private_chat', { receiver_id: eve.user_id }),
    hers.must('start_private_chat', { receiver_id: ann.user_id }),
  ]);
  assert.equal(one.chat_id, two.chat_id);
  await phone.refused('not_found', 'start_private_chat', { receiver_id: NOBODY });
  await phone.refused('forbidden', 'start_private_chat', { receiver_id: eve.user_id, sender_id: bob.user_id });
  await phone.refused(undefined, 'start_private_chat', { receiver_id: 'nonsense' });
  await phone.refused(undefined, 'start_private_chat', {});
  hers.close();
});

test('a message is acknowledged, and reaches the peer and the own other device, not the sender', async () => {
  const answer = await phone.send(chat, 'hello', { client_message_id: 'm-1', sender_id: ann.user_id });
  assert.match(answer.message_id, UUID);
  assert.match(answer.timestamp, TIME);
  assert.equal(answer.client_message_id, 'm-1');
  assert.ok(BUSY || !answer.duplicate);
  for (const client of [peer, laptop]) {
    const message = await client.next('receive_message', of(answer.message_id));
    assert.deepEqual(message, {
      message_id: answer.message_id,
      chat_id: chat,
      sender_id: ann.user_id,
      type: 'text',
      message: 'hello',
      content: 'hello',
      attachments: [],
      reply_to: null,
      timestamp: answer.timestamp,
      edited_at: null,
      deleted: false,
      status: 'sent',
      seen_at: null,
      client_message_id: 'm-1',
    });
  }
  await settled(phone);
  assert.ok(!phone.all('receive_message').some(of(answer.message_id)), 'the sending socket got its own message');
  const { messages } = ok(await call('GET', `/users/chat/${chat}`, { token: bob.token }));
  assert.ok(messages.some(of(answer.message_id)));
});

test('a repeated client message id is acknowledged as the first and delivered once', async () => {
  const first = await phone.send(chat, 'once', { client_message_id: 'm-2' });
  const repeat = await phone.send(chat, 'twice', { client_message_id: 'm-2' });
  assert.equal(repeat.duplicate, true);
  assert.equal(repeat.message_id, first.message_id);
  assert.equal(repeat.timestamp, first.timestamp);
  const race = await Promise.all(
    Array.from({ length: 20 }, (_, n) => (n % 2 ? phone : laptop).send(chat, 'raced', { client_message_id: 'm-3' })),
  );
  assert.equal(new Set(race.map((answer) => answer.message_id)).size, 1);
  const taken = race.filter((answer) => !answer.duplicate).length;
  // A busy store may have taken the first one without an answer in time.
  assert.ok(taken === 1 || (BUSY && taken === 0), `${taken}`);
  const mixed = await call('POST', `/users/chat/${chat}/messages`, {
    token: ann.token,
    body: { message: 'by HTTP', client_message_id: 'm-3' },
  });
  assert.equal(ok(mixed).message_id, race[0].message_id);
  await settled(peer);
  for (const id of [first.message_id, race[0].message_id]) {
    assert.equal(peer.all('receive_message').filter(of(id)).length, 1);
  }
});

test('messages of one socket keep their order', async () => {
  const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => phone.send(chat, `ordered ${n}`)));
  const sent = answers.map((answer) => answer.message_id);
  assert.deepEqual([...sent].sort(), sent);
  await settled(peer, laptop);
  for (const client of [peer, laptop]) {
    const got = client.all('receive_message').filter((message) => message.message.startsWith('ordered'));
    assert.deepEqual(got.map((message) => message.message_id), sent);
    assert.deepEqual(got.map((message) => message.message), sent.map((_, n) => `ordered ${n}`));
  }
});

test('both sides writing at once see one order', async () => {
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, n) => (n % 2 ? phone : peer).send(chat, `crossing ${n}`)),
  );
  const wanted = answers.map((answer) => answer.message_id).sort();
  const history = async (user) => {
    const { messages } = ok(await call('GET', `/users/chat/${chat}?limit=40`, { token: user.token }));
    return messages.map((message) => message.message_id).reverse();
  };
  assert.deepEqual(await history(ann), wanted);
  assert.deepEqual(await history(bob), wanted);
});

test('an edit and a deletion reach every other device', async () => {
  const { message_id } = await phone.send(chat, 'frist');
  await phone.must('edit_message', { chat_id: chat, message_id, message: 'first' });
  for (const client of [peer, laptop]) {
    const edited = await client.next('message_edited', of(message_id));
    assert.equal(edited.message, 'first');
    assert.match(edited.edited_at, TIME);
  }
  await peer.refused('forbidden', 'edit_message', { chat_id: chat, message_id, message: 'hacked' });
  await peer.refused('forbidden', 'delete_message', { chat_id: chat, message_id });
  await phone.must('delete_message', { chat_id: chat, message_id });
  for (const client of [peer, laptop]) {
    assert.equal((await client.next('message_deleted', of(message_id))).chat_id, chat);
  }
  await phone.refused('message_deleted', 'edit_message', { chat_id: chat, message_id, message: 'back' });
  await phone.refused('not_found', 'edit_message', { chat_id: chat, message_id: NOBODY, message: 'x' });
  await phone.refused('not_found', 'delete_message', { chat_id: NOBODY, message_id });
});

test('receipts: delivered and read reach the author and the own devices, and never go back', async () => {
  const first = await phone.send(chat, 'read me');
  const second = await phone.send(chat, 'and me');
  await peer.must('message_delivered', { chat_id: chat, message_id: second.message_id });
  for (const client of [phone, laptop]) {
    const receipt = await client.next('receipt', (event) => event.delivered_up_to === second.message_id);
    assert.equal(receipt.chat_id, chat);
    assert.equal(receipt.user_id, bob.user_id);
    assert.notEqual(receipt.read_up_to, second.message_id);
  }
  const status = async () => {
    const { messages } = ok(await call('GET', `/users/chat/${chat}?around=${second.message_id}`, { token: ann.token }));
    return messages.find(of(second.message_id)).status;
  };
  assert.equal(await status(), 'delivered');
  await phone.next('message_received');
  const tablet = await connect(await login(bob));
  await peer.must('message_read', { chat_id: chat, message_id: second.message_id });
  for (const client of [phone, laptop, tablet]) {
    const receipt = await client.next('receipt', (event) => event.read_up_to === second.message_id);
    assert.equal(receipt.user_id, bob.user_id);
  }
  assert.equal(await status(), 'read');
  await peer.must('message_read', { chat_id: chat, message_id: first.message_id });
  await peer.must('message_delivered', { chat_id: chat, message_id: first.message_id });
  assert.equal(await status(), 'read');
  await settled(phone);
  const backwards = phone.all('receipt').filter((event) => event.read_up_to === first.message_id);
  assert.deepEqual(backwards, []);
  await peer.refused('not_found', 'message_read', { chat_id: chat, message_id: NOBODY });
  await peer.refused('not_found', 'message_read', { chat_id: NOBODY, message_id: second.message_id });
  tablet.close();
});

test("the seed's receive_message counts as delivered", async () => {
  const { message_id } = await phone.send(chat, 'seed');
  await peer.next('receive_message', of(message_id));
  await peer.must('receive_message', { sender_id: ann.user_id, receiver_id: bob.user_id });
  const receipt = await phone.next('receipt', (event) => event.delivered_up_to === message_id);
  assert.equal(receipt.user_id, bob.user_id);
  await phone.next('message_received');
  await peer.refused('forbidden', 'receive_message', { sender_id: ann.user_id, receiver_id: ann.user_id });
});

test('typing reaches the peer only, and says for how long it holds', async () => {
  await phone.must('typing', { chat_id: chat, typing: true });
  const typing = await peer.next('typing', (event) => event.typing);
  assert.equal(typing.chat_id, chat);
  assert.equal(typing.user_id, ann.user_id);
  assert.ok(typing.expires_in > 0 && typing.expires_in <= 60, `${typing.expires_in}`);
  await phone.must('typing', { chat_id: chat, typing: false });
  await peer.next('typing', (event) => !event.typing);
  await settled(phone);
  assert.deepEqual(phone.all('typing'), []);
  await phone.refused('not_found', 'typing', { chat_id: NOBODY, typing: true });
  await phone.refused(undefined, 'typing', { chat_id: chat, typing: 'yes' });
});

test('speaking for somebody else, and into chats of others, is refused on the socket too', async () => {
  await phone.refused('forbidden', 'send_message', { chat_id: chat, message: 'x', sender_id: bob.user_id });
  const eve = await connect(await newUser('eve'));
  const theirs = await eve.refused('not_found', 'send_message', { chat_id: chat, message: 'x' });
  const unknown = await eve.refused('not_found', 'send_message', { chat_id: NOBODY, message: 'x' });
  assert.deepEqual(theirs, unknown);
  for (const [event, payload] of [
    ['edit_message', { message: 'x' }],
    ['delete_message', {}],
    ['message_read', {}],
    ['message_delivered', {}],
    ['typing', { typing: true }],
  ]) {
    await eve.refused('not_found', event, { chat_id: chat, message_id: NOBODY, ...payload });
  }
  await settled(peer, phone);
  assert.deepEqual(eve.all('receive_message'), []);
  assert.deepEqual(eve.all('receipt'), []);
  eve.close();
});

test('a block cuts messages, typing and receipts both ways, on open sockets too', async () => {
  const pair = await newPair();
  const [hers, his] = [await connect(pair.ann), await connect(pair.bob)];
  const { message_id } = await his.send(pair.chat, 'before');
  await hers.next('receive_message', of(message_id));
  const path = `/users/${pair.bob.user_id}/block`;
  ok(await call('PUT', path, { token: pair.ann.token }), 204);
  ok(await call('PUT', path, { token: pair.ann.token }), 204);
  const { blocks } = ok(await call('GET', '/blocks', { token: pair.ann.token }));
  assert.equal(blocks.length, 1);
  assert.equal(blocks[0].user_id, pair.bob.user_id);

  await his.refused('blocked', 'send_message', { chat_id: pair.chat, message: 'x' });
  await hers.refused('blocked', 'send_message', { chat_id: pair.chat, message: 'x' });
  await his.ask('typing', { chat_id: pair.chat, typing: true });
  await hers.ask('message_read', { chat_id: pair.chat, message_id });
  const his_view = async () => {
    const { messages } = ok(await call('GET', `/users/chat/${pair.chat}`, { token: pair.bob.token }));
    const { chats } = ok(await call('GET', '/users/chat', { token: pair.bob.token }));
    const { events } = ok(await call('GET', '/sync', { token: pair.bob.token }));
    const synced = events.find((event) => event.data.message_id === message_id).data;
    return [messages[0], chats[0].last_message, synced].map(({ status, seen_at }) => ({ status, seen_at }));
  };
  for (const seen of await his_view()) {
    assert.deepEqual(seen, { status: 'sent', seen_at: null }, 'progress showed through a block');
  }
  ok(await call('DELETE', path, { token: pair.ann.token }), 204);
  const after = await his.send(pair.chat, 'after');
  await hers.next('receive_message', of(after.message_id));
  await his.ask('typing', { chat_id: pair.chat, typing: false });
  assert.deepEqual(hers.all('typing').filter((event) => event.typing), [], 'typing went through a block');
  assert.deepEqual(
    his.all('receipt').filter((event) => event.user_id === pair.ann.user_id),
    [],
    'a receipt went through a block',
  );
  const unknown = await call('PUT', `/users/${NOBODY}/block`, { token: pair.ann.token });
  assert.equal(unknown.status, 404);
});
