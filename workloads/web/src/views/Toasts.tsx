// Short news in a corner.
import { signal } from '@preact/signals';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { strings } from '../i18n/en';
import { go } from '../session/route';
import { dismiss, hold, release, toasts, type Toast } from '../session/toasts';
import { CloseIcon } from './icons';

/** The dialogs that are open, the topmost last: the browser lets nothing outside of it be seen, pressed or read out. */
export const layers = signal<readonly string[]>([]);

/** `layer`: the dialog that these are in; none for the page. The news are where somebody can reach them. */
export function Toasts({ layer = null }: { layer?: string | null }) {
  const here = (layers.value.at(-1) ?? null) === layer;
  const box = useRef<HTMLDivElement>(null);
  /** Where the focus was before it came here. */
  const before = useRef<HTMLElement | null>(null);
  // Before they are drawn anew.
  const within = box.current?.contains(document.activeElement) ?? false;
  useLayoutEffect(() => {
    // The one that had it is gone.
    if (!within || document.activeElement !== document.body) return;
    const beside = box.current?.closest('dialog')?.querySelector<HTMLElement>('button, input, select, textarea') ?? document.getElementById('main');
    (before.current?.isConnected ? before.current : beside)?.focus();
  });
  const onFocus = ({ relatedTarget: from }: FocusEvent) => {
    if (!(from instanceof Node && box.current?.contains(from))) before.current = from instanceof HTMLElement ? from : null;
  };
  return (
    <div class="toasts" ref={box} role="status" aria-atomic="false" onFocusIn={onFocus}>
      {here && toasts.value.map((one) => <ToastCard key={one.id} toast={one} />)}
    </div>
  );
}

function ToastCard({ toast }: { toast: Toast }) {
  const open = () => {
    dismiss(toast.id);
    if (toast.chat_id) go({ view: 'chat', chat_id: toast.chat_id, message_id: null });
  };
  // Under the pointer or with the focus it is being read, or about to be pressed.
  const by = useRef({ pointer: false, focus: false });
  // One that comes from another layer has lost the pointer that held it there. It may be held by now: this comes a moment
  // after the card is there.
  useEffect(() => { if (!by.current.pointer && !by.current.focus) release(toast.id); }, []);
  const held = (how: 'pointer' | 'focus', on: boolean) => () => {
    by.current[how] = on;
    if (by.current.pointer || by.current.focus) hold(toast.id);
    else release(toast.id);
  };
  const content = (
    <>
      <strong dir="auto">{toast.header}</strong>
      {toast.body && <span class="toast-body" dir="auto">{toast.body}</span>}
    </>
  );
  return (
    <div
      class={`toast toast-${toast.kind}`} data-testid="toast"
      onPointerEnter={held('pointer', true)} onPointerLeave={held('pointer', false)} onFocusIn={held('focus', true)} onFocusOut={held('focus', false)}
    >
      {toast.chat_id ? <button type="button" class="toast-content" onClick={open}>{content}</button> : <div class="toast-content">{content}</div>}
      <button type="button" class="icon-button" aria-label={strings.close} onClick={() => dismiss(toast.id)}><CloseIcon /></button>
    </div>
  );
}
