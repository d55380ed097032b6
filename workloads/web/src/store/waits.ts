// How long to wait before another try.

/** Milliseconds to wait, after so many tries in a row that did not work. */
export const backOff = (attempts: number): number => Math.min(30_000, 500 * 2 ** Math.min(attempts, 8));

/** Milliseconds to wait after so many tries, at random, and no less than the seconds that the server asked for. */
export const pauseOf = (attempts: number, retryAfter: number | null): number => spread(Math.max(backOff(attempts), (retryAfter ?? 0) * 1_000));

/** At least so many milliseconds, up to twice as many: those who lost the same server at once do not come back at once. */
export const spread = (milliseconds: number): number => milliseconds * (1 + Math.random());
