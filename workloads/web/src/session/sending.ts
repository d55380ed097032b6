// Sends what is in the outbox: in order, one of each chat at a time, again until the server has it or refuses it.
import { ApiError, passes } from '../api/problem';
import { ask } from '../socket/connection';
import { newId } from '../store/ids';
import * as out from '../store/outbox';
import { pauseOf } from '../store/waits';
import { strings } from '../i18n/en';
import { loadBlocks } from './blocks';
import { apply } from './events';
import { forgetSent, keep, tellTried } from './outbox';
import { link, me, onReset, outbox, timelines } from './state';
import { tellStopped } from './typing';

const busy = new Set<string>();
let attempts = 0;
let later: ReturnType<typeof setTimeout> | null = null;
/** The server has asked to be left alone until then: also what is written meanwhile waits. */
let held = false;
onReset(() => {
  attempts = 0;
  if (later) clearTimeout(later);
  later = null;
  held = false;
});

export interface Draft {
  chat_id: string;
  message: string;
  type?: out.Outgoing['type'];
  attachments?: readonly string[];
  reply_to?: string | null;
}

/** Takes a message: it is shown at once and sent as soon as can be. */
export function send(draft: Draft): void {
  const one: out.Outgoing = {
    client_message_id: newId(),
    chat_id: draft.chat_id,
    message: draft.message,
    type: draft.type ?? 'text',
    attachments: draft.attachments ?? [],
    reply_to: draft.reply_to ?? null,
    created_at: Date.now(),
    state: 'pending',
    reason: null,
  };
  outbox.value = out.queued(outbox.value, one);
  keep(one);
  tellStopped();
  work();
}

export function retry(client_message_id: string): void {
  outbox.value = out.retried(outbox.value, client_message_id, Date.now());
  const one = outbox.value.find((known) => known.client_message_id === client_message_id);
  if (one) keep(one);
  work();
}

/** Sends what can be sent now. Called whenever something is queued and whenever the connection is back. */
export function work(): void {
  if (link.value !== 'online' || held) return;
  for (const one of out.due(outbox.value, busy)) void deliver(one);
}

/** After a connect: no need to wait out what was for a server in trouble. */
export function resume(): void {
  attempts = 0;
  outbox.value = out.doubted(outbox.value, strings.sentLongAgo, Date.now());
  work();
}

async function deliver(one: out.Outgoing): Promise<void> {
  busy.add(one.chat_id);
  const { client_message_id, chat_id, message, type, attachments, reply_to } = one;
  if (!one.tried) {
    outbox.value = out.tried(outbox.value, client_message_id);
    keep({ ...one, tried: true });
    tellTried(client_message_id);
  }
  try {
    const payload = {
      chat_id, message, type, client_message_id,
      ...(attachments.length > 0 ? { attachments } : {}),
      ...(reply_to ? { reply_to } : {}),
    };
    const answer = await ask<{ message_id: string; timestamp: string; duplicate?: boolean }>('send_message', payload);
    attempts = 0;
    outbox.value = out.without(outbox.value, client_message_id);
    forgetSent(client_message_id);
    apply('receive_message', out.asMessage(one, me.value, answer.message_id, answer.timestamp), false);
  } catch (error) {
    if (passes(error)) return again(error.retryAfter);
    refused(error);
    const code = error instanceof ApiError ? error.code : 'error';
    const reason = strings.sendErrors[code] ?? (error instanceof ApiError && error.message ? error.message : strings.sendFailed);
    outbox.value = out.failed(outbox.value, client_message_id, reason);
    const kept = outbox.value.find((known) => known.client_message_id === client_message_id);
    if (kept) keep(kept);
  } finally {
    busy.delete(chat_id);
    if (!later) work();
  }
}

/** Has another try made, not before the server wants one. */
function again(retryAfter: number | null): void {
  attempts += 1;
  if (retryAfter !== null) held = true;
  else if (later) return;
  if (later) clearTimeout(later);
  later = setTimeout(() => {
    later = null;
    held = false;
    work();
  }, pauseOf(attempts, retryAfter));
}

/** Perhaps another device has set the block that is in the way: then there is no field to write in. */
function refused(error: unknown): void {
  if (error instanceof ApiError && error.code === 'blocked') loadBlocks().catch(() => undefined);
}

/** Changes a message of one's own. */
export async function edit(chat_id: string, message_id: string, message: string): Promise<void> {
  const find = () => timelines.value.get(chat_id)?.messages.find((one) => one.message_id === message_id);
  const before = find();
  await ask('edit_message', { chat_id, message_id, message }).catch((error: unknown) => {
    refused(error);
    throw error;
  });
  const known = find();
  // When it was edited only the server knows, which tells it, like every edit, to this device too; perhaps it has already.
  if (known && known.edited_at === before?.edited_at) apply('message_edited', { ...known, message, content: message }, false);
}

/** Takes a message of one's own back. */
export async function erase(chat_id: string, message_id: string): Promise<void> {
  await ask('delete_message', { chat_id, message_id });
  apply('message_deleted', { chat_id, message_id }, false);
}
