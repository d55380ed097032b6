// Takes back what was not sent: into the field, or for good.
import { revocable, type Outgoing } from '../store/outbox';
import { draftOf, flushDrafts, setDraft } from './drafts';
import { discard } from './outbox';
import { outbox } from './state';
import { giveBack } from './uploads';

const own = (client_message_id: string): Outgoing | undefined =>
  outbox.value.find((known) => known.client_message_id === client_message_id && revocable(known));

/** Discards a message, unless it is on its way by now. */
export function withdraw(client_message_id: string): void {
  if (own(client_message_id)) discard(client_message_id);
}

/** Puts a message that was not sent before what is being written, with its files, and gives it; `null` when there is no
 * room, or it is on its way by now. */
export function takeBack(client_message_id: string): Outgoing | null {
  const one = own(client_message_id);
  if (!one || !giveBack(one.chat_id, one.attachments)) return null;
  setDraft(one.chat_id, [one.message, draftOf(one.chat_id)].filter((text) => text.trim() !== '').join('\n'));
  // It is written there before it is removed where it was kept.
  void flushDrafts();
  discard(client_message_id);
  return one;
}
