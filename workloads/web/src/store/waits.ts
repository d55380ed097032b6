// How long to wait before another try.

/** Milliseconds to wait, after so many tries in a row that did not work. */
export const backOff = (attempts: number): number => Math.min(30_000, 500 * 2 ** Math.min(attempts, 8));

/** At least so many milliseconds, up to twice as many: those who lost the same server at once do not come back at once. */
export const spread = (milliseconds: number): number => milliseconds * (1 + Math.random());
