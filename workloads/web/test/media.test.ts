import './page';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ApiError } from '../src/api/problem';
import type { Media } from '../src/api/types';
import { strings } from '../src/i18n/en';
import { follow, learn, media, want } from '../src/session/media';
import { link, reset } from '../src/session/state';
import { toasts } from '../src/session/toasts';

const { details } = vi.hoisted(() => ({ details: vi.fn() }));
vi.mock('../src/api/media', () => ({ details, DETAILS_MAX: 100 }));

const NOW = Date.UTC(2026, 0, 5, 12);
const file = (n: number): Media => ({
  media_id: 'f', content_type: 'text/plain', size: 3, url: `/media/f/${n}`, filename: 'list.txt',
  expires_at: new Date(NOW + 3_600_000).toISOString(),
});
const settle = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  details.mockReset();
  reset();
  link.value = 'online';
});
afterEach(() => { vi.useRealTimers(); });

describe('a file', () => {
  test('is gone when the server has none', async () => {
    details.mockResolvedValueOnce([]);
    want('f');
    await settle();
    expect(media.value.get('f')).toBe('gone');
  });

  test.each([[0, 'network'], [403, 'http_403'], [429, 'rate_limited'], [503, 'unavailable']])(
    'is not gone because of status %i, and is asked for again when the connection is back', async (status, code) => {
      details.mockRejectedValueOnce(new ApiError(status, code, '')).mockResolvedValueOnce([file(1)]);
      link.value = 'offline';
      want('f');
      await settle();
      expect(media.value.has('f')).toBe(false);
      link.value = 'online';
      await settle();
      expect(media.value.get('f')).toEqual(file(1));
      link.value = 'offline';
      link.value = 'online';
      await settle();
      expect(details).toHaveBeenCalledTimes(2);
    });

  test('is asked for again by a busy server’s own leave, without a new connection', async () => {
    details.mockRejectedValueOnce(new ApiError(429, 'rate_limited', '', {}, 20)).mockResolvedValueOnce([file(1)]);
    want('f');
    await vi.advanceTimersByTimeAsync(19_000);
    expect(details).toHaveBeenCalledOnce();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(media.value.get('f')).toEqual(file(1));
  });

  test('whose address did not work keeps what is known of it until there is another', async () => {
    details.mockResolvedValueOnce([file(1)]).mockRejectedValueOnce(new ApiError(0, 'network', '')).mockResolvedValueOnce([file(2)]);
    want('f');
    await settle();
    link.value = 'offline';
    want('f', true);
    await settle();
    expect(media.value.get('f')).toEqual(file(1));
    link.value = 'online';
    await settle();
    expect(media.value.get('f')).toEqual(file(2));
  });
});

describe('the files of a page', () => {
  const named = (...names: string[]) => names.map((media_id) => ({ ...file(1), media_id }));

  test('are asked for in one call, and each is what the answer has of it', async () => {
    details.mockResolvedValueOnce(named('a', 'c'));
    for (const media_id of ['a', 'b', 'c', 'a']) want(media_id);
    await settle();
    expect(details.mock.calls).toEqual([[['a', 'b', 'c']]]);
    expect(['a', 'b', 'c'].map((media_id) => media.value.get(media_id))).toEqual([named('a')[0], 'gone', named('c')[0]]);
    details.mockResolvedValueOnce(named('d'));
    want('d');
    await settle();
    expect(details.mock.calls[1]).toEqual([['d']]);
  });

  test('are asked for a hundred at a time, and one call that goes wrong is no matter of the others', async () => {
    const names = Array.from({ length: 150 }, (_, n) => `f${n}`);
    details.mockRejectedValueOnce(new ApiError(503, 'unavailable', '')).mockImplementation(async (ids: string[]) => named(...ids));
    for (const media_id of names) want(media_id);
    await settle();
    expect(details.mock.calls.map(([ids]) => ids.length)).toEqual([100, 50]);
    expect([...media.value.keys()]).toEqual(names.slice(100));
    link.value = 'offline';
    link.value = 'online';
    await settle();
    expect(media.value.size).toBe(150);
    expect(details).toHaveBeenCalledTimes(3);
  });
});

describe('a click on a link to a file', () => {
  const opened: string[] = [];
  /** Clicks, and gives whether the browser is left to follow the link by itself. */
  const click = async () => {
    const event = { preventDefault: vi.fn() };
    void follow(event, 'f', (one) => opened.push(one.url));
    const left = event.preventDefault.mock.calls.length === 0;
    await settle();
    return left;
  };
  beforeEach(() => { opened.length = 0; });

  test('is the browser’s while the address is good', async () => {
    learn(file(1));
    expect(await click()).toBe(true);
    expect([details.mock.calls.length, opened]).toEqual([0, []]);
  });

  test('opens a new address when the old one has expired', async () => {
    learn(file(1));
    vi.setSystemTime(NOW + 3_590_000);
    details.mockResolvedValueOnce([{ ...file(2), expires_at: new Date(NOW + 7_200_000).toISOString() }]);
    expect(await click()).toBe(false);
    expect(opened).toEqual(['/media/f/2']);
    expect(await click()).toBe(true);
  });

  test('opens a new address when it is not known how long the old one is good: that of an upload', async () => {
    const { expires_at: _, ...made } = file(1);
    learn(made);
    details.mockResolvedValueOnce([file(2)]);
    expect(await click()).toBe(false);
    expect(opened).toEqual(['/media/f/2']);
  });

  test('that finds no server opens nothing and says why', async () => {
    learn({ ...file(1), expires_at: null });
    details.mockRejectedValueOnce(new ApiError(0, 'network', '')).mockResolvedValueOnce([]);
    expect(await click()).toBe(false);
    expect(await click()).toBe(false);
    expect(opened).toEqual([]);
    expect(toasts.value.map((one) => one.header)).toEqual([strings.faults.network, strings.fileGone]);
  });
});
