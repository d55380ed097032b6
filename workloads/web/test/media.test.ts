import './page';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ApiError } from '../src/api/problem';
import type { Media } from '../src/api/types';
import { media, want } from '../src/session/media';
import { link, reset } from '../src/session/state';

const { details } = vi.hoisted(() => ({ details: vi.fn() }));
vi.mock('../src/api/media', () => ({ details }));

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
  test('is gone when the server says so', async () => {
    details.mockRejectedValueOnce(new ApiError(404, 'not_found', ''));
    want('f');
    await settle();
    expect(media.value.get('f')).toBe('gone');
  });

  test.each([[0, 'network'], [403, 'http_403'], [429, 'rate_limited'], [503, 'unavailable']])(
    'is not gone because of status %i, and is asked for again when the connection is back', async (status, code) => {
      details.mockRejectedValueOnce(new ApiError(status, code, '')).mockResolvedValueOnce(file(1));
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
    details.mockRejectedValueOnce(new ApiError(429, 'rate_limited', '', {}, 20)).mockResolvedValueOnce(file(1));
    want('f');
    await vi.advanceTimersByTimeAsync(19_000);
    expect(details).toHaveBeenCalledOnce();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(media.value.get('f')).toEqual(file(1));
  });

  test('whose address did not work keeps what is known of it until there is another', async () => {
    details.mockResolvedValueOnce(file(1)).mockRejectedValueOnce(new ApiError(0, 'network', '')).mockResolvedValueOnce(file(2));
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
