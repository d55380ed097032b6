// One HTTP call to the platform, and what every error answer must look like.
import assert from 'node:assert/strict';

if (!process.env.SENTINEL_URL) {
  throw new Error('SENTINEL_URL must be the base URL of a running Sentinel, for example http://127.0.0.1:8080');
}
export const base = process.env.SENTINEL_URL.replace(/\/+$/, '');
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
export const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
export const NOBODY = '0192f3a1-7c5e-7b1a-9f00-3d2c5a7e9b10';

/** Whether the server shares its cores with all of its stores, and so may have to say that one is busy. */
export const BUSY = process.env.SENTINEL_PATIENCE_MS !== undefined;
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/**
 * Calls `path`. `body` is sent as JSON, `raw` as it is. Being told to slow down is obeyed, because all tests share one
 * address, and so is being told to come back when a store was busy; `impatient` returns the 429 or 503 instead.
 */
export async function call(method, path, { token, body, raw, headers = {}, impatient = false } = {}) {
  const deadline = Date.now() + 120_000;
  for (;;) {
    const response = await fetch(base + path, {
      method,
      redirect: 'manual',
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined && raw === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      body: raw ?? (body === undefined ? undefined : JSON.stringify(body)),
      signal: AbortSignal.timeout(15_000),
    });
    const text = await response.text();
    const later = response.status === 429 || (response.status === 503 && BUSY);
    if (later && !impatient && Date.now() < deadline) {
      await sleep(1000 * Math.min(Number(response.headers.get('retry-after') ?? 1), 65));
      continue;
    }
    let json;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined;
    }
    return { status: response.status, headers: response.headers, text, json, what: `${method} ${path}` };
  }
}

/** Asserts a success and returns its body. */
export function ok(answer, status = 200) {
  assert.equal(answer.status, status, `${answer.what}: ${answer.text}`);
  if (status === 204) {
    assert.equal(answer.text, '', `${answer.what}: 204 has no body`);
  } else {
    assert.match(answer.headers.get('content-type') ?? '', /^application\/json/, answer.what);
  }
  return answer.json;
}

// What no client may ever read in an answer: words of drivers, of the runtime and of source files.
const LEAKS = /sqlite|rusqlite|constraint failed|no such table|panicked|\.rs:|backtrace|tokio|axum|hyper::/i;

/** Asserts a problem document (RFC 9457) and returns it. `status` and `code` may be lists of what is allowed. */
export function problem(answer, status, code) {
  const where = `${answer.what}: ${answer.status} ${answer.text}`;
  assert.ok([status].flat().includes(answer.status), `${where}, wanted ${status}`);
  assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/, where);
  const body = answer.json;
  assert.equal(body.status, answer.status, where);
  for (const field of ['type', 'title', 'detail', 'instance', 'code', 'error', 'request_id']) {
    assert.equal(typeof body[field], 'string', `${where}: ${field}`);
    assert.notEqual(body[field], '', `${where}: ${field}`);
  }
  assert.equal(body.error, body.detail, where);
  assert.match(body.code, /^[a-z][a-z0-9_]*$/, where);
  assert.doesNotMatch(answer.text, LEAKS, where);
  if (code !== undefined) assert.ok([code].flat().includes(body.code), `${where}, wanted code ${code}`);
  if (answer.status === 401) {
    assert.match(answer.headers.get('www-authenticate') ?? '', /^Bearer\b/, where);
  }
  return body;
}

/** Asserts a refusal of input (400 or 422) that names `field`. */
export function invalid(answer, field) {
  const body = problem(answer, [400, 422]);
  if (field !== undefined) {
    assert.ok(Array.isArray(body.errors), `${answer.what}: ${answer.text}: no errors list`);
    const named = body.errors.find((entry) => entry.field === field);
    assert.ok(named, `${answer.what}: ${answer.text}: ${field} is not named`);
    assert.match(named.code, /^[a-z][a-z0-9_]*$/);
    assert.equal(typeof named.detail, 'string');
  }
  return body;
}

/** An answer's bytes without what names the request: its id, and the id that was asked for. */
export function anonymous(answer, ...ids) {
  let text = answer.text.replaceAll(answer.json.request_id, '<request>');
  for (const id of ids) text = text.replaceAll(id, '<id>');
  return text;
}
