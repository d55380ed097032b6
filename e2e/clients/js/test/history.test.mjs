// History both ways, and the paging of the seed's clients.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { newChat, newPair, newUser, post } from '../accounts.mjs';
import { NOBODY, call, invalid, ok, problem } from '../http.mjs';

const TOTAL = 25;
let ann;
let bob;
let eve;
let chat;
let ids;
before(async () => {
  ({ ann, bob, chat } = await newPair());
  eve = await newUser('eve');
  const sent = [];
  for (let n = 0; n < TOTAL; n += 1) sent.push(await post(n % 2 ? ann : bob, chat, `message ${n}`));
  ids = sent.map((message) => message.message_id);
});

const page = async (query, user = ann) => ok(await call('GET', `/users/chat/${chat}?${query}`, { token: user.token }));
const idsOf = (body) => body.messages.map((message) => message.message_id);
const newestFirst = (from, to) => ids.slice(from, to).reverse();

test('ids are in the order of sending, and history is newest first for both', async () => {
  assert.deepEqual([...ids].sort(), ids);
  assert.deepEqual(idsOf(await page('limit=100')), newestFirst(0, TOTAL));
  assert.deepEqual(idsOf(await page('limit=100', bob)), newestFirst(0, TOTAL));
});

for (const limit of [1, 5, 7, 25, 100]) {
  test(`pages of ${limit} have no gap and no repeat, both ways, by id`, async () => {
    const older = [];
    for (let query = `limit=${limit}`; ; ) {
      const got = idsOf(await page(query));
      older.push(...got);
      if (got.length === 0 || older.length > TOTAL) break;
      query = `limit=${limit}&before=${got.at(-1)}`;
    }
    assert.deepEqual(older, newestFirst(0, TOTAL));

    const newer = [ids[0]];
    for (;;) {
      const got = idsOf(await page(`limit=${limit}&after=${newer.at(-1)}`));
      newer.push(...got.reverse());
      if (got.length === 0 || newer.length > TOTAL) break;
    }
    assert.deepEqual(newer, ids);
  });
}

test('next_cursor and prev_cursor lead to the end and back', async () => {
  const follow = async (name) => {
    const got = [];
    let body = await page(name === 'next_cursor' ? 'limit=10' : `limit=10&after=${ids[0]}`);
    for (let turn = 0; turn < 10; turn += 1) {
      got.push(idsOf(body));
      const cursor = body[name];
      if (cursor === null || cursor === undefined) return got;
      // A cursor is opaque: a parameter of its own, which some servers also take as the id it stands for.
      body = await page(`limit=10&cursor=${encodeURIComponent(cursor)}`);
    }
    throw new Error(`${name} never ends`);
  };
  assert.deepEqual((await follow('next_cursor')).flat(), newestFirst(0, TOTAL));
  assert.deepEqual((await follow('prev_cursor')).reverse().flat(), newestFirst(1, TOTAL));
});

test('around shows the message with its neighbours', async () => {
  const body = await page(`around=${ids[12]}&limit=7`);
  const got = idsOf(body);
  assert.ok(got.includes(ids[12]));
  assert.ok(got.length <= 7 && got.length >= 6, `${got.length}`);
  const at = ids.indexOf(got.at(-1));
  assert.deepEqual(got, newestFirst(at, at + got.length));
  assert.ok(at >= 8 && at <= 10, `begins at ${at}`);
  assert.ok(body.next_cursor && body.prev_cursor);
  assert.ok(idsOf(await page(`around=${ids[0]}&limit=5`)).includes(ids[0]));
  assert.ok(idsOf(await page(`around=${ids[24]}&limit=5`)).includes(ids[24]));
});

test('a malformed limit, id or combination is refused', async () => {
  const get = (query) => call('GET', `/users/chat/${chat}?${query}`, { token: ann.token });
  for (const query of ['limit=0', 'limit=101', 'limit=x', 'limit=-1', 'limit=1.5', 'before=x', 'after=', 'around=5']) {
    invalid(await get(query));
  }
  invalid(await get(`before=${ids[3]}&after=${ids[1]}`));
  problem(await call('GET', '/users/chat/nonsense', { token: ann.token }), [400, 422]);
});

