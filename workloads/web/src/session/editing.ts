// Changing a message of one's own.
import type { Message } from '../api/types';
import { faultText } from '../i18n/faults';
import { setAnswering } from './drafts';
import { edit } from './sending';
import { me, outbox, timelines } from './state';
import { toaster } from './toasts';

/** Begins to change what the user has written last in a chat, and gives whether it does. That is no message which is here
 * while newer ones are not, or are still on their way. */
export function editLast(chat_id: string): boolean {
  const timeline = timelines.value.get(chat_id);
  if (!timeline || timeline.newer || outbox.value.some((one) => one.chat_id === chat_id)) return false;
  const own = timeline.messages.filter((one) => one.sender_id === me.value && !one.deleted).at(-1);
  if (!own) return false;
  setAnswering(chat_id, { kind: 'edit', message: own, text: own.message });
  return true;
}

/** Saves a new text, then calls `leave`. Nothing keeps an edit for later, so one that the server does not have must not
 * leave the field: the user is told why, and can try again. */
export async function saveEdit(edited: Message, text: string, leave: () => void): Promise<void> {
  const tell = toaster();
  try {
    if (text !== edited.message) await edit(edited.chat_id, edited.message_id, text);
  } catch (error) {
    tell({ kind: 'error', header: faultText(error) });
    return;
  }
  leave();
}
