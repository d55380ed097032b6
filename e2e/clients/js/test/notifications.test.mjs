// Being told of messages. A notification is there a moment after its message, so lists are asked for until they are right.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { newChat, newPair, newUser, post } from '../accounts.mjs';
import { BUSY, NOBODY, TIME, call, invalid, ok, problem, sleep } from '../http.mjs';

const PATIENCE_MS = 4 * Number(process.env.SENTINEL_PATIENCE_MS ?? 5000);

let ann;
let bob;
let chat;
before(async () => {
  ({ ann, bob, chat } = await newPair());
});

/** A page of notifications of messages: a new account also finds that it is welcome. */
const list = async (user, query = '') => {
  const page = ok(await call('GET', `/notifications${query}`, { token: user.token }));
  return { ...page, notifications: page.notifications.filter((one) => one.kind === 'new_message') };
};
const prefer = async (user, body) =>
  ok(await call('PUT', '/notifications/preferences', { token: user.token, body }));

/** Asks until `right` holds for the whole list, newest first. */
async function becomes(user, right, what) {
  for (const deadline = Date.now() + PATIENCE_MS; ; await sleep(100)) {
    const { notifications } = await list(user, '?limit=100');
    if (right(notifications)) return notifications;
    assert.ok(Date.now() < deadline, `${what}: ${JSON.stringify(notifications)}`);
  }
}

/** Waits until a user was told of a message. */
async function told(user, message) {
  const of = (one) => one.message_id === message.message_id;
  const all = await becomes(user, (some) => some.some(of), `told of ${message.message_id}`);
  return all.find(of);
}

test('the recipient is told, without content unless it is wanted', async () => {
  const message = await post(ann, chat, 'a secret');
  const one = await told(bob, message);
  assert.deepEqual(one, {
    notification_id: one.notification_id, kind: 'new_message', header: 'New message', body: 'You have a new message',
    chat_id: chat, message_id: message.message_id, created_at: message.timestamp, read: false,
  });
  assert.match(one.created_at, TIME);
  assert.ok(!(await list(ann)).notifications.some((mine) => mine.message_id === message.message_id));

  const stored = await prefer(bob, { show_content: true });
  assert.equal(stored.show_content, true);
  const shown = await told(bob, message);
  assert.equal(shown.body, 'a secret');
  assert.ok(shown.header.includes(ann.username), shown.header);
  // It shows what the message says now.
  const path = `/users/chat/${chat}/messages/${message.message_id}`;
  ok(await call('PATCH', path, { token: ann.token, body: { message: 'changed' } }));
  assert.equal((await told(bob, message)).body, 'changed');
  await prefer(bob, { show_content: false });
  assert.equal((await told(bob, message)).body, 'You have a new message');
  ok(await call('DELETE', path, { token: ann.token }), 204);
  const gone = (some) => !some.some((mine) => mine.message_id === message.message_id);
  await becomes(bob, gone, 'a notification of a deleted message');
});

test('one is read by itself, all of a chat with the chat, and nobody is told of what was read', async () => {
  const first = await told(bob, await post(ann, chat, 'one'));
  const second = await told(bob, await post(ann, chat, 'two'));
  const path = `/notifications/${first.notification_id}/read`;
  ok(await call('POST', path, { token: bob.token }), 204);
  ok(await call('POST', path, { token: bob.token }), 204);
  assert.equal((await told(bob, first)).read, true);
  assert.equal((await told(bob, second)).read, false);
  problem(await call('POST', path, { token: ann.token }), 404, 'not_found');
  problem(await call('POST', `/notifications/${NOBODY}/read`, { token: bob.token }), 404, 'not_found');
  invalid(await call('POST', '/notifications/x/read', { token: bob.token }));

  const body = { message_id: second.message_id };
  ok(await call('POST', `/users/chat/${chat}/read`, { token: bob.token, body }), 204);
  const isRead = (some) => some.find((mine) => mine.message_id === second.message_id)?.read === true;
  await becomes(bob, isRead, 'read with the chat');

  // Read at once: whoever was told is told that it is read.
  const third = await post(ann, chat, 'three');
  ok(await call('POST', `/users/chat/${chat}/read`, { token: bob.token, body: { message_id: third.message_id } }), 204);
  // Events of a chat are handled in order.
  await told(ann, await post(bob, chat, 'marker'));
  const unread = (some) => some.some((mine) => mine.message_id === third.message_id && !mine.read);
  await becomes(bob, (some) => !unread(some), 'unread, and was read');
});

