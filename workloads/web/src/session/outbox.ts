// What is on its way, kept in the browser's store until the server has it: a page that is closed loses none of it.
import * as database from '../idb/database';
import type { Message } from '../api/types';
import * as out from '../store/outbox';
import { strings } from '../i18n/en';
import { me, onReset, outbox } from './state';

const keyOf = (one: out.Outgoing): string => `${String(one.created_at).padStart(15, '0')}-${one.client_message_id}`;

const keys = new Map<string, string>();

/** Writes a message, or its new state. */
export function keep(one: out.Outgoing): void {
  const key = keyOf(one);
  keys.set(one.client_message_id, key);
  database.put('outbox', key, one).catch((error: unknown) => console.warn('a message could not be kept for later', error));
}

/** What is over, so that what was being read of the browser's store meanwhile does not bring it back. */
const over = new Set<string>();
onReset(() => {
  keys.clear();
  over.clear();
});

/** What was not sent when the page was closed, or another one. */
export async function restoreOutbox(): Promise<void> {
  const owner = me.value;
  const kept = await database.all<out.Outgoing>('outbox');
  if (me.value !== owner) return;
  let next = outbox.value;
  for (const one of kept) {
    if (over.has(one.client_message_id)) continue;
    keys.set(one.client_message_id, keyOf(one));
    next = out.queued(next, one);
  }
  outbox.value = out.doubted(next, strings.sentLongAgo, Date.now());
}

/** A message has arrived, or is given up: nothing of it need be kept. */
export function forgetSent(client_message_id: string): void {
  const key = keys.get(client_message_id);
  over.add(client_message_id);
  keys.delete(client_message_id);
  if (key) void database.remove('outbox', [key]).catch(() => undefined);
}

/** Other tabs may have it, too, and would send it. */
const channel = 'BroadcastChannel' in globalThis ? new BroadcastChannel('sentinel-discarded') : null;
channel?.addEventListener('message', ({ data }: MessageEvent<string | { tried: string }>) => {
  if (typeof data === 'string') drop(data);
  else outbox.value = out.tried(outbox.value, data.tried);
});

/** Tells other tabs that the server may have a message: they must not change it any more. */
export function tellTried(client_message_id: string): void {
  channel?.postMessage({ tried: client_message_id });
}

/** Gives a message up. */
export function discard(client_message_id: string): void {
  drop(client_message_id);
  channel?.postMessage(client_message_id);
}

function drop(client_message_id: string): void {
  outbox.value = out.without(outbox.value, client_message_id);
  forgetSent(client_message_id);
}

/** A message came from the server, by whichever way: if it is one of these, it has arrived. */
export function arrived(message: Message): void {
  const left = out.delivered(outbox.value, message, me.value);
  if (left === outbox.value) return;
  outbox.value = left;
  forgetSent(message.client_message_id ?? '');
}
