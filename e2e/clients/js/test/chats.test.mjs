// Chats and messages through HTTP.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { login, newChat, newUser, post } from '../accounts.mjs';
import { NOBODY, TIME, UUID, anonymous, call, invalid, ok, problem } from '../http.mjs';

let ann;
let bob;
let eve;
let chat;
before(async () => {
  [ann, bob, eve] = [await newUser('ann'), await newUser('bob'), await newUser('eve')];
  chat = await newChat(ann, bob);
});

const start = (from, receiver_id, extra = {}) =>
  call('POST', '/users/chat', { token: from.token, body: { receiver_id, ...extra } });

test('both sides that start at once get one chat, made once', async () => {
  const [x, y] = [await newUser('x'), await newUser('y')];
  const answers = await Promise.all([1, 2, 3, 4].flatMap(() => [start(x, y.user_id), start(y, x.user_id)]));
  assert.ok(answers.every((answer) => [200, 201].includes(answer.status)), JSON.stringify(answers));
  assert.equal(new Set(answers.map((answer) => answer.json.chat_id)).size, 1);
  assert.equal(answers.filter((answer) => answer.status === 201).length, 1);
  for (const answer of answers) assert.equal(answer.json.created, answer.status === 201);
  assert.equal(answers[0].json.peer.user_id, y.user_id);
  assert.equal(answers[1].json.peer.user_id, x.user_id);
  assert.match(answers[0].json.chat_id, UUID);
  const list = ok(await call('GET', '/users/chat', { token: x.token }));
  assert.deepEqual(list.chat_ids, [answers[0].json.chat_id]);
});

test('a chat with oneself keeps notes', async () => {
  const { chat_id, peer } = ok(await start(eve, eve.user_id), 201);
  assert.equal(peer.user_id, eve.user_id);
  const note = await post(eve, chat_id, 'milk');
  const { messages } = ok(await call('GET', `/users/chat/${chat_id}`, { token: eve.token }));
  assert.deepEqual(messages.map((message) => message.message_id), [note.message_id]);
});

test('a chat with nobody is 404, with a malformed id refused', async () => {
  problem(await start(ann, NOBODY), 404, 'not_found');
  for (const receiver_id of ['nonsense', '', 5, null, [bob.user_id], {}]) invalid(await start(ann, receiver_id));
  invalid(await call('POST', '/users/chat', { token: ann.token, body: {} }));
});

test('a message comes back whole', async () => {
  const text = 'grüß dich 👋 \u0000 <b>"quotes"</b>\n2';
  const message = await post(ann, chat, text, { client_message_id: 'whole-1' });
  assert.deepEqual(message, {
    message_id: message.message_id,
    chat_id: chat,
    sender_id: ann.user_id,
    type: 'text',
    message: text,
    content: text,
    attachments: [],
    reply_to: null,
    timestamp: message.timestamp,
    edited_at: null,
    deleted: false,
    status: 'sent',
    seen_at: null,
    client_message_id: 'whole-1',
  });
  assert.match(message.message_id, UUID);
  assert.match(message.timestamp, TIME);
  assert.ok(Math.abs(Date.parse(message.timestamp) - Date.now()) < 60_000, message.timestamp);
  const { messages } = ok(await call('GET', `/users/chat/${chat}?limit=1`, { token: bob.token }));
  assert.equal(messages[0].message, text);
  assert.equal(messages[0].message_id, message.message_id);
});

test('a repeated client message id returns the first message with 200', async () => {
  const path = `/users/chat/${chat}/messages`;
  const send = (message) =>
    call('POST', path, { token: ann.token, body: { message, client_message_id: 'again-1' } });
  const first = ok(await send('once'), 201);
  const second = ok(await send('twice'), 200);
  assert.equal(second.message_id, first.message_id);
  assert.equal(second.message, 'once');

  const race = await Promise.all(
    Array.from({ length: 10 }, () =>
      call('POST', path, { token: ann.token, body: { message: 'raced', client_message_id: 'again-2' } }),
    ),
  );
  assert.equal(race.filter((answer) => answer.status === 201).length, 1, race.map((answer) => answer.status).join());
  assert.equal(race.filter((answer) => answer.status === 200).length, 9);
  assert.equal(new Set(race.map((answer) => answer.json.message_id)).size, 1);
  // The id is the sender's own: the peer may use the same one for another message.
  const theirs = await call('POST', path, { token: bob.token, body: { message: 'mine', client_message_id: 'again-1' } });
  assert.notEqual(ok(theirs, 201).message_id, first.message_id);
});

test('what is no message is refused and names its field', async () => {
  const send = (body) => call('POST', `/users/chat/${chat}/messages`, { token: ann.token, body });
  for (const body of [{}, { message: 5 }, { message: null }, { message: ['a'] }, [], 'text']) invalid(await send(body));
  invalid(await send({ message: '' }), 'message');
  invalid(await send({ message: ' \n' }), 'message');
  invalid(await send({ message: 'x', client_message_id: '' }), 'client_message_id');
  invalid(await send({ message: 'x', client_message_id: 'a b' }), 'client_message_id');
  invalid(await send({ message: 'x', client_message_id: 'a'.repeat(129) }), 'client_message_id');
  invalid(await send({ message: 'x', type: 'video' }));
  invalid(await send({ message: 'x', reply_to: 'nonsense' }));
  invalid(await send({ message: 'x', reply_to: NOBODY }), 'reply_to');
  invalid(await send({ message: 'x', attachments: 'none' }));
});