test('nobody is told of notes to oneself or of what comes in a muted chat', async () => {
  const notes = await newChat(bob, bob);
  const note = await post(bob, notes, 'note');
  const until = new Date(Date.now() + 3_600_000).toISOString();
  const stored = await prefer(bob, { muted: [{ chat_id: chat, until }] });
  assert.deepEqual(stored.muted, [{ chat_id: chat, until }]);
  const muted = await post(ann, chat, 'muted');
  // Events of a chat are handled in order.
  await told(ann, await post(bob, chat, 'loud'));
  await prefer(bob, {});
  await told(bob, await post(ann, chat, 'loud again'));
  const eve = await newUser('eve');
  const theirs = await newChat(eve, bob);
  await told(bob, await post(eve, theirs, 'from eve'));
  const { notifications } = await list(bob, '?limit=100');
  for (const silent of [note, muted]) {
    assert.ok(!notifications.some((one) => one.message_id === silent.message_id), silent.message);
  }
  // An account that is deleted takes along what it told.
  assert.ok(notifications.some((one) => one.chat_id === theirs));
  ok(await call('DELETE', '/me', { token: eve.token, body: { password: eve.password } }), 204);
  await becomes(bob, (some) => !some.some((one) => one.chat_id === theirs), 'of a deleted account');
});

test('the list is newest first, and pages have no gap and no repeat', async () => {
  const eve = await newUser('eve');
  const theirs = await newChat(ann, eve);
  const sent = [];
  for (let n = 0; n < 7; n++) sent.unshift((await post(ann, theirs, `line ${n}`)).message_id);
  await becomes(eve, (some) => some.length === 7, 'seven notifications');
  const read = [];
  let query = '?limit=3';
  do {
    const page = await list(eve, query);
    assert.ok(page.notifications.length <= 3);
    read.push(...page.notifications.map((one) => one.message_id));
    query = page.next_cursor && `?limit=3&cursor=${page.next_cursor}`;
  } while (query);
  assert.deepEqual(read, sent);
  const { next_cursor: cursor } = await list(eve, '?limit=3');
  problem(await call('GET', `/notifications?cursor=${cursor}`, { token: ann.token }), 400, 'invalid_cursor');
  for (const wrong of ['x', `${cursor}A`, `A${cursor}`]) {
    problem(await call('GET', `/notifications?cursor=${wrong}`, { token: eve.token }), 400, 'invalid_cursor');
  }
  for (const wrong of ['0', '101', 'x']) {
    invalid(await call('GET', `/notifications?limit=${wrong}`, { token: eve.token }));
  }
});

