// Sends what is in the outbox: in order, one of each chat at a time, again until the server has it or refuses it. A chat whose
// message can't be taken now waits by itself: the others may be kept elsewhere.
import { ApiError, passes } from '../api/problem';
import { ask } from '../socket/connection';
import { newId } from '../store/ids';
import * as out from '../store/outbox';
import { pauseOf } from '../store/waits';
import { strings } from '../i18n/en';
import { loadBlocks } from './blocks';
import { apply } from './events';
import { forgetSent, keep, tellTried } from './outbox';
import { chats, current, link, me, onReset, outbox, timelines } from './state';
import { toast } from './toasts';
import { tellStopped } from './typing';

/** Chats of which one is on its way. */
const busy = new Set<string>();

/** With these codes the server says that too much comes from here, to whichever chats. */
const TOO_MUCH = new Set(['rate_limited', 'too_many_requests', 'too_many_events']);
/** Stands for all chats. */
const ALL = '';

/** Tries in a row that did not work, of each chat that has any, and of all. */
const tries = new Map<string, number>();
/** What waits for another try. `until`, in milliseconds since 1970, the server has asked for none. */
const pauses = new Map<string, { readonly timer: ReturnType<typeof setTimeout>; readonly until: number }>();

function endPause(chat_id: string): void {
  clearTimeout(pauses.get(chat_id)?.timer);
  pauses.delete(chat_id);
}

onReset(() => {
  for (const chat_id of pauses.keys()) endPause(chat_id);
  tries.clear();
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
  work(one.chat_id);
}

export function retry(client_message_id: string): void {
  outbox.value = out.retried(outbox.value, client_message_id, Date.now());
  const one = outbox.value.find((known) => known.client_message_id === client_message_id);
  if (one) keep(one);
  work(one?.chat_id);
}

/** Sends what can be sent now. A user who wants something of a chat sent does not wait for its next try, unless the server
 * has asked for that. */
function work(wanted?: string): void {
  if (link.value !== 'online' || pauses.has(ALL)) return;
  const waiting = [...pauses].filter(([chat_id, { until }]) => chat_id !== wanted || Date.now() < until).map(([chat_id]) => chat_id);
  for (const one of out.due(outbox.value, new Set([...busy, ...waiting]))) void deliver(one);
}

/** After a connect: no need to wait out what was for a server in trouble. */
export function resume(): void {
  for (const chat_id of pauses.keys()) if (chat_id !== ALL) endPause(chat_id);
  tries.clear();
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
    answered(chat_id);
    outbox.value = out.without(outbox.value, client_message_id);
    forgetSent(client_message_id);
    apply('receive_message', out.asMessage(one, me.value, answer.message_id, answer.timestamp), false);
  } catch (error) {
    if (passes(error)) return again(chat_id, error);
    answered(chat_id);
    refused(error);
    const code = error instanceof ApiError ? error.code : 'error';
    const reason = strings.sendErrors[code] ?? (error instanceof ApiError && error.message ? error.message : strings.sendFailed);
    outbox.value = out.failed(outbox.value, client_message_id, reason);
    const kept = outbox.value.find((known) => known.client_message_id === client_message_id);
    if (kept) keep(kept);
    if (kept && current.value !== chat_id) tellRefused(chat_id, reason);
  } finally {
    busy.delete(chat_id);
    work();
  }
}

/** Its author has gone elsewhere since, where the message that says so is not seen. */
function tellRefused(chat_id: string, reason: string): void {
  const peer = chats.value.get(chat_id)?.peer;
  toast({ kind: 'error', header: reason, body: peer?.display_name || peer?.username || '', chat_id });
}

/** The server takes what comes to this chat, or says why it never will. */
function answered(chat_id: string): void {
  endPause(chat_id);
  tries.delete(chat_id);
  tries.delete(ALL);
}

/** Has another try made, not before the server wants one. */
function again(chat_id: string, { code, retryAfter }: ApiError): void {
  const what = TOO_MUCH.has(code) ? ALL : chat_id;
  // However many come while one waits: it is one try.
  const tried = (tries.get(what) ?? 0) + (pauses.has(what) ? 0 : 1);
  tries.set(what, tried);
  endPause(what);
  const timer = setTimeout(() => {
    endPause(what);
    work();
  }, pauseOf(tried, retryAfter));
  pauses.set(what, { timer, until: Date.now() + (retryAfter ?? 0) * 1_000 });
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
