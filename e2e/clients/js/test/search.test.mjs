// Finding messages. What was sent is found a moment later, so every question is asked until it is answered as it should be.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { newChat, newPair, newUser, post } from '../accounts.mjs';
import { NOBODY, TIME, UUID, anonymous, call, invalid, ok, problem, sleep } from '../http.mjs';

/** The contract says two seconds; more where the server shares its cores with all of its stores. */
const PATIENCE_MS = 4 * Number(process.env.SENTINEL_PATIENCE_MS ?? 5000);

let ann;
let bob;
let eve;
let chat; // of Ann and Bob
let others; // of Bob and Eve
before(async () => {
  ({ ann, bob, chat } = await newPair());
  eve = await newUser('eve');
  others = await newChat(bob, eve);
});

const ask = (user, q, query = {}) =>
  call('GET', `/search/messages?${new URLSearchParams({ q, ...query })}`, { token: user.token });
const search = async (user, q, query) => ok(await ask(user, q, query));
const texts = (page) => page.hits.map((hit) => hit.message.message);

/** Asks until the texts of the hits are these, newest first. */
async function finds(user, q, expected, query) {
  for (const deadline = Date.now() + PATIENCE_MS; ; await sleep(100)) {
    const page = await search(user, q, query);
    if (JSON.stringify(texts(page)) === JSON.stringify(expected)) return page;
    assert.ok(Date.now() < deadline, `${q}: ${JSON.stringify(texts(page))}, wanted ${JSON.stringify(expected)}`);
  }
}

/** Asks until the caller's session is known to have ended, which every replica hears of a moment later. */
async function ends(user) {
  for (const deadline = Date.now() + PATIENCE_MS; ; await sleep(100)) {
    const answer = await ask(user, 'anything');
    if (answer.status === 401 || Date.now() > deadline) return problem(answer, 401);
  }
}

/** What the highlights of the only hit cover. */
async function highlighted(user, q, text) {
  const { hits } = await finds(user, q, [text]);
  let end = 0;
  return hits[0].highlights.map((range) => {
    assert.equal(range.length, 2);
    assert.ok(range[0] >= end && range[1] > range[0] && range[1] <= text.length, JSON.stringify(hits[0].highlights));
    end = range[1];
    return text.slice(...range);
  });
}

test('a hit is the message as history gives it, for both members, a moment after it was sent', async () => {
  const sent = await post(ann, chat, 'Xylophones are rare', { client_message_id: `xylo-${chat}` });
  const began = Date.now();
  const page = await finds(ann, 'xylophones', [sent.message]);
  console.log(`found ${Date.now() - began} ms after the acknowledgement`);
  assert.equal(page.next_cursor, null);
  const [hit] = page.hits;
  assert.deepEqual(Object.keys(hit).sort(), ['highlights', 'message']);
  assert.match(hit.message.message_id, UUID);
  assert.match(hit.message.timestamp, TIME);
  const history = ok(await call('GET', `/users/chat/${chat}?limit=1`, { token: ann.token }));
  assert.deepEqual(hit.message, history.messages[0]);
  await finds(bob, 'xylophones', [sent.message]);
});

test('all words must match in whatever order, the last one by its beginning, a phrase exactly', async () => {
  const text = 'Zebras meet at the old quay tomorrow';
  await post(bob, chat, text);
  await finds(ann, 'zebras', [text]);
  for (const [q, found] of [
    ['tomorrow zebras', true],
    ['quay zeb', true],
    ['zeb quay', false],
    ['zebras t', true],
    ['zebras x', false],
    ['z', false],
    ['ebras', false],
    ['zebras never', false],
    ['"the old quay"', true],
    ['"old the quay"', false],
    ['"the ol"', false],
    ['"the old" tomor', true],
    ['“meet at” ZEBRAS', true],
    ['zebras "not closed', false],
    ['zebras "tomorrow', true],
  ]) {
    assert.deepEqual(texts(await search(ann, q)), found ? [text] : [], q);
  }
});

