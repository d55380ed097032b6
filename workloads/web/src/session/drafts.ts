// What was written but not sent, of each chat; it lasts as long as the tab and the session.
import { signal } from '@preact/signals';
import { onReset } from './state';

export const drafts = signal<ReadonlyMap<string, string>>(new Map());
onReset(() => { drafts.value = new Map(); });

export function setDraft(chat_id: string, text: string): void {
  if ((drafts.value.get(chat_id) ?? '') === text) return;
  const next = new Map(drafts.value);
  if (text.trim() === '') next.delete(chat_id);
  else next.set(chat_id, text);
  drafts.value = next;
}
