import './page';
import { beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { effect } from '@preact/signals';
import { strings } from '../src/i18n/en';
import { briefOf, clockOf, dayName } from '../src/i18n/times';
import { startToday, today } from '../src/session/today';

const env = (globalThis as { process?: { env: Record<string, string> } }).process!.env;
/** What is drawn of a message of this moment, each time that it is drawn. */
let drawn: string[];
const WRITTEN = Date.UTC(2026, 5, 10, 12, 30);
let comesBack = () => undefined as void;

beforeAll(() => {
  vi.useFakeTimers({ now: WRITTEN });
  env.TZ = 'Europe/Berlin';
  vi.stubGlobal('document', { addEventListener: (name: string, listener: () => void) => { if (name === 'visibilitychange') comesBack = listener; } });
  startToday();
});
beforeEach(() => {
  env.TZ = 'Europe/Berlin';
  vi.setSystemTime(WRITTEN);
  comesBack();
  drawn = [];
});

test('what is of today is of yesterday from midnight on, without a touch', async () => {
  const end = effect(() => void drawn.push(dayName(WRITTEN, today.value)));
  await vi.advanceTimersByTimeAsync(9.5 * 3_600_000 - 1);
  expect(drawn).toEqual([strings.today]);
  await vi.advanceTimersByTimeAsync(1);
  expect(drawn).toEqual([strings.today, strings.yesterday]);
  end();
});

test('a page that comes back after a night shows the new day at once', () => {
  const end = effect(() => void drawn.push(dayName(WRITTEN, today.value)));
  vi.setSystemTime(WRITTEN + 86_400_000);
  comesBack();
  expect(drawn).toEqual([strings.today, strings.yesterday]);
  end();
});

test('times are those of the zone that one has travelled to', async () => {
  const end = effect(() => void drawn.push(`${clockOf(WRITTEN)} ${briefOf(WRITTEN, today.value)}`));
  env.TZ = 'Asia/Kathmandu';
  await vi.advanceTimersByTimeAsync(60_000);
  expect(drawn.map((text) => text.match(/:\d\d/g))).toEqual([[':30', ':30'], [':15', ':15']]);
  end();
});