test('case and accents do not matter, and highlights are places in what was written', async () => {
  const text = 'Ça, le CAFÉ de Zürich — naïve Straße';
  await post(ann, chat, text);
  assert.deepEqual(await highlighted(bob, 'zurich cafe', text), ['CAFÉ', 'Zürich']);
  assert.deepEqual(await highlighted(bob, 'ÇA NAIVE stras', text), ['Ça', 'naïve', 'Straß']);
  const decomposed = 'résumé attached'.normalize('NFD');
  await post(ann, chat, decomposed);
  assert.deepEqual(await highlighted(bob, 'resume', decomposed), ['résumé'.normalize('NFD')]);
});

test('Chinese, Japanese and Korean are found by two characters, and emoji stand for themselves', async () => {
  const chinese = '明天下午在上海见面吧';
  const japanese = '会議は東京駅でお願いします';
  const korean = '내일 서울에서 만나요';
  const emoji = 'well done 🎉👩‍👩‍👧 see you';
  for (const text of [chinese, japanese, korean, emoji]) await post(ann, chat, text);
  assert.deepEqual(await highlighted(bob, '上海', chinese), ['上海']);
  assert.deepEqual(await highlighted(bob, '東京', japanese), ['東京']);
  assert.deepEqual(await highlighted(bob, '서울', korean), ['서울']);
  assert.deepEqual(await highlighted(bob, '下午在', chinese), ['下午在']);
  assert.deepEqual(texts(await search(bob, '海上')), [], 'the order counts');
  assert.deepEqual(await highlighted(bob, '🎉', emoji), ['🎉']);
  assert.deepEqual(await highlighted(bob, 'done 🎉 se', emoji), ['done', '🎉', 'se']);
});

test('filters narrow, and pages have no gap and no repeat', async () => {
  const word = 'quokka';
  const expected = [];
  const sent = [];
  for (let n = 0; n < 9; n++) {
    sent.push(await post(n % 3 ? ann : bob, chat, `${word} ${n}`));
    expected.unshift(`${word} ${n}`);
    await sleep(3); // each in a millisecond of its own, for the times below
  }
  const elsewhere = await post(bob, others, `${word} elsewhere`);
  await finds(bob, word, [elsewhere.message, ...expected]);
  await finds(ann, word, expected);
  const of = (user) => sent.filter((one) => one.sender_id === user.user_id).map((one) => one.message).reverse();
  for (const [query, wanted] of [
    [{ chat_id: chat }, expected],
    [{ chat_id: chat, sender_id: bob.user_id }, of(bob)],
    [{ sender_id: ann.user_id }, of(ann)],
    [{ from: sent[6].timestamp }, expected.slice(0, 3)],
    [{ to: sent[2].timestamp }, expected.slice(7)],
    [{ from: sent[3].timestamp, to: sent[5].timestamp }, expected.slice(4, 6)],
    [{ type: 'text' }, expected],
    [{ type: 'image' }, []],
    [{ limit: '2' }, expected.slice(0, 2)],
  ]) {
    assert.deepEqual(texts(await search(ann, word, query)), wanted, JSON.stringify(query));
  }
  const read = [];
  let query = { limit: '4' };
  do {
    const page = await search(ann, word, query);
    assert.ok(page.hits.length <= 4);
    read.push(...texts(page));
    query = page.next_cursor && { limit: '4', cursor: page.next_cursor };
  } while (query);
  assert.deepEqual(read, expected);

  // A cursor is good for its question and its caller only.
  const { next_cursor: cursor } = await search(ann, word, { limit: '2' });
  assert.equal(typeof cursor, 'string');
  problem(await ask(bob, word, { cursor }), 400, 'invalid_cursor');
  problem(await ask(ann, 'other', { cursor }), 400, 'invalid_cursor');
  problem(await ask(ann, word, { cursor, chat_id: chat }), 400, 'invalid_cursor');
  const forged = `${cursor.slice(0, -1)}${cursor.at(-1) === 'A' ? 'B' : 'A'}`;
  for (const wrong of [forged, 'x', `${cursor}A`, '%00']) {
    problem(await ask(ann, word, { cursor: wrong }), 400, 'invalid_cursor');
  }
});

