// Reports to those who run the server.
import { report, type Reason, type Reported } from '../api/accounts';
import { ApiError } from '../api/problem';
import { lacks } from './state';

/** Sends a report. That a message is not found says nothing of the server: it may have become too old meanwhile. */
export async function sendReport(what: Reported, reason: Reason, comment: string): Promise<void> {
  try {
    await report(what, reason, comment);
  } catch (error) {
    if (error instanceof ApiError && error.absent && (error.status !== 404 || 'user_id' in what)) lacks('reports');
    throw error;
  }
}
