import { describe, expect, test } from 'vitest';
import { localMinute, minuteOf, timeText, utcMinute } from '../src/store/minutes';

describe('times of day', () => {
  test('go to UTC and back, also over midnight', () => {
    for (const offset of [-330, -60, 0, 480]) {
      for (const minute of [0, 30, 22 * 60, 1439]) expect(localMinute(utcMinute(minute, offset), offset)).toBe(minute);
    }
    expect(utcMinute(30, -60)).toBe(1410);
  });

  test('are read and written as a field of a form has them', () => {
    expect(timeText(7 * 60 + 5)).toBe('07:05');
    expect([minuteOf('22:30'), minuteOf('24:00'), minuteOf('')]).toEqual([1350, null, null]);
  });
});
