import { expect, test } from 'vitest';
import { strings } from '../src/i18n/en';
import { briefOf, dayName } from '../src/i18n/times';

test('yesterday is the day before, also after a day of 25 or 23 hours', () => {
  (globalThis as { process?: { env: Record<string, string> } }).process!.env.TZ = 'America/New_York';
  // In this zone clocks went back on 2 November 2025, and forward on 9 March 2025.
  const long = { now: new Date(2025, 10, 2, 23, 30).getTime(), before: new Date(2025, 10, 1, 12).getTime() };
  const short = { now: new Date(2025, 2, 10, 0, 30).getTime(), before: new Date(2025, 2, 9, 12).getTime() };
  expect(new Date(2025, 10, 3).getTime() - new Date(2025, 10, 2).getTime()).toBe(25 * 3_600_000);
  for (const { now, before } of [long, short]) {
    expect([dayName(before, now), briefOf(before, now)]).toEqual([strings.yesterday, strings.yesterday]);
    expect(dayName(now - 1000, now)).toBe(strings.today);
  }
});

test('a day of another year is not taken for one of this year', () => {
  const now = new Date(2026, 5, 1).getTime();
  expect(briefOf(new Date(2026, 0, 5).getTime(), now)).not.toMatch(/26/);
  expect(briefOf(new Date(2025, 0, 5).getTime(), now)).toMatch(/25/);
});
