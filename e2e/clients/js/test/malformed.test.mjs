// Whatever a socket sends, it gets an acknowledgement, keeps its connection, and the server stays up.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { newPair } from '../accounts.mjs';
import { BUSY, NOBODY, call, ok } from '../http.mjs';
import { closeAll, connect } from '../socket.mjs';

let ann;
let bob;
let chat;
let client;
before(async () => {
  ({ ann, bob, chat } = await newPair());
  client = await connect(ann);
});
after(closeAll);

const EVENTS = [
  'start_private_chat', 'send_message', 'edit_message', 'delete_message', 'message_delivered', 'message_read',
  'receive_message', 'typing', 'sync', 'reauthenticate', 'presence_subscribe', 'presence_unsubscribe',
];

/** The same socket still works. */
async function stillServed() {
  assert.ok(client.socket.connected, 'the connection was lost');
  await client.send(chat, 'still here');
}

for (const event of EVENTS) {
  test(`${event} with anything but one object is an error acknowledgement`, async () => {
    const wrong = [
      // Every field of `sync` may be left out, so that nothing at all means the same as `{}`.
      ...(event === 'sync' ? [] : [[]]),
      ['text'], [5], [true], [null], [['a', 'b']], [[{}]],
      [{}, {}], ['a', 'b'], [{ chat_id: chat, message: 'x' }, 'more'],
      [Buffer.from('bytes')], [{ chat_id: Buffer.from('bytes') }], [{ chat_id: chat, message: Buffer.alloc(10) }],
    ];
    for (const args of wrong) await client.refused(undefined, event, ...args);
    await stillServed();
  });
}

test('send_message with missing fields or wrong types is an error acknowledgement', async () => {
  for (const payload of [
    {},
    { chat_id: chat },
    { message: 'x' },
    { chat_id: 'nonsense', message: 'x' },
    { chat_id: 5, message: 'x' },
    { chat_id: chat, message: 5 },
    { chat_id: chat, message: { text: 'x' } },
    { chat_id: chat, message: '' },
    { chat_id: chat, message: ' \n\t' },
    { chat_id: chat, message: 'x', type: 'video' },
    { chat_id: chat, message: 'x', client_message_id: 5 },
    { chat_id: chat, message: 'x', client_message_id: '' },
    { chat_id: chat, message: 'x', client_message_id: 'a'.repeat(129) },
    { chat_id: chat, message: 'x', attachments: 'none' },
    { chat_id: chat, message: 'x', attachments: [NOBODY.slice(1)] },
    { chat_id: chat, message: 'x', reply_to: 'nonsense' },
    { chat_id: chat, message: 'x', reply_to: NOBODY },
    { chat_id: chat, message: 'x', sender_id: 'nonsense' },
    { chat_id: `${chat}' OR 1=1 --`, message: 'x' },
  ]) {
    await client.refused(undefined, 'send_message', payload);
  }
  await stillServed();
});

test('unknown fields are ignored', async () => {
  await client.send(chat, 'x', { __proto__: null, colour: 'red', nested: { a: [1] } });
});

test('an unknown event is an error acknowledgement', async () => {
  await client.refused('unknown_event', 'no_such_event', {});
  await client.refused('unknown_event', 'ready', {});
  await client.refused('unknown_event', '', {});
  await client.refused('unknown_event', 'x'.repeat(1000), {});
  await stillServed();
});

test('an event without acknowledgement is handled all the same', async () => {
  const peer = await connect(bob);
  client.socket.emit('send_message', { chat_id: chat, message: 'quiet' });
  const message = await peer.next('receive_message', (event) => event.message === 'quiet');
  assert.equal(message.sender_id, ann.user_id);
  client.socket.emit('send_message', 'nonsense');
  client.socket.emit('no_such_event');
  await stillServed();
  peer.close();
});

test('text above 16 KiB is an error acknowledgement and the connection is kept', async () => {
  await client.refused('message_too_large', 'send_message', { chat_id: chat, message: 'x'.repeat(16 * 1024 + 1) });
  await client.refused('message_too_large', 'send_message', { chat_id: chat, message: 'é'.repeat(8 * 1024 + 1) });
  await client.refused('message_too_large', 'send_message', { chat_id: chat, message: 'x'.repeat(17 * 1024) });
  const { message_id } = await client.send(chat, 'x'.repeat(16 * 1024));
  await client.refused('message_too_large', 'edit_message', { chat_id: chat, message_id, message: 'x'.repeat(20_000) });
  await stillServed();
});