test('an edit or a deletion is never found under the old text', async () => {
  const message = await post(ann, chat, 'wombat original');
  await finds(bob, 'wombat', ['wombat original']);
  const path = `/users/chat/${chat}/messages/${message.message_id}`;
  ok(await call('PATCH', path, { token: ann.token, body: { message: 'wombat corrected' } }));
  // At once, whether or not the index knows.
  assert.deepEqual(texts(await search(bob, 'original')), []);
  await finds(bob, 'corrected', ['wombat corrected']);
  assert.deepEqual(texts(await search(bob, 'wombat original')), []);
  ok(await call('DELETE', path, { token: ann.token }), 204);
  for (const q of ['wombat', 'original', 'corrected']) assert.deepEqual(texts(await search(bob, q)), [], q);
  // Edited and deleted in one breath, before anything could be indexed.
  const brief = await post(ann, chat, 'platypus first');
  const at = `/users/chat/${chat}/messages/${brief.message_id}`;
  ok(await call('PATCH', at, { token: ann.token, body: { message: 'platypus second' } }));
  await finds(bob, 'platypus', ['platypus second']);
  ok(await call('DELETE', at, { token: ann.token }), 204);
  await post(ann, chat, 'platypus marker');
  await finds(bob, 'platypus', ['platypus marker']);
});

test('everybody finds in their own chats only, whatever the parameters say', async () => {
  await post(ann, chat, 'narwhal of ann');
  await post(bob, others, 'narwhal of bob');
  await finds(bob, 'narwhal', ['narwhal of bob', 'narwhal of ann']);
  await finds(eve, 'narwhal', ['narwhal of bob']);
  for (const query of [
    { sender_id: ann.user_id },
    { sender_id: ann.user_id, user_id: ann.user_id, caller: ann.user_id, members: ann.user_id },
  ]) {
    assert.deepEqual(texts(await search(eve, 'narwhal', query)), [], JSON.stringify(query));
  }
  for (const q of ['narwhal ann', 'narwhal" OR "ann', 'narwhal) OR (ann', '* ann', 'narwhal%', '{"match_all":{}} ann']) {
    assert.ok(!texts(await search(eve, q)).includes('narwhal of ann'), q);
  }
  const foreign = await ask(eve, 'narwhal', { chat_id: chat });
  const missing = await ask(eve, 'narwhal', { chat_id: NOBODY });
  problem(foreign, 404, 'not_found');
  problem(missing, 404, 'not_found');
  assert.equal(anonymous(foreign, chat), anonymous(missing, NOBODY));
  problem(await call('GET', '/search/messages?q=narwhal'), 401);
});

test('old messages of a blocked account are found as they are read; a deleted account takes its chats along', async () => {
  const mallory = await newUser('mallory');
  const theirs = await newChat(ann, mallory);
  const notes = await newChat(ann, ann);
  await post(mallory, theirs, 'axolotl from mallory');
  await post(ann, notes, 'axolotl note');
  await finds(ann, 'axolotl', ['axolotl note', 'axolotl from mallory']);
  ok(await call('PUT', `/users/${mallory.user_id}/block`, { token: ann.token }), 204);
  assert.deepEqual(texts(await search(ann, 'axolotl')), ['axolotl note', 'axolotl from mallory']);
  ok(await call('DELETE', '/me', { token: mallory.token, body: { password: mallory.password } }), 204);
  await finds(ann, 'axolotl', ['axolotl note']);
  await ends(mallory);
});

test('questions that are none are refused by field', async () => {
  for (const q of ['', ' ', '…!?', '"']) invalid(await ask(ann, q), 'q');
  invalid(await ask(ann, 'x'.repeat(1025)), 'q');
  invalid(await ask(ann, Array.from({ length: 33 }, (_, n) => `w${n}`).join(' ')), 'q');
  invalid(await call('GET', '/search/messages', { token: ann.token }));
  for (const [field, value] of [
    ['limit', '0'], ['limit', '101'], ['limit', 'x'], ['chat_id', 'x'], ['sender_id', 'x'], ['from', 'yesterday'],
    ['to', '2024-13-01T00:00:00Z'], ['type', 'sound'],
  ]) {
    invalid(await ask(ann, 'word', { [field]: value }));
  }
  // Anything that can be typed is a question.
  for (const q of ['a'.repeat(1000), '\u0000word', '(?:.*)+', '%_', "'; DROP TABLE messages; --", '\ud83d', '🏳️‍🌈']) {
    const answer = await ask(ann, q);
    assert.ok([200, 400, 422].includes(answer.status), `${JSON.stringify(q)}: ${answer.status}`);
  }
});
