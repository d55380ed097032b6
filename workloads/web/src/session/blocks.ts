// Whom the user has blocked.
import * as accounts from '../api/accounts';
import type { Block } from '../api/types';
import { blocked, me } from './state';

/** What was changed since lists were asked for, a map for each that is on its way: it may be older. */
const meanwhile = new Set<Map<string, boolean>>();

function set(user_id: string, on: boolean): void {
  const next = new Set(blocked.value);
  if (on) next.add(user_id);
  else next.delete(user_id);
  blocked.value = next;
}

/** Asks the server. The list may have people who are not blocked any more by now: `blocked` has those who are. */
export async function loadBlocks(): Promise<readonly Block[]> {
  const owner = me.value;
  const changes = new Map<string, boolean>();
  meanwhile.add(changes);
  try {
    const list = await accounts.blocks();
    if (me.value !== owner) return [];
    blocked.value = new Set(list.map((one) => one.user_id));
    for (const [user_id, on] of changes) set(user_id, on);
    return list;
  } finally {
    meanwhile.delete(changes);
  }
}

export async function block(user_id: string, on: boolean): Promise<void> {
  const owner = me.value;
  await (on ? accounts.block(user_id) : accounts.unblock(user_id));
  if (me.value !== owner) return;
  set(user_id, on);
  for (const changes of meanwhile) changes.set(user_id, on);
}
