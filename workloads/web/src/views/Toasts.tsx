// Short news in a corner.
import { strings } from '../i18n/en';
import { go } from '../session/route';
import { dismiss, toasts, type Toast } from '../session/toasts';
import { CloseIcon } from './icons';

export function Toasts() {
  return (
    <div class="toasts" aria-live="polite">
      {toasts.value.map((one) => <ToastCard key={one.id} toast={one} />)}
    </div>
  );
}

function ToastCard({ toast }: { toast: Toast }) {
  const open = () => {
    dismiss(toast.id);
    if (toast.chat_id) go({ view: 'chat', chat_id: toast.chat_id, message_id: null });
  };
  const content = (
    <>
      <strong dir="auto">{toast.header}</strong>
      {toast.body && <span class="toast-body" dir="auto">{toast.body}</span>}
    </>
  );
  return (
    <div class={`toast toast-${toast.kind}`} role="status" data-testid="toast">
      {toast.chat_id ? <button type="button" class="toast-content" onClick={open}>{content}</button> : <div class="toast-content">{content}</div>}
      <button type="button" class="icon-button" aria-label={strings.close} onClick={() => dismiss(toast.id)}><CloseIcon /></button>
    </div>
  );
}
