import './page';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { loadPreferences, renewQuietHours } from '../src/session/preferences';
import { identity, reset } from '../src/session/state';
import { aheadOfUtc, minuteOf, quietAt, timeText } from '../src/store/minutes';

const { call } = vi.hoisted(() => ({ call: vi.fn() }));
vi.mock('../src/api/credentials', () => ({ call }));

const night = { from_minute: 22 * 60, to_minute: 7 * 60, utc_offset_minutes: 60 };

describe('times of day', () => {
  test('are shown by the clock of this device, whatever the clock was by which they were set', () => {
    expect(quietAt(night, 60)).toEqual(night);
    expect(quietAt(night, 330)).toEqual({ from_minute: 150, to_minute: 690, utc_offset_minutes: 330 });
    expect(quietAt({ from_minute: 30, to_minute: 60 }, -60)).toEqual({ from_minute: 1410, to_minute: 0, utc_offset_minutes: -60 });
  });

  test('are read and written as a field of a form has them', () => {
    expect(timeText(7 * 60 + 5)).toBe('07:05');
    expect([minuteOf('22:30'), minuteOf('24:00'), minuteOf('')]).toEqual([1350, null, null]);
  });
});

describe('quiet hours', () => {
  const saved = () => call.mock.calls.filter(([method]) => method === 'PUT').map(([, , options]) => options.body.quiet_hours);
  const server = (quiet_hours: object | null) => call.mockImplementation(async (method, _, options) => (method === 'PUT' ? options.body : { quiet_hours }));

  beforeEach(() => {
    reset();
    call.mockReset();
    identity.value = { user_id: 'a', username: 'ann' };
    vi.spyOn(Date.prototype, 'getTimezoneOffset').mockReturnValue(-120);
  });
  afterEach(() => { vi.restoreAllMocks(); });

  test('stay at the same time of day when the clocks change', async () => {
    expect(aheadOfUtc()).toBe(120);
    server(night);
    await loadPreferences();
    await renewQuietHours();
    expect(saved()).toEqual([{ ...night, utc_offset_minutes: 120 }]);
  });

  test.each([[{ ...night, utc_offset_minutes: 120 }], [null]])('that need nothing are not written: %o', async (quiet) => {
    server(quiet);
    await loadPreferences();
    await renewQuietHours();
    expect(saved()).toEqual([]);
  });
});
