import './page';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { exported } from '../src/api/export';
import { strings } from '../src/i18n/en';
import { identity, reset } from '../src/session/state';
import { ExportCard } from '../src/views/AccountEndCards';
import { drawn } from './drawn';
import { ANN, BOB } from './sample';

vi.mock('../src/api/credentials', () => ({ token: async () => 'a-token' }));

/** What the server sends of the body; `fetch` breaks it off with its signal. */
let body: ReadableStreamDefaultController<Uint8Array>;
const sends = (text: string) => body.enqueue(new TextEncoder().encode(text));
let answer: (signal: AbortSignal) => Promise<Response>;
vi.stubGlobal('fetch', vi.fn(async (_: string, init: RequestInit) => answer(init.signal!)));

beforeEach(() => {
  vi.useFakeTimers();
  answer = async (signal) => new Response(new ReadableStream({
    start(controller) {
      body = controller;
      signal.addEventListener('abort', () => controller.error(signal.reason));
    },
  }));
});
afterEach(() => { vi.useRealTimers(); });

test('an export takes its time as long as something comes', async () => {
  const all = exported();
  for (const line of ['{"a":1}\n', '{"b":2}\n', '{"c":3}\n']) {
    await vi.advanceTimersByTimeAsync(25_000);
    sends(line);
  }
  await vi.advanceTimersByTimeAsync(25_000);
  body.close();
  expect(await (await all).text()).toBe('{"a":1}\n{"b":2}\n{"c":3}\n');
  expect(vi.getTimerCount()).toBe(0);
});

test.each([['before the first byte', 0], ['on the way', 1]])('an export on a link that is dead fails, and can be tried again: %s', async (_, lines) => {
  const ended = expect(exported()).rejects.toMatchObject({ status: 0, code: 'network' });
  await vi.advanceTimersByTimeAsync(0);
  if (lines > 0) sends('{"a":1}\n');
  await vi.advanceTimersByTimeAsync(31_000);
  await ended;
});

test('an export whose answer does not even begin fails', async () => {
  answer = (signal) => new Promise((_, reject) => { signal.addEventListener('abort', () => reject(signal.reason)); });
  const ended = expect(exported()).rejects.toMatchObject({ status: 0, code: 'network' });
  await vi.advanceTimersByTimeAsync(31_000);
  await ended;
});

test('a refusal is told', async () => {
  answer = async () => new Response('{"code":"rate_limited","detail":"wait"}', { status: 429, headers: { 'Retry-After': '60' } });
  await expect(exported()).rejects.toMatchObject({ status: 429, code: 'rate_limited', retryAfter: 60 });
});

test.each([[ANN, ['sentinel-export.ndjson']], [BOB, []]])('an export is saved if who wanted it is still here', async (user_id, expected) => {
  const saved: string[] = [];
  Object.assign(document, { createElement: () => ({ download: '', click() { saved.push(this.download); } }) });
  identity.value = { user_id: ANN, username: 'ann' };
  (drawn(ExportCard, {})('button', strings.exportData)!.onClick as () => void)();
  await vi.advanceTimersByTimeAsync(0);
  sends('{"a":1}\n');
  if (user_id !== ANN) reset();
  identity.value = { user_id, username: 'someone' };
  body.close();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(saved).toEqual(expected);
});
