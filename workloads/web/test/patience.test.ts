import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { patiently } from '../src/api/patience';
import { ApiError } from '../src/api/problem';

const wait = (seconds: number | null) => new ApiError(429, 'rate_limited', '', {}, seconds);
const waits = vi.fn();
const settled = (promise: Promise<unknown>) => promise.then((value) => ({ value }), (error: unknown) => ({ error }));

beforeEach(() => { vi.useFakeTimers(); waits.mockReset(); });
afterEach(() => { vi.useRealTimers(); });

test('who is told to wait asks again after as long, and says that it waits', async () => {
  const ask = vi.fn().mockRejectedValueOnce(wait(2)).mockRejectedValueOnce(wait(1)).mockResolvedValue('found');
  const answer = settled(patiently(ask, new AbortController().signal, waits));
  await vi.advanceTimersByTimeAsync(1_900);
  expect([ask.mock.calls.length, waits.mock.calls.length]).toEqual([1, 1]);
  await vi.advanceTimersByTimeAsync(1_200);
  expect(await answer).toEqual({ value: 'found' });
  expect([ask.mock.calls.length, waits.mock.calls.length]).toEqual([3, 2]);
});

test('what nobody looks for any more is not asked for again', async () => {
  const stop = new AbortController();
  const ask = vi.fn().mockRejectedValue(wait(2));
  const answer = settled(patiently(ask, stop.signal, waits));
  await vi.advanceTimersByTimeAsync(1_000);
  stop.abort();
  expect(await answer).toHaveProperty('error');
  await vi.advanceTimersByTimeAsync(10_000);
  expect(ask).toHaveBeenCalledTimes(1);
});

test.each([[wait(null)], [new ApiError(503, 'unavailable', '', {}, 2)]])('another fault is told at once: %s', async (fault) => {
  const ask = vi.fn().mockRejectedValue(fault);
  expect(await settled(patiently(ask, new AbortController().signal, waits))).toEqual({ error: fault });
  expect(ask).toHaveBeenCalledTimes(1);
});