test('a thousand events at once are all acknowledged, in order, and none is lost', async () => {
  const fresh = await connect(ann);
  const flood = Array.from({ length: 1000 }, (_, n) => ({ chat_id: chat, message: `flood ${n}`, client_message_id: `flood-${n}` }));
  const answers = await Promise.all(flood.map((payload) => fresh.ask('send_message', payload)));
  const accepted = answers.filter((answer) => answer.status === 'ok');
  const codes = new Set(answers.filter((answer) => answer.status === 'error').map((answer) => answer.code));
  codes.delete('rate_limited');
  if (BUSY) codes.delete('unavailable');
  assert.deepEqual([...codes], []);
  assert.ok(accepted.length >= 400, `only ${accepted.length} were accepted`);
  const ids = accepted.map((answer) => answer.message_id);
  assert.deepEqual([...ids].sort(), ids);
  // Nobody knows whether these are stored, until they are sent again.
  for (const payload of flood.filter((_, n) => answers[n].code === 'unavailable')) {
    ids.push((await fresh.must('send_message', payload)).message_id);
  }
  assert.equal(new Set(ids).size, ids.length);
  const stored = [];
  let cursor;
  do {
    const path = `/users/chat/${chat}?limit=100${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`;
    const body = ok(await call('GET', path, { token: bob.token }));
    stored.push(...body.messages.filter((message) => message.client_message_id?.startsWith('flood-')));
    cursor = body.next_cursor;
  } while (cursor);
  assert.deepEqual(stored.map((message) => message.message_id).reverse(), ids.sort());
  assert.ok(fresh.socket.connected);
  fresh.close();
});

test('a packet far above the limit does not take the server down', async () => {
  for (const transports of [['websocket'], ['polling']]) {
    const fresh = await connect(ann, { transports });
    const answer = fresh.ask('send_message', { chat_id: chat, message: 'x'.repeat(1024 * 1024) });
    const gone = fresh.next('disconnect', () => true, 9000);
    const outcome = await Promise.race([answer.catch(() => 'silence'), gone.then(() => 'closed', () => 'silence')]);
    assert.ok(outcome === 'closed' || outcome.status === 'error', `${transports}: ${JSON.stringify(outcome)}`);
    await Promise.race([answer, gone]).catch(() => {});
    fresh.close();
  }
  (await connect(ann)).close();
  await stillServed();
});

test('hostile nesting does not take the server down', async () => {
  const fresh = await connect(ann, { transports: ['websocket'] });
  const deep = JSON.parse(`${'{"a":'.repeat(2000)}1${'}'.repeat(2000)}`);
  const answer = await Promise.race([
    fresh.ask('send_message', deep).catch(() => ({ status: 'error' })),
    fresh.next('disconnect').then(() => ({ status: 'error' })),
  ]);
  assert.equal(answer.status, 'error');
  fresh.close();
  await stillServed();
});

for (const [what, frames] of [
  ['text that is no packet', ['hello', '9', '4', '4x', '42', '42/chat,', '42/chat,[', '42/chat,{}', '42/chat,[]', '42/chat,[5]']],
  ['a second CONNECT', ['40/chat,{}', '40/chat,{"token":"x"}']],
  ['attachments that never come', ['451-/chat,["send_message",{"_placeholder":true,"num":0}]', '45999999999-/chat,["x"]']],
  ['acknowledgements of nothing', ['43/chat,7[{}]', '43/chat,99999999999999999999[]']],
]) {
  test(`a raw frame with ${what} does not take the server down`, async () => {
    const { default: WebSocket } = await import('ws');
    const { base } = await import('../http.mjs');
    for (const frame of frames) {
      const socket = new WebSocket(`${base.replace(/^http/, 'ws')}/socket.io/?EIO=4&transport=websocket`);
      const connected = new Promise((done, fail) => {
        socket.on('message', (data) => {
          if (String(data).startsWith('0')) socket.send(`40/chat,${JSON.stringify({ token: ann.token })}`);
          if (String(data).startsWith('40/chat')) done();
        });
        socket.once('error', fail);
        setTimeout(() => fail(new Error('no connection')), 5000).unref();
      });
      await connected;
      socket.send(frame);
      socket.send('42/chat,1["sync",{}]');
      await new Promise((done) => {
        socket.once('close', done);
        socket.on('message', (data) => String(data).startsWith('43/chat,1') && done());
        setTimeout(done, 2000).unref();
      });
      socket.terminate();
    }
    await stillServed();
  });
}