test('preferences are kept whole, and wrong ones are refused by field', async () => {
  const eve = await newUser('eve');
  const get = async () => ok(await call('GET', '/notifications/preferences', { token: eve.token }));
  const initial = await get();
  assert.equal(initial.show_content, false);
  assert.equal(initial.quiet_hours, null);
  assert.deepEqual(initial.muted, []);
  const wanted = {
    show_content: true,
    quiet_hours: { from_minute: 1320, to_minute: 420, utc_offset_minutes: -480 },
    muted: [{ chat_id: chat, until: '2040-01-31T08:00:00.000Z' }],
  };
  await prefer(eve, wanted);
  const stored = await get();
  for (const [field, value] of Object.entries(wanted)) assert.deepEqual(stored[field], value, field);
  const night = { from_minute: 1320, to_minute: 420 };
  for (const [clock, given] of [
    [{ time_zone: 'Europe/Berlin', utc_offset_minutes: 60 }],
    // As browsers call Asia/Kolkata.
    [{ time_zone: 'Asia/Calcutta' }],
    [{ time_zone: null }, {}],
    [{}],
  ]) {
    await prefer(eve, { ...wanted, quiet_hours: { ...night, ...clock } });
    assert.deepEqual((await get()).quiet_hours, { ...night, utc_offset_minutes: 0, ...(given ?? clock) });
  }
  await prefer(eve, wanted);
  assert.deepEqual(await get(), stored);
  const wrong = [
    [{ quiet_hours: { from_minute: 1440, to_minute: 1 } }, 'quiet_hours.from_minute'],
    [{ quiet_hours: { from_minute: 1, to_minute: 1441 } }, 'quiet_hours.to_minute'],
    [{ quiet_hours: { from_minute: 1, to_minute: 2, utc_offset_minutes: 841 } }, 'quiet_hours.utc_offset_minutes'],
    [{ quiet_hours: { ...night, time_zone: 'Europe/Atlantis' } }, 'quiet_hours.time_zone'],
    [{ quiet_hours: { ...night, time_zone: 'x'.repeat(10_000) } }, 'quiet_hours.time_zone'],
    [{ quiet_hours: { ...night, time_zone: '' } }, 'quiet_hours.time_zone'],
    [{ quiet_hours: { ...night, time_zone: 60 } }, 'quiet_hours.time_zone'],
    [{ muted: [{ chat_id: chat, until: 'tomorrow' }] }, 'muted[0].until'],
    [{ show_content: 'yes' }, 'show_content'],
    [{ muted: [{ chat_id: 'x', until: wanted.muted[0].until }] }],
  ];
  for (const [body, field] of wrong) {
    invalid(await call('PUT', '/notifications/preferences', { token: eve.token, body }), field);
  }
  assert.deepEqual(await get(), stored, 'what was refused changed nothing');
});

test('of two devices that change preferences none undoes what the other changed', async () => {
  const eve = await newUser('eve');
  const get = () => call('GET', '/notifications/preferences', { token: eve.token });
  const put = (version, body) =>
    call('PUT', '/notifications/preferences', { token: eve.token, body, headers: { 'if-match': version } });
  const known = (await get()).headers.get('etag');
  const muted = [{ chat_id: chat, until: '2040-01-31T08:00:00.000Z' }];
  const first = await put(known, { muted });
  assert.deepEqual(ok(first).muted, muted);
  problem(await put(known, { show_content: true }), 412, 'preferences_changed');
  const now = await get();
  assert.deepEqual([ok(now).muted, now.headers.get('etag')], [muted, first.headers.get('etag')]);
  const second = await put(now.headers.get('etag'), { ...now.json, show_content: true });
  assert.deepEqual([ok(second).show_content, second.json.muted], [true, muted]);
  // At the same moment, one of them. A busy store may have made a change that it could not tell of; its repeat then finds that
  // change in its way.
  const version = second.headers.get('etag');
  const racing = [1, 2, 3, 4].map((from_minute) => put(version, { quiet_hours: { from_minute, to_minute: 9 } }));
  const done = (await Promise.all(racing)).filter((answer) => answer.status === 200);
  assert.ok(done.length === 1 || (BUSY && done.length === 0), `${done.length} were taken`);
  const { json } = await get();
  assert.ok([1, 2, 3, 4].includes(json.quiet_hours.from_minute), JSON.stringify(json));
  if (done.length) assert.deepEqual(json, done[0].json);
});

test('all of it needs a token', async () => {
  const body = {};
  problem(await call('GET', '/notifications'), 401);
  problem(await call('POST', `/notifications/${NOBODY}/read`), 401);
  problem(await call('GET', '/notifications/preferences'), 401);
  problem(await call('PUT', '/notifications/preferences', { body }), 401);
});