test('16 KiB of text are accepted and one byte more is not', async () => {
  const text = `${'é'.repeat(8191)}xy`;
  assert.equal((await post(ann, chat, text)).message, text);
  const answer = await call('POST', `/users/chat/${chat}/messages`, { token: ann.token, body: { message: `${text}z` } });
  problem(answer, [400, 413, 422]);
});

test('an answer refers to a message of the same chat', async () => {
  const first = await post(ann, chat, 'question');
  const reply = await post(bob, chat, 'answer', { reply_to: first.message_id });
  assert.equal(reply.reply_to, first.message_id);
  assert.ok(reply.message_id > first.message_id, 'an answer sorts before what it answers');
  const other = await newChat(ann, eve);
  const elsewhere = await post(ann, other, 'elsewhere');
  const body = { message: 'x', reply_to: elsewhere.message_id };
  invalid(await call('POST', `/users/chat/${chat}/messages`, { token: ann.token, body }), 'reply_to');
});

test('speaking for somebody else is forbidden', async () => {
  const body = { message: 'x', sender_id: bob.user_id };
  problem(await call('POST', `/users/chat/${chat}/messages`, { token: ann.token, body }), 403, 'forbidden');
  ok(
    await call('POST', `/users/chat/${chat}/messages`, {
      token: ann.token,
      body: { message: 'mine', sender_id: ann.user_id },
    }),
    201,
  );
  problem(await call('GET', `/users/chat?user_id=${bob.user_id}`, { token: ann.token }), 403, 'forbidden');
});

test("somebody else's chat and one that never was are the same 404, byte for byte", async () => {
  const message = await post(ann, chat, 'private');
  const routes = [
    ['GET', (id) => `/users/chat/${id}`],
    ['GET', (id) => `/users/chat/${id}?before=${message.message_id}`],
    ['GET', (id) => `/users/chat/${id}?around=${message.message_id}`],
    ['POST', (id) => `/users/chat/${id}`, {}],
    ['POST', (id) => `/users/chat/${id}/messages`, { message: 'hello' }],
    ['PATCH', (id) => `/users/chat/${id}/messages/${message.message_id}`, { message: 'changed' }],
    ['DELETE', (id) => `/users/chat/${id}/messages/${message.message_id}`],
    ['POST', (id) => `/users/chat/${id}/read`, { message_id: message.message_id }],
  ];
  for (const [method, path, body] of routes) {
    const theirs = await call(method, path(chat), { token: eve.token, body });
    const unknown = await call(method, path(NOBODY), { token: eve.token, body });
    problem(theirs, 404, 'not_found');
    problem(unknown, 404, 'not_found');
    assert.equal(anonymous(theirs, chat), anonymous(unknown, NOBODY), `${method} ${path('{id}')}`);
    const names = (answer) => [...answer.headers.keys()].filter((name) => !/^(date|ratelimit|x-request-id)/.test(name));
    assert.deepEqual(names(theirs), names(unknown));
  }
});

test('only the author edits, and everybody sees that it was', async () => {
  const message = await post(ann, chat, 'frist');
  const path = `/users/chat/${chat}/messages/${message.message_id}`;
  problem(await call('PATCH', path, { token: bob.token, body: { message: 'hacked' } }), 403, 'forbidden');
  const edited = ok(await call('PATCH', path, { token: ann.token, body: { message: 'first' } }));
  assert.equal(edited.message, 'first');
  assert.equal(edited.content, 'first');
  assert.equal(edited.message_id, message.message_id);
  assert.equal(edited.timestamp, message.timestamp);
  assert.match(edited.edited_at, TIME);
  invalid(await call('PATCH', path, { token: ann.token, body: { message: '' } }));
  invalid(await call('PATCH', path, { token: ann.token, body: {} }));
  const unknown = `/users/chat/${chat}/messages/${NOBODY}`;
  problem(await call('PATCH', unknown, { token: ann.token, body: { message: 'x' } }), 404, 'not_found');
  const { messages } = ok(await call('GET', `/users/chat/${chat}?limit=1`, { token: bob.token }));
  assert.equal(messages[0].message, 'first');
});

test('a deleted message leaves a tombstone without its text', async () => {
  const message = await post(ann, chat, 'regretted words');
  const path = `/users/chat/${chat}/messages/${message.message_id}`;
  problem(await call('DELETE', path, { token: bob.token }), 403, 'forbidden');
  ok(await call('DELETE', path, { token: ann.token }), 204);
  ok(await call('DELETE', path, { token: ann.token }), 204);
  const answer = await call('GET', `/users/chat/${chat}?limit=1`, { token: bob.token });
  const [tombstone] = ok(answer).messages;
  assert.equal(tombstone.message_id, message.message_id);
  assert.equal(tombstone.deleted, true);
  assert.equal(tombstone.message, '');
  assert.ok(!answer.text.includes('regretted'));
  problem(await call('PATCH', path, { token: ann.token, body: { message: 'back' } }), 409, 'message_deleted');
});

