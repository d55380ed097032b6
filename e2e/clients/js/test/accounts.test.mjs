// Registration, log-in, refresh, look-ups and the account's own page.
import assert from 'node:assert/strict';
import { createECDH, createPublicKey, randomBytes, verify } from 'node:crypto';
import { request } from 'node:http';
import { before, test } from 'node:test';
import { claims, freshName, login, newUser } from '../accounts.mjs';
import { NOBODY, TIME, UUID, anonymous, base, call, invalid, ok, problem } from '../http.mjs';

let ann;
let bob;
before(async () => {
  ann = await newUser('ann');
  bob = await newUser('bob');
});

test('registration answers 201 with exactly the promised fields', async () => {
  const name = freshName('Zoe');
  const answer = await call('POST', '/register', {
    body: { username: name, password: 'correct horse', email: `${name}@Example.com`, unknown_field: [1] },
  });
  const body = ok(answer, 201);
  assert.deepEqual(
    Object.keys(body).sort(),
    ['access_token', 'expires_in', 'refresh_token', 'token_type', 'user_id', 'username'],
  );
  assert.equal(body.username, name.toLowerCase());
  assert.match(body.user_id, UUID);
  assert.equal(body.token_type, 'Bearer');
  assert.ok(Number.isInteger(body.expires_in) && body.expires_in > 0);
  assert.notEqual(body.access_token, body.refresh_token);
});

