// Times of day: the server keeps them by the clock of whoever set them, and by how much that was ahead of UTC.

const DAY = 24 * 60;
const wrap = (minute: number): number => ((minute % DAY) + DAY) % DAY;

export interface Quiet {
  readonly from_minute: number;
  readonly to_minute: number;
  readonly utc_offset_minutes?: number;
}

/** Minutes by which the clock of this device is ahead of UTC. */
export const aheadOfUtc = (now = new Date()): number => 0 - now.getTimezoneOffset();

/** The same hours by a clock that is so far ahead of UTC. */
export function quietAt(quiet: Quiet, ahead: number): Required<Quiet> {
  const by = ahead - (quiet.utc_offset_minutes ?? 0);
  return { from_minute: wrap(quiet.from_minute + by), to_minute: wrap(quiet.to_minute + by), utc_offset_minutes: ahead };
}

export const timeText = (minute: number): string =>
  `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;

/** Reads `HH:MM`; `null` when it is none. */
export function minuteOf(text: string): number | null {
  const match = /^(\d{2}):(\d{2})/.exec(text);
  if (!match) return null;
  const minute = Number(match[1]) * 60 + Number(match[2]);
  return minute < DAY ? minute : null;
}
