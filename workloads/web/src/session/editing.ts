// Saving what was changed in a message of one's own.
import type { Message } from '../api/types';
import { faultText } from '../i18n/faults';
import { edit } from './sending';
import { toaster } from './toasts';

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
