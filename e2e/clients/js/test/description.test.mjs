// The published description of the API.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { base, call, ok } from '../http.mjs';

const ROUTES = [
  'POST /register', 'POST /login', 'POST /token/refresh', 'POST /logout', 'GET /sessions', 'DELETE /sessions/{}',
  'POST /password', 'GET /users/show', 'GET /users/username/{}', 'GET /users/user_id/{}', 'GET /users/search',
  'GET /me', 'PATCH /me', 'DELETE /me', 'GET /me/export', 'GET /protected',
  'PUT /users/{}/block', 'DELETE /users/{}/block', 'GET /blocks', 'GET /.well-known/jwks.json',
  'POST /users/chat', 'GET /users/chat', 'GET /users/chat/{}', 'POST /users/chat/{}',
  'POST /users/chat/{}/messages', 'PATCH /users/chat/{}/messages/{}', 'DELETE /users/chat/{}/messages/{}',
  'POST /users/chat/{}/read', 'GET /sync',
  'POST /email/verification', 'POST /email/verify', 'POST /password/forgot', 'POST /password/reset', 'POST /reports', 'GET /admin/users', 'GET /admin/users/{}', 'POST /admin/users/{}/disable',
  'POST /admin/users/{}/enable', 'DELETE /admin/users/{}/sessions', 'GET /admin/stats', 'GET /admin/audit',
  'GET /admin/reports', 'POST /admin/reports/{}/resolve', 'GET /admin/reindex', 'POST /admin/reindex',
  'GET /users/user_activity', 'GET /user/user_activity', 'GET /users/last_active', 'GET /user/last_active',
  'GET /users/update-last-active', 'POST /users/update-last-active', 'POST /update-last-active',
  'GET /search/messages', 'GET /notifications', 'POST /notifications/{}/read', 'GET /notifications/preferences',
  'PUT /notifications/preferences', 'POST /send_notification',
];

test('/openapi.json is valid OpenAPI 3.1 and lists every route', async () => {
  const document = ok(await call('GET', '/openapi.json'));
  assert.match(document.openapi, /^3\.1\./);
  const result = await new Validator().validate(structuredClone(document));
  assert.ok(result.valid, JSON.stringify(result.errors, undefined, 1));
  const routes = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{[^}]+\}/g, '{}')}`),
  );
  assert.deepEqual(ROUTES.filter((route) => !routes.includes(route)), []);
  const ids = Object.values(document.paths).flatMap((item) => Object.values(item).map((one) => one.operationId));
  assert.equal(new Set(ids).size, ids.length, 'operation ids repeat');
});

test('/asyncapi.json describes the events of sockets', async () => {
  const document = ok(await call('GET', '/asyncapi.json'));
  assert.equal(document.asyncapi, '3.0.0');
  const sent = Object.keys(document.operations).filter((name) => name.startsWith('client.'));
  const got = Object.keys(document.operations).filter((name) => name.startsWith('server.'));
  for (const name of ['send_message', 'sync', 'typing', 'message_read']) assert.ok(sent.includes(`client.${name}`), name);
  for (const name of ['ready', 'receive_message', 'receipt', 'notification']) assert.ok(got.includes(`server.${name}`), name);
  for (const namespace of ['notifications', 'main']) {
    for (const name of ['client.reauthenticate', 'server.token_expiring']) {
      assert.ok(document.operations[`${namespace}.${name}`], `${namespace} ${name}`);
    }
  }
  for (const operation of Object.values(document.operations)) {
    for (const { $ref } of operation.messages) {
      const [, , channel, , name] = $ref.split('/');
      assert.ok(document.channels[channel].messages[name], $ref);
    }
  }
});

test('/docs shows it in a browser', async () => {
  const page = await fetch(`${base}/docs/`, { signal: AbortSignal.timeout(10_000) });
  assert.equal(page.status, 200);
  assert.match(page.headers.get('content-type'), /^text\/html/);
  const html = await page.text();
  assert.match(html, /swagger/i);
  const bundle = await fetch(new URL('swagger-ui-bundle.js', `${base}/docs/`), { signal: AbortSignal.timeout(10_000) });
  assert.equal(bundle.status, 200);
  await bundle.arrayBuffer();
  const bare = await fetch(`${base}/docs`, { signal: AbortSignal.timeout(10_000) });
  assert.equal(bare.status, 200);
  await bare.arrayBuffer();
});

test('what belongs to the administration port is not routed', async () => {
  for (const path of ['/metrics', '/healthz', '/readyz']) {
    assert.equal((await call('GET', path)).status, 404, path);
  }
});
