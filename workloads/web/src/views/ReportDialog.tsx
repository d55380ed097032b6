// Tells those who run the server about somebody, or about a message.
import { useState } from 'preact/hooks';
import { REASONS, type Reason } from '../api/accounts';
import type { Message, Peer } from '../api/types';
import { strings } from '../i18n/en';
import { sendReport } from '../session/reports';
import { toaster } from '../session/toasts';
import { Dialog } from './Dialog';
import { Field } from './Field';
import { Outcome } from './Outcome';
import { nameOf } from './people';
import { Switch } from './Switch';
import { useAction } from './useAction';

interface ReportDialogProps {
  peer: Peer;
  /** The message, if it is one that is reported. */
  message?: Message;
  onClose(): void;
}

export function ReportDialog({ peer, message, onClose }: ReportDialogProps) {
  const [reason, setReason] = useState<Reason>('spam');
  const [comment, setComment] = useState('');
  const [include, setInclude] = useState(false);
  const action = useAction();
  const submit = async (event: Event) => {
    event.preventDefault();
    const tell = toaster();
    const what = message ? { chat_id: message.chat_id, message_id: message.message_id, include_message: include } : { user_id: peer.user_id };
    if (!(await action.run(() => sendReport(what, reason, comment.trim())))) return;
    onClose();
    tell({ header: strings.reported });
  };
  return (
    <Dialog title={message ? strings.reportMessageTitle : strings.reportTitle(nameOf(peer))} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <p>{strings.reportText}</p>
        <Field name="report-reason" label={strings.reportReason}>
          <select id="report-reason" value={reason} onChange={(event) => setReason(event.currentTarget.value as Reason)}>
            {REASONS.map((one) => <option key={one} value={one}>{strings.reasons[one]}</option>)}
          </select>
        </Field>
        <Field name="report-comment" label={strings.reportComment}>
          <textarea id="report-comment" rows={3} maxLength={1000} dir="auto" value={comment} onInput={(event) => setComment(event.currentTarget.value)} />
        </Field>
        {message && <Switch label={strings.reportInclude} on={include} onChange={setInclude} />}
        <Outcome action={action} text="" />
        <div class="dialog-buttons">
          <button type="button" class="button" onClick={onClose}>{strings.cancel}</button>
          <button type="submit" class="button button-main" aria-disabled={action.busy}>{strings.report}</button>
        </div>
      </form>
    </Dialog>
  );
}
