// Times as people read them, in the language and zone of the browser.
import { computed } from '@preact/signals';
import { zone } from '../session/today';
import { dayOf } from '../store/rows';
import { strings } from './en';

/** Made anew in another zone, for they keep the one in which they were made; whatever shows a time is drawn again then. */
const formats = computed(() => {
  zone.value;
  const of = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat(undefined, options);
  return {
    clock: of({ hour: '2-digit', minute: '2-digit' }),
    weekday: of({ weekday: 'long' }),
    date: of({ day: 'numeric', month: 'long', year: 'numeric' }),
    short: of({ day: 'numeric', month: 'short' }),
    other: of({ dateStyle: 'short' }),
    whole: of({ dateStyle: 'full', timeStyle: 'medium' }),
    medium: of({ dateStyle: 'medium', timeStyle: 'short' }),
  };
});

const DAY_MS = 86_400_000;

/** A moment of the day before; days on which clocks change have 23 or 25 hours. */
function dayBefore(now: number): number {
  const date = new Date(now);
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() - 1).getTime();
}
type Time = string | number;

export const clockOf = (time: Time): string => formats.value.clock.format(new Date(time));
export const wholeOf = (time: Time): string => formats.value.whole.format(new Date(time));
export const mediumOf = (time: Time): string => formats.value.medium.format(new Date(time));

/** The name of a day, as a heading. */
export function dayName(at: number, now: number): string {
  if (dayOf(at) === dayOf(now)) return strings.today;
  if (dayOf(at) === dayOf(dayBefore(now))) return strings.yesterday;
  return now - at < 6 * DAY_MS && at < now ? formats.value.weekday.format(at) : formats.value.date.format(at);
}

/** As short as can be, for a list. */
export function briefOf(at: number, now: number): string {
  if (dayOf(at) === dayOf(now)) return formats.value.clock.format(at);
  if (dayOf(at) === dayOf(dayBefore(now))) return strings.yesterday;
  return (new Date(at).getFullYear() === new Date(now).getFullYear() ? formats.value.short : formats.value.other).format(at);
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
