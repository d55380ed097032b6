import './page';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ApiError } from '../src/api/problem';
import { loadPreferences, preferences, renewQuietHours } from '../src/session/preferences';
import { identity, reset } from '../src/session/state';
import { clockHere, minuteOf, partOf, quietAt, timeText, withTime } from '../src/store/minutes';

const { call } = vi.hoisted(() => ({ call: vi.fn() }));
vi.mock('../src/api/credentials', () => ({ call }));

const berlin = { utc_offset_minutes: 120, time_zone: 'Europe/Berlin' };
const night = { from_minute: 22 * 60, to_minute: 7 * 60, utc_offset_minutes: 60 };

describe('times of day', () => {
  test('are shown by the clock of this device, whatever the clock was by which they were set', () => {
    const paris = { utc_offset_minutes: 60, time_zone: 'Europe/Paris' };
    const kolkata = { utc_offset_minutes: 330, time_zone: 'Asia/Kolkata' };
    const azores = { utc_offset_minutes: -60, time_zone: 'Atlantic/Azores' };
    expect(quietAt(night, paris)).toEqual({ ...night, ...paris });
    expect(quietAt(night, kolkata)).toEqual({ from_minute: 150, to_minute: 690, ...kolkata });
    expect(quietAt({ from_minute: 30, to_minute: 60 }, azores)).toEqual({ from_minute: 1410, to_minute: 0, ...azores });
    expect(quietAt({ ...night, ...paris }, kolkata)).toEqual({ from_minute: 150, to_minute: 690, ...kolkata });
  });

  test('are the same in summer and winter of the zone in which they were set', () => {
    const summer = { utc_offset_minutes: 120, time_zone: 'Europe/Berlin' };
    expect(quietAt({ ...night, time_zone: 'Europe/Berlin' }, summer)).toEqual({ ...night, ...summer });
  });

  test('are the whole day by every clock where they are the whole day, and none where both are the same', () => {
    const kolkata = { utc_offset_minutes: 330, time_zone: 'Asia/Kolkata' };
    const all = { from_minute: 0, to_minute: 1440, utc_offset_minutes: 60 };
    expect(quietAt(all, kolkata)).toEqual({ ...all, ...kolkata });
    expect(quietAt({ ...all, ...kolkata }, kolkata)).toEqual({ ...all, ...kolkata });
    expect([all, night, { from_minute: 0, to_minute: 0 }, { from_minute: 480, to_minute: 480 }].map(partOf)).toEqual(['all', 'some', 'none', 'none']);
    expect(partOf(quietAt({ from_minute: 480, to_minute: 480 }, kolkata))).toBe('none');
  });

  test('from 00:00 to 00:00 are the whole day, whichever of both is set last', () => {
    expect(partOf(withTime({ from_minute: 0, to_minute: 420 }, 'to_minute', 0))).toBe('all');
    const evening = withTime({ from_minute: 1320, to_minute: 420 }, 'to_minute', 0);
    expect(evening).toEqual({ from_minute: 1320, to_minute: 0 });
    expect(withTime(evening, 'from_minute', 0)).toEqual({ from_minute: 0, to_minute: 1440 });
    expect(withTime({ from_minute: 0, to_minute: 1440 }, 'from_minute', 60)).toEqual({ from_minute: 60, to_minute: 1440 });
    expect(timeText(1440)).toBe('00:00');
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
    const options = new Intl.DateTimeFormat().resolvedOptions();
    vi.spyOn(Intl.DateTimeFormat.prototype, 'resolvedOptions').mockReturnValue({ ...options, timeZone: 'Europe/Berlin' });
  });
  afterEach(() => { vi.restoreAllMocks(); });

  test('stay at the same time of day when the clocks change', async () => {
    expect(clockHere()).toEqual(berlin);
    server({ ...night, time_zone: 'Europe/Berlin' });
    await loadPreferences();
    await renewQuietHours();
    expect(saved()).toEqual([{ ...night, ...berlin }]);
  });

  test.each([
    ['a client that knows no zones', { ...night, utc_offset_minutes: 120 }],
    ['a journey', { ...night, utc_offset_minutes: 120, time_zone: 'Africa/Johannesburg' }],
  ])('go by the zone of this device after %s', async (_, quiet) => {
    server(quiet);
    await loadPreferences();
    await renewQuietHours();
    expect(saved()).toEqual([{ ...night, ...berlin }]);
  });

  test('go by the offset where the server does not know the zone', async () => {
    call.mockImplementation(async (method, _, options) => {
      if (method === 'PUT' && options.body.quiet_hours.time_zone) throw new ApiError(422, 'unknown_time_zone', '', { 'quiet_hours.time_zone': '' });
      return method === 'PUT' ? options.body : { show_content: true, quiet_hours: night };
    });
    await loadPreferences();
    await renewQuietHours();
    expect(saved().at(-1)).toEqual({ ...night, utc_offset_minutes: 120, time_zone: null });
    expect(preferences.value).toMatchObject({ show_content: true, quiet_hours: { utc_offset_minutes: 120 } });
  });

  test('of a journey tells the device that made it, not one that was left at home and is connected again', async () => {
    const tokyo = { utc_offset_minutes: 540, time_zone: 'Asia/Tokyo' };
    server({ ...night, ...berlin });
    await loadPreferences();
    await renewQuietHours();
    server({ ...night, ...tokyo });
    const clock = vi.spyOn(Date.prototype, 'getTimezoneOffset');
    for (const offset of [-120, -60]) {
      clock.mockReturnValue(offset);
      await loadPreferences();
      await renewQuietHours();
    }
    expect(saved()).toEqual([]);
    clock.mockReturnValue(-330);
    vi.spyOn(Intl.DateTimeFormat.prototype, 'resolvedOptions').mockReturnValue({ timeZone: 'Asia/Kolkata' } as Intl.ResolvedDateTimeFormatOptions);
    await loadPreferences();
    await renewQuietHours();
    expect(saved()).toEqual([{ ...night, utc_offset_minutes: 330, time_zone: 'Asia/Kolkata' }]);
  });

  test('of the next user are compared with the clock though those of who has left were being written', async () => {
    const tokyo = { utc_offset_minutes: 540, time_zone: 'Asia/Tokyo' };
    server({ ...night, ...tokyo });
    await loadPreferences();
    const answer = call.getMockImplementation()!;
    let written = () => undefined as void;
    call.mockImplementation(async (method, path, options) => {
      if (method === 'PUT') await new Promise<void>((resolve) => { written = resolve; });
      return answer(method, path, options);
    });
    const renewed = renewQuietHours();
    await vi.waitFor(() => expect(saved()).toHaveLength(1));
    reset();
    identity.value = { user_id: 'b', username: 'bob' };
    written();
    await renewed;
    server({ ...night, ...tokyo });
    await loadPreferences();
    await renewQuietHours();
    expect(saved()).toHaveLength(2);
  });

  test('that could not be written are with the next connection', async () => {
    server({ ...night, time_zone: 'Africa/Johannesburg', utc_offset_minutes: 120 });
    await loadPreferences();
    const answer = call.getMockImplementation()!;
    call.mockRejectedValue(new ApiError(0, 'network', ''));
    await expect(renewQuietHours()).rejects.toThrow();
    call.mockImplementation(answer);
    await renewQuietHours();
    expect(saved().at(-1)).toEqual({ ...night, ...berlin });
  });

  test.each([[{ ...night, ...berlin }], [null]])('that need nothing are not written: %o', async (quiet) => {
    server(quiet);
    await loadPreferences();
    await renewQuietHours();
    expect(saved()).toEqual([]);
  });
});
