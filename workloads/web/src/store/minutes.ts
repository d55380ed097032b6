// Times of day: the server keeps them by the clock of whoever set them, with its time zone and by how much it was ahead of UTC.

const DAY = 24 * 60;
const wrap = (minute: number): number => ((minute % DAY) + DAY) % DAY;

export interface Quiet {
  readonly from_minute: number;
  readonly to_minute: number;
  readonly utc_offset_minutes?: number;
  readonly time_zone?: string | null;
}

/** Whose clock it is: that of a time zone, so many minutes ahead of UTC now. */
export interface Clock {
  readonly utc_offset_minutes: number;
  readonly time_zone: string;
}

/** The clock of this device. */
export const clockHere = (now = new Date()): Clock => ({
  utc_offset_minutes: 0 - now.getTimezoneOffset(),
  time_zone: new Intl.DateTimeFormat().resolvedOptions().timeZone,
});

/** Which part of a day hours are: where both times are the same they are none of it, unless the end is the end of the day. */
export const partOf = ({ from_minute, to_minute }: Quiet): 'all' | 'none' | 'some' =>
  to_minute - from_minute === DAY ? 'all' : to_minute === from_minute ? 'none' : 'some';

/** The hours with another beginning or end. From midnight to midnight, which a field of a form shows as 00:00 both, is the
 * whole day. */
export function withTime<Hours extends Quiet>(quiet: Hours, name: 'from_minute' | 'to_minute', minute: number): Hours {
  const next = { ...quiet, [name]: minute };
  return wrap(next.from_minute) === 0 && wrap(next.to_minute) === 0 ? { ...next, to_minute: DAY } : next;
}

/** The same hours by a clock. */
export function quietAt(quiet: Quiet, clock: Clock): Required<Quiet> {
  // The whole day is that by every clock.
  if (partOf(quiet) === 'all') return { from_minute: quiet.from_minute, to_minute: quiet.to_minute, ...clock };
  // In one zone it is the same time of day, though the zone is ahead of UTC by more in summer.
  const by = quiet.time_zone === clock.time_zone ? 0 : clock.utc_offset_minutes - (quiet.utc_offset_minutes ?? 0);
  return { from_minute: wrap(quiet.from_minute + by), to_minute: wrap(quiet.to_minute + by), ...clock };
}

/** As a field of a form has it: the end of a day is the beginning of the next. */
export const timeText = (minute: number): string =>
  `${String(Math.floor(wrap(minute) / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;

/** Reads `HH:MM`; `null` when it is none. */
export function minuteOf(text: string): number | null {
  const match = /^(\d{2}):(\d{2})/.exec(text);
  if (!match) return null;
  const minute = Number(match[1]) * 60 + Number(match[2]);
  return minute < DAY ? minute : null;
}
