import './page';
import { afterEach, expect, test, vi } from 'vitest';
import { query, send } from '../src/api/http';
import { fitting } from '../src/store/files';

/** A server that answers nothing: calls end with their signal. */
const never = vi.fn((_: string, { signal }: RequestInit) => new Promise<Response>((_resolve, reject) => {
  const end = () => reject(new DOMException('', 'AbortError'));
  if (signal!.aborted) end();
  else signal!.addEventListener('abort', end);
}));

/** A browser of some years ago. */
function old() {
  vi.stubGlobal('fetch', never);
  vi.stubGlobal('AbortSignal', { timeout: (ms: number) => AbortSignal_.timeout(ms) });
}
const AbortSignal_ = AbortSignal;

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

test.each([false, true])('a call is given up with its signal, also where browsers can’t join signals; at once: %s', async (before) => {
  old();
  const given = new AbortController();
  if (before) given.abort();
  const called = send('GET', '/me', { signal: given.signal });
  given.abort();
  await expect(called).rejects.toMatchObject({ status: 0, code: 'aborted' });
});

test('a call with a signal ends after its time as one without does', async () => {
  old();
  await expect(send('GET', '/me', { signal: new AbortController().signal, timeout: 5 })).rejects.toMatchObject({ status: 0, code: 'network' });
});

test('nothing is left of a call at a signal that outlives it', async () => {
  vi.stubGlobal('fetch', async () => new Response('{}'));
  const { signal } = new AbortController();
  const kept = new Set<unknown>();
  vi.spyOn(signal, 'addEventListener').mockImplementation((_, listener) => void kept.add(listener));
  vi.spyOn(signal, 'removeEventListener').mockImplementation((_, listener) => void kept.delete(listener));
  await send('GET', '/me', { signal });
  expect([vi.mocked(signal.addEventListener).mock.calls.length, kept.size]).toEqual([1, 0]);
});

test('a fault of this program is not told as one of the network', async () => {
  vi.stubGlobal('fetch', async () => new Response('{}'));
  const endless: Record<string, unknown> = {};
  endless.self = endless;
  await expect(send('POST', '/me', { body: endless })).rejects.toBeInstanceOf(TypeError);
});

test('a query has what is defined, and nothing where nothing is', () => {
  vi.spyOn(URLSearchParams.prototype, 'size', 'get').mockReturnValue(undefined as never);
  expect([query({ a: 1, b: undefined }), query({ a: undefined })]).toEqual(['?a=1', '']);
});

test('a long name of a file is shortened also where the browser can’t tell characters apart', () => {
  vi.stubGlobal('Intl', {});
  expect(fitting(`${'a'.repeat(300)}.png`)).toMatch(/^a+…\.png$/);
});