test('the access token has the promised claims and verifies with the published key', async () => {
  const [head, payload, signature] = ann.token.split('.');
  const header = JSON.parse(Buffer.from(head, 'base64url'));
  assert.ok(['EdDSA', 'ES256'].includes(header.alg), header.alg);
  const { keys } = ok(await call('GET', '/.well-known/jwks.json'));
  const jwk = keys.find((key) => key.kid === header.kid);
  assert.ok(jwk, `kid ${header.kid} is not in the JWKS`);
  assert.ok(keys.every((key) => key.d === undefined), 'a private key is published');
  const key = { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' };
  const digest = header.alg === 'EdDSA' ? null : 'sha256';
  assert.ok(verify(digest, Buffer.from(`${head}.${payload}`), key, Buffer.from(signature, 'base64url')));

  const body = claims(ann.token);
  assert.equal(body.sub, ann.user_id);
  assert.equal(body.username, ann.username);
  assert.match(body.sid, UUID);
  for (const claim of ['iss', 'aud', 'jti', 'typ']) assert.equal(typeof body[claim], 'string', claim);
  for (const claim of ['iat', 'nbf', 'exp']) assert.ok(Number.isInteger(body[claim]), claim);
  assert.equal(body.exp - body.iat, ann.expires_in);
  assert.equal(body.email, undefined);
});

test('a taken name or address is 409, whatever its case', async () => {
  const fresh = freshName();
  const name = { username: ann.username.toUpperCase(), password: '12345678', email: `${fresh}@example.com` };
  problem(await call('POST', '/register', { body: name }), 409);
  const address = { username: fresh, password: '12345678', email: ann.email.toUpperCase() };
  problem(await call('POST', '/register', { body: address }), 409);
});

test('of many who register one name at once, one gets it', async () => {
  const username = freshName('race');
  const tries = Array.from({ length: 6 }, (_, at) =>
    call('POST', '/register', { body: { username, password: '12345678', email: `${username}${at}@example.com` } }),
  );
  const answers = await Promise.all(tries);
  assert.deepEqual(answers.map((answer) => answer.status).sort(), [201, 409, 409, 409, 409, 409]);
  answers.filter((answer) => answer.status === 409).forEach((answer) => problem(answer, 409));
});

const good = () => ({ username: freshName(), password: '12345678', email: `${freshName()}@example.com` });
for (const [what, change, field] of [
  ['a name with a space', { username: 'ann lee' }, 'username'],
  ['a name of two letters', { username: 'ab' }, 'username'],
  ['a name of 33 letters', { username: 'a'.repeat(33) }, 'username'],
  ['a name with a look-alike letter', { username: 'аnnika' }, 'username'],
  ['a password of 7 bytes', { password: '1234567' }, 'password'],
  ['a password of 129 bytes', { password: 'x'.repeat(129) }, 'password'],
  ['an address without domain', { email: 'ann@' }, 'email'],
  ['an address with a line break', { email: 'ann@example.com\nBcc: x@example.com' }, 'email'],
]) {
  test(`registration refuses ${what} and names the field`, async () => {
    invalid(await call('POST', '/register', { body: { ...good(), ...change } }), field);
  });
}

for (const [what, raw] of [
  ['a missing field', JSON.stringify({ username: 'annabel', password: '12345678' })],
  ['a number for a name', JSON.stringify({ ...good(), username: 5 })],
  ['null for a password', JSON.stringify({ ...good(), password: null })],
  ['a list', '[]'],
  ['a string', '"hello"'],
  ['cut JSON', '{"username":"ann'],
  ['no body', ''],
  ['bytes that are no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])],
  ['very deep nesting', '{"username":'.repeat(5000)],
]) {
  test(`registration refuses ${what}`, async () => {
    invalid(await call('POST', '/register', { raw }));
  });
}

test('a body above the limit is refused, not read to its end', async () => {
  const sending = request(`${base}/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': 2 * 1024 * 1024 },
    timeout: 5000,
  });
  sending.on('timeout', () => sending.destroy(new Error('no answer before the body is sent')));
  const answer = new Promise((done, fail) => sending.once('response', done).once('error', fail));
  // Somewhat more than the limit; the rest is never sent, and a server that waits for it answers nothing.
  sending.write(`{"username":"${'x'.repeat(160 * 1024)}`);
  assert.equal((await answer).statusCode, 413);
  sending.destroy();
});

test('a body that does not say it is JSON is refused', async () => {
  const answer = await call('POST', '/register', { raw: 'username=ann', headers: { 'content-type': 'text/plain' } });
  problem(answer, [400, 415, 422]);
});

test('log-in works with the name, in any case, and with the address', async () => {
  for (const username of [ann.username.toUpperCase(), ann.email]) {
    const body = ok(await call('POST', '/login', { body: { username, password: ann.password } }));
    assert.equal(body.user_id, ann.user_id);
    assert.equal(body.username, ann.username);
    assert.equal(ok(await call('GET', '/me', { token: body.access_token })).user_id, ann.user_id);
  }
});

test('log-in says the same for a wrong password and for nobody', async () => {
  const wrong = await call('POST', '/login', { body: { username: ann.username, password: 'not the one' } });
  const nobody = await call('POST', '/login', { body: { username: freshName(), password: 'not the one' } });
  problem(wrong, 401, 'invalid_credentials');
  problem(nobody, 401, 'invalid_credentials');
  assert.equal(anonymous(wrong), anonymous(nobody));
});

test('a refresh token rotates, and one that was replaced gives the current one for a while', async () => {
  const device = await login(bob);
  const refresh = (token) => call('POST', '/token/refresh', { body: { refresh_token: token } });
  const first = ok(await refresh(device.refresh_token));
  assert.notEqual(first.refresh_token, device.refresh_token);
  assert.equal(claims(first.access_token).sid, claims(device.token).sid);
  ok(await call('GET', '/me', { token: first.access_token }));
  const again = ok(await refresh(device.refresh_token));
  assert.equal(again.refresh_token, first.refresh_token);

  const both = await Promise.all([refresh(first.refresh_token), refresh(first.refresh_token)]);
  assert.equal(ok(both[0]).refresh_token, ok(both[1]).refresh_token);

  // A tab that is late by two rotations goes on with the others: less than 30 s ago its token was good.
  assert.equal(ok(await refresh(device.refresh_token)).refresh_token, both[0].json.refresh_token);
  ok(await refresh(both[0].json.refresh_token));
  ok(await call('GET', '/me', { token: first.access_token }));
});

test('what is no refresh token is 401, what is no string is refused', async () => {
  for (const refresh_token of ['', 'garbage', ann.token, `${ann.refresh_token}x`, 'A'.repeat(60)]) {
    problem(await call('POST', '/token/refresh', { body: { refresh_token } }), 401);
  }
  invalid(await call('POST', '/token/refresh', { body: { refresh_token: 5 } }));
  invalid(await call('POST', '/token/refresh', { body: {} }));
});

test('a refresh token is no access token', async () => {
  problem(await call('GET', '/me', { token: ann.refresh_token }), 401);
});

test('look-ups give the public profile and nothing else', async () => {
  const profile = { username: bob.username, user_id: bob.user_id, display_name: bob.username, avatar_url: null };
  for (const path of [
    `/users/show?username=${bob.username}`,
    `/users/username/${bob.username}`,
    `/users/username/${bob.username.toUpperCase()}`,
    `/users/user_id/${bob.user_id}`,
    `/users/user_id/${bob.user_id.toUpperCase()}`,
  ]) {
    assert.deepEqual(ok(await call('GET', path, { token: ann.token })), profile, path);
  }
});

test('a look-up of nobody is 404, of a malformed id 400', async () => {
  const name = freshName();
  problem(await call('GET', `/users/username/${name}`, { token: ann.token }), 404, 'not_found');
  problem(await call('GET', `/users/show?username=${name}`, { token: ann.token }), 404, 'not_found');
  problem(await call('GET', `/users/user_id/${NOBODY}`, { token: ann.token }), 404, 'not_found');
  problem(await call('GET', '/users/user_id/nonsense', { token: ann.token }), [400, 422]);
});

test('the directory is closed unless it was opened', async () => {
  const answer = await call('GET', '/users/show', { token: ann.token });
  if (answer.status === 200) {
    assert.ok(Array.isArray(answer.json.users));
  } else {
    problem(answer, 403);
  }
});

test('search finds people by the beginning of their name', async () => {
  const search = (prefix) => call('GET', `/users/search?prefix=${encodeURIComponent(prefix)}`, { token: ann.token });
  const { users } = ok(await search(bob.username.slice(0, 9).toUpperCase()));
  assert.ok(users.some((user) => user.user_id === bob.user_id));
  assert.ok(users.every((user) => user.email === undefined));
  assert.deepEqual(ok(await search(freshName('nobody'))).users, []);
  invalid(await search('b'));
  invalid(await call('GET', '/users/search', { token: ann.token }));
  for (const wild of ['%%', '__', "';--", '..']) {
    const answer = await search(wild);
    if (answer.status === 200) assert.ok(answer.json.users.every((user) => user.username.startsWith(wild)), wild);
    else problem(answer, [400, 422]);
  }
});

test('the own page shows what others do not see, and can be changed', async () => {
  const me = ok(await call('GET', '/me', { token: ann.token }));
  assert.equal(me.email, ann.email);
  assert.equal(me.user_id, ann.user_id);
  assert.equal(ok(await call('GET', '/protected', { token: ann.token })).logged_in_as, ann.username);

  const changed = ok(await call('PATCH', '/me', { token: ann.token, body: { display_name: '  Zoë 👩‍👩‍👧 ' } }));
  assert.equal(changed.display_name, 'Zoë 👩‍👩‍👧');
  const seen = ok(await call('GET', `/users/user_id/${ann.user_id}`, { token: bob.token }));
  assert.equal(seen.display_name, 'Zoë 👩‍👩‍👧');
  for (const display_name of ['', 'a\u202eb', 'x'.repeat(65), 'line\nbreak']) {
    invalid(await call('PATCH', '/me', { token: ann.token, body: { display_name } }), 'display_name');
  }
  for (const avatar_url of ['javascript:alert(1)', 'not a url']) {
    invalid(await call('PATCH', '/me', { token: ann.token, body: { avatar_url } }), 'avatar_url');
  }
});

test('a deleted account needs its password to go, and is gone', async () => {
  const eve = await newUser('eve');
  problem(await call('DELETE', '/me', { token: eve.token, body: { password: 'not the one' } }), [400, 401, 403, 422]);
  ok(await call('GET', '/me', { token: eve.token }));
  ok(await call('DELETE', '/me', { token: eve.token, body: { password: eve.password } }), 204);
  problem(await call('GET', '/me', { token: eve.token }), 401);
  problem(await call('GET', `/users/user_id/${eve.user_id}`, { token: ann.token }), 404);
  problem(await call('POST', '/login', { body: { username: eve.username, password: eve.password } }), 401);
});

test('the export is one JSON value a line and has the account and its messages', async () => {
  const { user_id, token } = ann;
  const note = ok(await call('POST', '/users/chat', { token, body: { receiver_id: user_id } }), 201);
  ok(await call('POST', `/users/chat/${note.chat_id}/messages`, { token, body: { message: 'exported words' } }), 201);
  const answer = await call('GET', '/me/export', { token });
  assert.equal(answer.status, 200, answer.text);
  assert.match(answer.headers.get('content-type'), /ndjson/);
  const lines = answer.text.trim().split('\n').map((line) => JSON.parse(line));
  assert.ok(lines.length >= 2);
  assert.ok(answer.text.includes(ann.email) && answer.text.includes('exported words'));
  assert.ok(!answer.text.includes('argon2'), 'the password hash is exported');
});

test('the export has files, devices, preferences, notifications and reports, and no secrets', async () => {
  const eve = await newUser('eve');
  const { token } = eve;
  const upload = { filename: 'été.txt', content_type: 'text/plain', size: 5 };
  const { media_id } = ok(await call('POST', '/media/uploads', { token, body: upload }), 201);
  const key = createECDH('prime256v1');
  key.generateKeys();
  const keys = { p256dh: key.getPublicKey('base64url'), auth: randomBytes(16).toString('base64url') };
  const endpoint = 'https://updates.push.services.mozilla.com/wpush/v2/exported-secret';
  const device = { device_id: 'firefox', platform: 'webpush', subscription: { endpoint, keys } };
  ok(await call('POST', '/notifications/devices', { token, body: device }), 204);
  const quiet_hours = { from_minute: 1320, to_minute: 420, utc_offset_minutes: 60, time_zone: 'Europe/Berlin' };
  const preferences = { show_content: true, quiet_hours, muted: [] };
  ok(await call('PUT', '/notifications/preferences', { token, body: preferences }));
  const about = { user_id: ann.user_id, reason: 'other', comment: 'not nice' };
  const { report_id } = ok(await call('POST', '/reports', { token, body: about }), 201);
  const answer = await call('GET', '/me/export', { token });
  // No push service shall be called from here.
  ok(await call('DELETE', '/notifications/devices/firefox', { token }), 204);
  assert.equal(answer.status, 200, answer.text);
  const lines = answer.text.trim().split('\n').map((line) => JSON.parse(line));
  const of = (kind) => lines.filter((line) => line.record === kind);
  assert.equal(of('account')[0].email_verified, false);
  const [file] = of('media');
  assert.match(file.created_at, TIME);
  assert.deepEqual(of('media'), [{ record: 'media', media_id, ...upload, complete: false, created_at: file.created_at }]);
  const [phone] = of('push_device');
  assert.match(phone.registered_at, TIME);
  const { session_id, registered_at } = phone;
  assert.equal(session_id, of('session')[0].id);
  const expected = { record: 'push_device', device_id: 'firefox', platform: 'webpush', session_id, registered_at };
  assert.deepEqual(of('push_device'), [expected]);
  assert.deepEqual(of('notification_preferences'), [{ record: 'notification_preferences', ...preferences }]);
  assert.deepEqual(lines.at(-1), { record: 'end', notifications: 1, reports: 1, audit: 0, media: 1, chats: 0, messages: 0 });
  const [welcome] = of('notification');
  assert.deepEqual([welcome.kind, welcome.read], ['welcome', false]);
  assert.match(welcome.created_at, TIME);
  const [report] = of('report');
  assert.match(report.created_at, TIME);
  assert.deepEqual(report, {
    record: 'report', report_id, user_id: ann.user_id, username: ann.username, chat_id: null, message_id: null,
    reason: 'other', comment: 'not nice', include_message: false, created_at: report.created_at, resolved_at: null,
  });
  for (const secret of ['exported-secret', keys.p256dh, keys.auth]) assert.ok(!answer.text.includes(secret));
});
