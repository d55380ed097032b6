// Asks before a message is taken back.
import { useState } from 'preact/hooks';
import type { Message } from '../api/types';
import { faultText } from '../i18n/faults';
import { strings } from '../i18n/en';
import { erase } from '../session/sending';
import { ConfirmDialog } from './Dialog';

export function DeleteDialog({ message, onClose }: { message: Message; onClose(): void }) {
  const [busy, setBusy] = useState(false);
  const [fault, setFault] = useState<string | null>(null);
  async function remove() {
    setBusy(true);
    try {
      await erase(message.chat_id, message.message_id);
      onClose();
    } catch (error) {
      setFault(faultText(error));
      setBusy(false);
    }
  }
  return (
    <ConfirmDialog title={strings.deleteTitle} text={strings.deleteText} action={strings.remove} danger busy={busy} fault={fault} onYes={() => void remove()} onNo={onClose} />
  );
}
