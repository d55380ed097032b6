// Whom the user has blocked.
import * as accounts from '../api/accounts';
import type { Block } from '../api/types';
import { meanwhile } from './meanwhile';
import { blocked, me } from './state';

type Blocked = typeof blocked.value;

const lists = meanwhile<Blocked>();

const turned = (user_id: string, on: boolean) => (before: Blocked): Blocked => {
  const next = new Set(before);
  if (on) next.add(user_id);
  else next.delete(user_id);
  return next;
};

/** Asks the server. The list may have people who are not blocked any more by now: `blocked` has those who are. */
export async function loadBlocks(): Promise<readonly Block[]> {
  const owner = me.value;
  const { answer: list, repeat } = await lists.ask(accounts.blocks);
  if (me.value !== owner) return [];
  blocked.value = repeat(new Set(list.map((one) => one.user_id)));
  return list;
}

export async function block(user_id: string, on: boolean): Promise<void> {
  const owner = me.value;
  await (on ? accounts.block(user_id) : accounts.unblock(user_id));
  if (me.value !== owner) return;
  const change = turned(user_id, on);
  blocked.value = change(blocked.value);
  lists.happened(change);
}
