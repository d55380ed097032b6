// Where the user is logged in.
import { signal } from '@preact/signals';
import * as accounts from '../api/accounts';
import type { Session } from '../api/types';
import { order } from './order';
import { me, onReset } from './state';

export const sessions = signal<readonly Session[]>([]);
onReset(() => { sessions.value = []; });

const answers = order();

export async function loadSessions(): Promise<void> {
  const owner = me.value;
  const isNews = answers.ask();
  const known = await accounts.sessions();
  if (me.value === owner && isNews()) sessions.value = known;
}

/** Ends another one. */
export async function endSession(id: string): Promise<void> {
  const owner = me.value;
  await accounts.endSession(id);
  if (me.value !== owner) return;
  // What was ended is known to be; a list of the server's may be older.
  answers.changed();
  sessions.value = sessions.value.filter((one) => one.id !== id);
}

/** Changes the password, with which all other sessions end. */
export async function changePassword(now: string, next: string): Promise<void> {
  const owner = me.value;
  await accounts.changePassword(now, next);
  if (me.value !== owner) return;
  sessions.value = sessions.value.filter((one) => one.current);
  // That it could not be had is no fault of the change.
  await loadSessions().catch(() => undefined);
}