test('forged cursors, and cursors of another chat or caller, are 400', async () => {
  const other = await newChat(ann, eve);
  const { next_cursor } = await page('limit=3');
  const cursor = encodeURIComponent(next_cursor);
  problem(await call('GET', `/users/chat/${other}?cursor=${cursor}`, { token: ann.token }), 400);
  problem(await call('GET', `/users/chat/${chat}?cursor=${cursor}`, { token: bob.token }), 400);
  for (const forged of ['x', 'AAAAAAAA', `${cursor.slice(0, -2)}AA`, `${cursor}A`, '%F0%9F', NOBODY, 'A'.repeat(2000)]) {
    problem(await call('GET', `/users/chat/${chat}?cursor=${forged}`, { token: ann.token }), 400);
  }
});

const seed = (body, user = ann, id = chat) => call('POST', `/users/chat/${id}`, { token: user.token, body });

test("the seed's paging goes through the whole history, five at a time", async () => {
  const got = [];
  let state;
  for (let turn = 0; turn < 10; turn += 1) {
    const body = ok(await seed(state === undefined ? {} : { paging_state_id: state }));
    assert.ok(body.user_messages.length <= 5);
    got.push(...body.user_messages);
    state = body.next_paging_state_id;
    if (state === undefined || state === null) break;
  }
  assert.deepEqual(got.map((message) => message.message_id), newestFirst(0, TOTAL));
  assert.deepEqual(Object.keys(got[0]).sort(), ['content', 'message_id', 'sender_id', 'timestamp']);
  assert.equal(got[0].content, `message ${TOTAL - 1}`);
  assert.equal(got[0].sender_id, bob.user_id);
});

test("the seed's paging with fetch_size, and with exactly as many rows as there are", async () => {
  const some = ok(await seed({ fetch_size: 10 }));
  assert.equal(some.user_messages.length, 10);
  const all = ok(await seed({ fetch_size: TOTAL }));
  assert.equal(all.user_messages.length, TOTAL);
  assert.ok(all.next_paging_state_id === undefined || all.next_paging_state_id === null);
  for (const fetch_size of [0, -1, 101, 'x', 1.5]) invalid(await seed({ fetch_size }));
});

test("the seed's starting time begins at that time, in every form that pages carry", async () => {
  const { user_messages } = ok(await seed({ fetch_size: 3 }));
  const at = user_messages[2].timestamp;
  const from = ok(await seed({ starting_timestamp_str: at, fetch_size: 100 })).user_messages;
  assert.ok(from.every((message) => message.timestamp <= at), `begins after ${at}`);
  assert.equal(from[from.length - 1].message_id, ids[0]);
  ok(await seed({ starting_timestamp_str: '2024-01-27 15:26:40.007000' }));
  for (const bad of ['yesterday', 5, '2024-13-45 99:99:99']) invalid(await seed({ starting_timestamp_str: bad }));
});

test("the seed's paging state is bound to its chat and its caller", async () => {
  const { next_paging_state_id } = ok(await seed({}));
  problem(await seed({ paging_state_id: next_paging_state_id }, bob), 400);
  const other = await newChat(ann, eve);
  problem(await seed({ paging_state_id: next_paging_state_id }, ann, other), 400);
  for (const forged of ['x', 'AAAA', `${next_paging_state_id}A`]) {
    problem(await seed({ paging_state_id: forged }), [400, 422]);
  }
});

test('many messages of one millisecond page without gap or repeat', async () => {
  const pair = await newPair();
  const sends = Array.from({ length: 45 }, (_, n) => post(n % 3 ? pair.ann : pair.bob, pair.chat, `burst ${n}`));
  const sent = (await Promise.all(sends)).map((message) => message.message_id).sort();
  for (const limit of [4, 9, 44]) {
    const got = [];
    let cursor;
    do {
      const path = `/users/chat/${pair.chat}?limit=${limit}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`;
      const body = ok(await call('GET', path, { token: pair.bob.token }));
      got.push(...idsOf(body));
      cursor = body.next_cursor;
    } while (cursor && got.length <= 45);
    assert.deepEqual(got.reverse(), sent, `pages of ${limit}`);
  }
});
