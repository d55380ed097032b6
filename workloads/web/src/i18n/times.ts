// Times as people read them, in the language and zone of the browser.
import { dayOf } from '../store/rows';
import { strings } from './en';

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'long' });
const date = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' });
const short = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const other = new Intl.DateTimeFormat(undefined, { dateStyle: 'short' });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const medium = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

const DAY_MS = 86_400_000;

/** A moment of the day before; days on which clocks change have 23 or 25 hours. */
function dayBefore(now: number): number {
  const date = new Date(now);
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() - 1).getTime();
}
type Time = string | number;

export const clockOf = (time: Time): string => clock.format(new Date(time));
export const wholeOf = (time: Time): string => whole.format(new Date(time));
export const mediumOf = (time: Time): string => medium.format(new Date(time));

/** The name of a day, as a heading. */
export function dayName(at: number, now: number): string {
  if (dayOf(at) === dayOf(now)) return strings.today;
  if (dayOf(at) === dayOf(dayBefore(now))) return strings.yesterday;
  return now - at < 6 * DAY_MS && at < now ? weekday.format(at) : date.format(at);
}

/** As short as can be, for a list. */
export function briefOf(at: number, now: number): string {
  if (dayOf(at) === dayOf(now)) return clock.format(at);
  if (dayOf(at) === dayOf(dayBefore(now))) return strings.yesterday;
  return (new Date(at).getFullYear() === new Date(now).getFullYear() ? short : other).format(at);
}

/** A size for people. */
export function sizeOf(bytes: number): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return new Intl.NumberFormat(undefined, {
    style: 'unit', unit: units[unit] ?? 'byte', unitDisplay: unit === 0 ? 'long' : 'short', maximumFractionDigits: value < 10 && unit > 0 ? 1 : 0,
  }).format(value);
}
