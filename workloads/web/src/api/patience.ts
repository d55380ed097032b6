// Asks again by itself where the server says how long to wait.
import { ApiError } from './problem';

/** Asks until there is an answer other than to wait, or nobody wants one any more. `waits` is told of each wait. */
export async function patiently<T>(ask: () => Promise<T>, signal: AbortSignal, waits: () => void): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 429 || error.retryAfter === null || signal.aborted) throw error;
      waits();
      await pause(error.retryAfter * 1_000, signal);
      if (signal.aborted) throw error;
    }
  }
}

/** Waits so long, or until nobody wants that any more. */
export const pause = (milliseconds: number, signal?: AbortSignal): Promise<void> => new Promise((resolve) => {
  if (signal?.aborted) return resolve();
  const timer = setTimeout(resolve, milliseconds);
  signal?.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
});