test('the chat list has the newest activity first, with what is unread', async () => {
  const [x, y, z] = [await newUser('x'), await newUser('y'), await newUser('z')];
  const [xy, xz] = [await newChat(x, y), await newChat(x, z)];
  const first = await post(y, xy, 'one');
  const last = await post(y, xy, 'two');
  for (const path of ['/users/chat', '/users/chat/', `/users/chat?user_id=${x.user_id}`, `/users/chat/?user_id=${x.user_id}`]) {
    const list = ok(await call('GET', path, { token: x.token }));
    assert.equal(list.status, 200, path);
    assert.deepEqual(list.chat_ids, [xy, xz], path);
    const [entry] = list.chats;
    assert.equal(entry.chat_id, xy);
    assert.equal(entry.peer.user_id, y.user_id);
    assert.equal(entry.peer.username, y.username);
    assert.equal(entry.last_message.message_id, last.message_id);
    assert.equal(entry.unread, 2);
    assert.equal(entry.read_up_to, null);
    assert.equal(entry.muted, false);
  }
  const read = (message_id) =>
    call('POST', `/users/chat/${xy}/read`, { token: x.token, body: { message_id } });
  const entry = async () => ok(await call('GET', '/users/chat', { token: x.token })).chats[0];
  ok(await read(last.message_id), 204);
  assert.equal((await entry()).unread, 0);
  assert.equal((await entry()).read_up_to, last.message_id);
  ok(await read(first.message_id), 204);
  assert.equal((await entry()).read_up_to, last.message_id, 'a watermark went back');
  problem(await read(NOBODY), 404, 'not_found');
  invalid(await read('nonsense'));

  const seen = ok(await call('GET', `/users/chat/${xy}?limit=2`, { token: y.token })).messages;
  assert.deepEqual(seen.map((message) => message.status), ['read', 'read']);
  assert.match(seen[0].seen_at, TIME);
});

test('the chat list tells which chats its owner muted', async () => {
  const x = await newUser('x');
  const [quiet, loud] = [await newChat(x, ann), await newChat(x, bob)];
  const mute = async (muted) =>
    ok(await call('PUT', '/notifications/preferences', { token: x.token, body: { muted } }));
  const listed = async (user) => {
    const { chats } = ok(await call('GET', '/users/chat?limit=100', { token: user.token }));
    return Object.fromEntries(chats.map((entry) => [entry.chat_id, entry.muted]));
  };
  assert.deepEqual(await listed(x), { [quiet]: false, [loud]: false });
  await mute([{ chat_id: quiet, until: '2040-01-31T08:00:00.000Z' }]);
  assert.deepEqual(await listed(x), { [quiet]: true, [loud]: false });
  assert.equal((await listed(ann))[quiet], false, 'it is nobody else’s wish');
  await mute([{ chat_id: quiet, until: '2020-01-31T08:00:00.000Z' }]);
  assert.deepEqual(await listed(x), { [quiet]: false, [loud]: false }, 'that has ended');
  await mute([{ chat_id: quiet, until: '2040-01-31T08:00:00.000Z' }]);
  assert.equal((await listed(x))[quiet], true);
  await mute([]);
  assert.deepEqual(await listed(x), { [quiet]: false, [loud]: false });
});

test('the chat list pages by a cursor that serves its owner only', async () => {
  const x = await newUser('x');
  const made = [await newChat(x, ann), await newChat(x, bob), await newChat(x, eve)].reverse();
  const got = [];
  let cursor = '';
  for (let page = 0; page < 5; page += 1) {
    const list = ok(await call('GET', `/users/chat?limit=1${cursor && `&cursor=${cursor}`}`, { token: x.token }));
    got.push(...list.chat_ids);
    if (list.next_cursor === null || list.next_cursor === undefined) break;
    cursor = encodeURIComponent(list.next_cursor);
    problem(await call('GET', `/users/chat?limit=1&cursor=${cursor}`, { token: ann.token }), 400);
  }
  assert.deepEqual(got, made);
  for (const forged of ['x', 'AAAA', '%00', '..%2f', `${cursor}A`, 'A'.repeat(500)]) {
    problem(await call('GET', `/users/chat?cursor=${forged}`, { token: x.token }), 400);
  }
  for (const limit of ['0', '101', '-1', 'x', '99999999999999999999']) {
    invalid(await call('GET', `/users/chat?limit=${limit}`, { token: x.token }));
  }
});

test('a session of another device sees the same chats', async () => {
  const tablet = await login(bob);
  const [a, b] = await Promise.all([bob, tablet].map((user) => call('GET', '/users/chat', { token: user.token })));
  assert.deepEqual(ok(a).chat_ids, ok(b).chat_ids);
});

test('an unknown path and a wrong method are problem documents', async () => {
  problem(await call('GET', '/no/such/path', { token: ann.token }), 404);
  problem(await call('DELETE', '/register'), 405);
});
