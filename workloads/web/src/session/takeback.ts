// Takes back into the field what could not be sent.
import type { Outgoing } from '../store/outbox';
import { draftOf, flushDrafts, setDraft } from './drafts';
import { discard } from './outbox';
import { outbox } from './state';
import { giveBack } from './uploads';

/** Puts a message that failed before what is being written, with its files, and gives it; `null` when there is no room. */
export function takeBack(client_message_id: string): Outgoing | null {
  const one = outbox.value.find((known) => known.client_message_id === client_message_id && known.state === 'failed');
  if (!one || !giveBack(one.chat_id, one.attachments)) return null;
  setDraft(one.chat_id, [one.message, draftOf(one.chat_id)].filter((text) => text.trim() !== '').join('\n'));
  // It is written there before it is removed where it was kept.
  void flushDrafts();
  discard(client_message_id);
  return one;
}
