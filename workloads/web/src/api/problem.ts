// What went wrong, in the server's terms (RFC 9457) or the network's.
import type { ProblemBody } from './types';

/** A call that did not work. `status` is 0 when no answer came. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly fields: Readonly<Record<string, string>> = {},
    /** Seconds to wait before another try. */
    readonly retryAfter: number | null = null,
  ) {
    super(detail);
  }

  /** Whether the same call may work later: the server was away, busy, or asked to wait. */
  get passing(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }

  /** Whether this server does not have the feature. */
  get absent(): boolean {
    return this.status === 404 || this.status === 405 || this.status === 501;
  }
}

/** Codes of socket acknowledgements after which sending again may work. */
const PASSING_CODES = new Set(['unavailable', 'internal', 'rate_limited', 'too_many_requests', 'too_many_events', 'timeout', 'not_connected']);

/** Whether an event that was refused so, or got no answer, may be followed by the same again. */
export const passes = (error: unknown): error is ApiError => error instanceof ApiError && (error.passing || PASSING_CODES.has(error.code));

/** Reads an error answer; whatever its body is, an error comes out. */
export function problemOf(status: number, body: string, retryAfter: string | null): ApiError {
  const seconds = retryAfter === null ? NaN : Number(retryAfter);
  const wait = Number.isFinite(seconds) && seconds >= 0 ? seconds : null;
  let problem: Partial<ProblemBody> = {};
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === 'object' && parsed !== null) problem = parsed;
  } catch {
    // A gateway's own page: the status has to do.
  }
  const fields: Record<string, string> = {};
  for (const error of problem.errors ?? []) fields[error.field] ??= error.detail;
  return new ApiError(status, problem.code ?? `http_${status}`, problem.detail ?? '', fields, wait);
}
