// The user's own account, as the server has it.
import * as accounts from '../api/accounts';
import { order } from './order';
import { account, identity, me } from './state';

const answers = order();

export async function loadAccount(): Promise<void> {
  const owner = me.value;
  const isNews = answers.ask();
  const known = await accounts.me();
  if (me.value === owner && isNews()) account.value = known;
}

/** Confirms an address by the token of a mail. It may be that of who is logged in here. */
export async function confirmEmail(token: string): Promise<void> {
  await accounts.verifyEmail(token);
  if (identity.value) await loadAccount().catch(() => undefined);
}

export async function rename(display_name: string): Promise<void> {
  const owner = me.value;
  const renamed = await accounts.rename(display_name);
  if (me.value !== owner) return;
  answers.changed();
  account.value = renamed;
}
