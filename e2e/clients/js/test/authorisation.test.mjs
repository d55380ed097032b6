// No route answers without a good token, and no forged token is good.
import assert from 'node:assert/strict';
import { createHmac, createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { newUser } from '../accounts.mjs';
import { NOBODY, call, ok, problem } from '../http.mjs';
import { closeAll, connect, promptly, refusedConnect } from '../socket.mjs';

let ann;
let header;
let claims;
let jwks;
before(async () => {
  ann = await newUser('ann');
  [header, claims] = ann.token.split('.').slice(0, 2).map((part) => JSON.parse(Buffer.from(part, 'base64url')));
  jwks = ok(await call('GET', '/.well-known/jwks.json'));
});
after(closeAll);

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const signed = (head, body, signer) => {
  const text = `${part(head)}.${part(body)}`;
  return `${text}.${signer(Buffer.from(text)).toString('base64url')}`;
};
const with_key = (key) => (text) =>
  key.asymmetricKeyType === 'ed25519' ? sign(null, text, key) : sign('sha256', text, { key, dsaEncoding: 'ieee-p1363' });
const stranger = () =>
  header.alg === 'EdDSA'
    ? generateKeyPairSync('ed25519').privateKey
    : generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

/** Forged tokens by what is wrong with them. */
const forgeries = {
  'algorithm none': () => `${part({ ...header, alg: 'none' })}.${part(claims)}.`,
  'algorithm none, written NoNe, with the old signature': () =>
    `${part({ ...header, alg: 'NoNe' })}.${part(claims)}.${ann.token.split('.')[2]}`,
  'no signature': () => `${ann.token.split('.').slice(0, 2).join('.')}.`,
  'two parts': () => ann.token.split('.').slice(0, 2).join('.'),
  'a changed subject under the old signature': () =>
    `${part(header)}.${part({ ...claims, sub: NOBODY })}.${ann.token.split('.')[2]}`,
  "a stranger's key": () => signed(header, claims, with_key(stranger())),
  "a stranger's key that the token brings along": () => {
    const key = stranger();
    return signed({ ...header, kid: 'mine', jwk: key.export({ format: 'jwk' }) }, claims, with_key(key));
  },
  'an unknown kid': () => signed({ ...header, kid: '../../etc/passwd' }, claims, with_key(stranger())),
  'no kid': () => signed({ alg: header.alg, typ: 'JWT' }, claims, with_key(stranger())),
  'the public key as an HMAC secret': () => {
    const jwk = jwks.keys.find((key) => key.kid === header.kid);
    return signed({ ...header, alg: 'HS256' }, claims, (text) => createHmac('sha256', jwk.x).update(text).digest());
  },
  garbage: () => 'garbage',
  'an empty text': () => '',
  'a very long text': () => 'a.'.repeat(3000),
  'the refresh token': () => ann.refresh_token,
};

// With the server's own signing key at hand (a local standalone server), tokens that only claims make wrong.
const pem = process.env.SENTINEL_SIGNING_KEY;
if (pem && existsSync(pem)) {
  const key = createPrivateKey(readFileSync(pem));
  const now = () => Math.floor(Date.now() / 1000);
  const own = (change) => signed(header, { ...claims, ...change }, with_key(key));
  Object.assign(forgeries, {
    'an expired token': () => own({ iat: now() - 2000, nbf: now() - 2000, exp: now() - 600 }),
    'a token of the future': () => own({ nbf: now() + 3600 }),
    'another audience': () => own({ aud: 'somebody-else' }),
    'another issuer': () => own({ iss: 'somebody-else' }),
    'another type of token': () => own({ typ: 'refresh' }),
    'a session that is no id': () => own({ sid: 'phone' }),
    'a subject that is no id': () => own({ sub: 'ann' }),
    'no expiry': () => own({ exp: undefined }),
  });
  test('the signing key at hand is the one in use', async () => {
    ok(await call('GET', '/me', { token: own({}) }));
  });
}

for (const [what, forge] of Object.entries(forgeries)) {
  test(`a call with ${what} is 401`, async () => {
    problem(await call('GET', '/me', { token: forge() }), 401);
    problem(await call('GET', '/sync', { token: forge() }), 401);
  });
  test(`a socket with ${what} is refused with a code, at once`, async () => {
    const { error, ms } = await refusedConnect({ token: forge() });
    assert.match(error.data?.code ?? '', /^[a-z][a-z0-9_]*$/, JSON.stringify(error));
    assert.equal(typeof error.message, 'string');
    promptly('refused', ms, 2000);
  });
}

for (const [what, auth] of [
  ['nothing', undefined],
  ['no token', {}],
  ['a number', { token: 5 }],
  ['null', { token: null }],
  ['a list', { token: ['a'] }],
  ['a token in another field', { access_token: 'a' }],
]) {
  test(`a socket whose CONNECT brings ${what} is refused with a code`, async () => {
    const { error } = await refusedConnect(auth);
    assert.match(error.data?.code ?? '', /^[a-z][a-z0-9_]*$/, JSON.stringify(error));
  });
}

test('an unknown namespace is refused quickly', async () => {
  const { ms } = await refusedConnect({ token: ann.token }, { namespace: '/nowhere' });
  promptly('refused', ms, 2000);
});

test('events before authentication do nothing and the server stays up', async () => {
  const { WebSocket } = await import('ws').then((ws) => ({ WebSocket: ws.default }));
  const { base } = await import('../http.mjs');
  const socket = new WebSocket(`${base.replace(/^http/, 'ws')}/socket.io/?EIO=4&transport=websocket`);
  const answers = [];
  socket.on('message', (data) => answers.push(String(data)));
  await new Promise((done, fail) => socket.once('open', done).once('error', fail));
  socket.send('42/chat,1["send_message",{"chat_id":"x","message":"y"}]');
  socket.send('42/chat,2["sync",{}]');
  socket.send(`40/chat,${JSON.stringify({ token: 'garbage' })}`);
  const closed = new Promise((done) => socket.once('close', done));
  const bounded = new Promise((done) => setTimeout(done, 3000).unref());
  const refusal = new Promise((done) => socket.on('message', (data) => String(data).startsWith('44') && done()));
  await Promise.race([closed, refusal, bounded]);
  socket.terminate();
  assert.ok(!answers.some((answer) => answer.startsWith('43') && answer.includes('"ok"')), answers.join('\n'));
  assert.ok(!answers.some((answer) => answer.startsWith('42')), answers.join('\n'));
  (await connect(ann)).close();
});

const ID = NOBODY;
for (const [method, path] of [
  ['GET', '/me'], ['PATCH', '/me'], ['DELETE', '/me'], ['GET', '/me/export'], ['GET', '/protected'],
  ['POST', '/logout'], ['GET', '/sessions'], ['DELETE', `/sessions/${ID}`], ['POST', '/password'],
  ['GET', '/users/show?username=ann'], ['GET', '/users/show'], ['GET', '/users/username/ann'],
  ['GET', `/users/user_id/${ID}`], ['GET', '/users/search?prefix=an'],
  ['PUT', `/users/${ID}/block`], ['DELETE', `/users/${ID}/block`], ['GET', '/blocks'],
  ['POST', '/users/chat'], ['GET', '/users/chat'], ['GET', '/users/chat/'], ['GET', `/users/chat/${ID}`],
  ['POST', `/users/chat/${ID}`], ['POST', `/users/chat/${ID}/messages`],
  ['PATCH', `/users/chat/${ID}/messages/${ID}`], ['DELETE', `/users/chat/${ID}/messages/${ID}`],
  ['POST', `/users/chat/${ID}/read`], ['GET', '/sync'],
]) {
  test(`${method} ${path.replaceAll(ID, '{id}')} needs a token`, async () => {
    problem(await call(method, path), 401);
    problem(await call(method, path, { headers: { authorization: 'Basic YTpi' } }), 401);
  });
}
