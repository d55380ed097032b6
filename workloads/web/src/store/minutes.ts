// Times of day: the server keeps them in UTC, people think in their own zone.

const DAY = 24 * 60;
const wrap = (minute: number): number => ((minute % DAY) + DAY) % DAY;

/** Minutes of the day in UTC; `offset` is what `Date.getTimezoneOffset` gives. */
export const utcMinute = (local: number, offset: number): number => wrap(local + offset);
export const localMinute = (utc: number, offset: number): number => wrap(utc - offset);

export const timeText = (minute: number): string =>
  `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;

/** Reads `HH:MM`; `null` when it is none. */
export function minuteOf(text: string): number | null {
  const match = /^(\d{2}):(\d{2})/.exec(text);
  if (!match) return null;
  const minute = Number(match[1]) * 60 + Number(match[2]);
  return minute < DAY ? minute : null;
}
