// What was written but not sent, of each chat; it lasts as long as the tab and the session.
import { signal } from '@preact/signals';
import type { Message } from '../api/types';
import { onReset } from './state';

/** A message that what is written answers, or changes. */
type Turned = { kind: 'reply' | 'edit'; message: Message } | null;

export const drafts = signal<ReadonlyMap<string, string>>(new Map());
onReset(() => { drafts.value = new Map(); });

/** What the field holds when it turns from one message to another. The text of an edit goes with it: what was being
 * written before is there again. */
export function textAfter(before: Turned, after: Turned, text: string, draft: string): string {
  if (after?.kind === 'edit') return after.message.message;
  return before?.kind === 'edit' ? draft : text;
}

export function setDraft(chat_id: string, text: string): void {
  if ((drafts.value.get(chat_id) ?? '') === text) return;
  const next = new Map(drafts.value);
  if (text.trim() === '') next.delete(chat_id);
  else next.set(chat_id, text);
  drafts.value = next;
}
