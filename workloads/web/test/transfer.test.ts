import './page';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { transfer } from '../src/api/media';

class Request {
  upload: Record<string, (event?: object) => void> = {};
  status = 0;
  responseText = '';
  aborted = false;
  onload = () => undefined as void;
  onabort = () => undefined as void;
  onloadend = () => undefined as void;
  constructor() { last = this; }
  open() {}
  setRequestHeader() {}
  getResponseHeader() { return null; }
  send() {}
  abort() { this.aborted = true; this.onabort(); this.onloadend(); }
  answer(status: number) { this.status = status; this.onload(); this.onloadend(); }
  got(loaded: number) { this.upload.onprogress!({ lengthComputable: true, loaded, total: 100 }); }
}
let last: Request;
vi.stubGlobal('XMLHttpRequest', Request);

const parts: number[] = [];
const begin = () => transfer({ method: 'PUT', url: '/u', headers: {}, expires_at: '' }, new Blob(['abc']), (part) => parts.push(part), new AbortController().signal);

beforeEach(() => {
  vi.useFakeTimers();
  parts.length = 0;
});
afterEach(() => { vi.useRealTimers(); });

test('a file on a link that is dead fails, and can be tried again', async () => {
  const ended = expect(begin()).rejects.toMatchObject({ status: 0, code: 'network', passing: true });
  last.got(40);
  await vi.advanceTimersByTimeAsync(30_000);
  await ended;
  expect(last.aborted).toBe(true);
});

test('a file on a slow link goes on as long as something gets through, and the server has its time', async () => {
  const sent = begin();
  for (const loaded of [20, 40, 60, 80, 100]) {
    await vi.advanceTimersByTimeAsync(25_000);
    last.got(loaded);
  }
  last.upload.onload!();
  await vi.advanceTimersByTimeAsync(60_000);
  last.answer(200);
  await sent;
  expect(parts).toEqual([0.2, 0.4, 0.6, 0.8, 1]);
  expect(vi.getTimerCount()).toBe(0);
  expect(last.aborted).toBe(false);
});
