// Which pages of other origins may call. SENTINEL_CORS_ORIGIN names one that the server was told to allow.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import WebSocket from 'ws';
import { base } from '../http.mjs';

const ALLOWED = process.env.SENTINEL_CORS_ORIGIN;
const STRANGER = 'https://evil.example';

const preflight = (origin, path) =>
  fetch(base + path, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type',
    },
    signal: AbortSignal.timeout(5000),
  });
const upgrade = (origin) =>
  new Promise((done) => {
    const socket = new WebSocket(`${base.replace(/^http/, 'ws')}/socket.io/?EIO=4&transport=websocket`, { origin });
    socket.once('open', () => {
      socket.terminate();
      done('open');
    });
    socket.once('unexpected-response', (_, response) => {
      socket.terminate();
      done(response.statusCode);
    });
    socket.once('error', () => done('error'));
  });

test('another origin gets no permission and no socket', async () => {
  for (const origin of [STRANGER, 'null', ...(ALLOWED ? [`${ALLOWED}.evil.example`] : [])]) {
    for (const path of ['/login', '/me', '/socket.io/?EIO=4&transport=polling']) {
      const answer = await preflight(origin, path);
      assert.equal(answer.headers.get('access-control-allow-origin'), null, `${origin} ${path}`);
    }
    const plain = await fetch(`${base}/me`, { headers: { origin }, signal: AbortSignal.timeout(5000) });
    assert.equal(plain.headers.get('access-control-allow-origin'), null);
    assert.equal(await upgrade(origin), 403, origin);
  }
});

test('a client without origin, which is no browser, gets a socket', async () => {
  assert.equal(await upgrade(undefined), 'open');
});

test('the configured origin may call', { skip: ALLOWED ? false : 'SENTINEL_CORS_ORIGIN is not set' }, async () => {
  for (const path of ['/login', '/me', '/users/chat', '/socket.io/?EIO=4&transport=polling']) {
    const answer = await preflight(ALLOWED, path);
    assert.ok([200, 204].includes(answer.status), `${path}: ${answer.status}`);
    assert.equal(answer.headers.get('access-control-allow-origin'), ALLOWED, path);
    const allowed = (answer.headers.get('access-control-allow-headers') ?? '').toLowerCase();
    assert.ok(allowed.includes('authorization') && allowed.includes('content-type'), allowed);
    for (const name of ['range', 'if-range', 'if-match', 'if-none-match']) assert.ok(allowed.includes(name), `${name}: ${allowed}`);
    assert.match(answer.headers.get('vary') ?? '', /origin/i);
  }
  const error = await fetch(`${base}/me`, { headers: { origin: ALLOWED }, signal: AbortSignal.timeout(5000) });
  assert.equal(error.status, 401);
  assert.equal(error.headers.get('access-control-allow-origin'), ALLOWED, 'an error that the page cannot read');
  const readable = error.headers.get('access-control-expose-headers').toLowerCase();
  for (const name of ['etag', 'content-range', 'content-disposition', 'accept-ranges']) assert.ok(readable.includes(name), readable);
  const polling = await fetch(`${base}/socket.io/?EIO=4&transport=polling`, {
    headers: { origin: ALLOWED },
    signal: AbortSignal.timeout(5000),
  });
  assert.equal(polling.headers.get('access-control-allow-origin'), ALLOWED);
  assert.equal(await upgrade(ALLOWED), 'open');
});
