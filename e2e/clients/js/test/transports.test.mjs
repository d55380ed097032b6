// The three ways in which the stock client connects, and that a message passes between each two of them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { newPair } from '../accounts.mjs';
import { BUSY, base } from '../http.mjs';
import { PATIENCE_MS, closeAll, connect, dial, promptly } from '../socket.mjs';

const WAYS = {
  'polling first, then upgraded': {},
  'WebSocket only': { transports: ['websocket'] },
  'polling only': { transports: ['polling'] },
};

let pair;
before(async () => {
  pair = await newPair();
});
after(closeAll);

for (const [from, mine] of Object.entries(WAYS)) {
  for (const [to, theirs] of Object.entries(WAYS)) {
    test(`${from} to ${to}`, async () => {
      const [ann, bob] = [await connect(pair.ann, mine), await connect(pair.bob, theirs)];
      const { message_id } = await ann.send(pair.chat, `${from} to ${to}`);
      await bob.next('receive_message', (message) => message.message_id === message_id);
      const back = await bob.send(pair.chat, 'and back');
      await ann.next('receive_message', (message) => message.message_id === back.message_id);
      ann.close();
      bob.close();
    });
  }
}

test('the default client upgrades to WebSocket within three seconds and keeps working', async () => {
  const began = Date.now();
  const ann = await connect(pair.ann);
  const { engine } = ann.socket.io;
  if (engine.transport.name !== 'websocket') {
    await new Promise((done, fail) => {
      engine.once('upgrade', done);
      engine.once('upgradeError', fail);
      const patience = BUSY ? PATIENCE_MS : 3000;
      setTimeout(() => fail(new Error(`not upgraded after ${patience} ms`)), patience).unref();
    });
  }
  assert.equal(ann.transport, 'websocket');
  promptly('upgraded', Date.now() - began, 3000);
  await ann.send(pair.chat, 'after the upgrade');
  ann.close();
});

test('messages sent during the upgrade are neither lost nor doubled', async () => {
  const bob = await connect(pair.bob);
  const ann = await connect(pair.ann);
  const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => ann.send(pair.chat, `upgrading ${n}`)));
  const ids = answers.map((answer) => answer.message_id);
  await bob.next('receive_message', (message) => message.message_id === ids.at(-1));
  const got = bob.all('receive_message').filter((message) => message.message.startsWith('upgrading'));
  assert.deepEqual(got.map((message) => message.message_id), ids);
  ann.close();
  bob.close();
});

test('a polling client is told that the session is unknown, not left hanging', async () => {
  const url = `${base}/socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(5000) });
  assert.equal(answer.status, 400);
  assert.equal(Number((await answer.json()).code), 1);
});

test('an old protocol is refused', async () => {
  const answer = await fetch(`${base}/socket.io/?EIO=3&transport=polling`, { signal: AbortSignal.timeout(5000) });
  assert.equal(answer.status, 400);
  assert.equal(Number((await answer.json()).code), 5);
});

test('the root namespace does not let anybody in without a token', async () => {
  const client = dial(undefined, { namespace: '/', auth: {} });
  await client.next('connect_error', (error) => error.data?.code === 'missing_token');
  client.close();
});
