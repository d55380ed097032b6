// What to tell people when a call did not work.
import { ApiError } from '../api/problem';
import { strings } from './en';

export function faultText(error: unknown): string {
  if (!(error instanceof ApiError)) return strings.faults.other;
  if (error.status === 0) return strings.faults.network;
  if (error.status === 429) return strings.faults.tooMany(error.retryAfter);
  if (error.code === 'invalid_credentials') return error.status === 401 ? strings.wrongCredentials : strings.wrongPassword;
  if (error.status >= 500) return strings.faults.busy;
  return error.message === '' ? strings.faults.other : sentence(error.message);
}

/** What the server says begins in lower case, and ends without a stop. */
export function sentence(said: string): string {
  if (said === '') return '';
  const text = said.slice(0, 1).toUpperCase() + said.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
