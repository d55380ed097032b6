// Dialogs: the browser's own, which keep the focus inside and close with Escape.
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { strings } from '../i18n/en';
import { layers, Toasts } from './Toasts';

interface DialogProps {
  title: string;
  onClose(): void;
  class?: string;
  children: ComponentChildren;
}

export function Dialog({ title, onClose, class: name, children }: DialogProps) {
  const node = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    const dialog = node.current;
    dialog?.showModal();
    layers.value = [...layers.value, id];
    // A button of a message goes with the message that is deleted; the place of the message stays.
    const row = before?.closest<HTMLElement>('[data-key]') ?? null;
    return () => {
      // While it is open nothing else takes the focus.
      dialog?.close();
      layers.value = layers.value.filter((one) => one !== id);
      if (before instanceof HTMLElement && before.isConnected) before.focus();
      setTimeout(() => { if (document.activeElement === document.body) row?.focus(); });
    };
  }, []);
  const onKey = (event: KeyboardEvent) => {
    // The page has its own use for Escape.
    if (event.key === 'Escape') event.stopPropagation();
  };
  // Who lets go outside of it, after text was selected inside, clicks on both: that is no wish to close it.
  const pressed = useRef(false);
  const onDown = (event: PointerEvent) => { pressed.current = event.target === node.current; };
  const onClick = (event: MouseEvent) => { if (pressed.current && event.target === node.current) onClose(); };
  return (
    <dialog ref={node} class={`dialog ${name ?? ''}`} aria-labelledby={id} onCancel={(event) => { event.preventDefault(); onClose(); }} onKeyDown={onKey} onPointerDown={onDown} onClick={onClick}>
      <div class="dialog-body">
        <h2 id={id}>{title}</h2>
        {children}
      </div>
      <Toasts layer={id} />
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  text: string;
  action: string;
  danger?: boolean;
  busy?: boolean;
  fault?: string | null;
  onYes(): void;
  onNo(): void;
}

export function ConfirmDialog({ title, text, action, danger, busy, fault, onYes, onNo }: ConfirmProps) {
  return (
    <Dialog title={title} onClose={onNo}>
      <p>{text}</p>
      {fault && <p class="notice notice-bad" role="alert">{fault}</p>}
      <div class="dialog-buttons">
        <button type="button" class="button" onClick={onNo}>{strings.cancel}</button>
        <button type="button" class={danger ? 'button button-danger' : 'button button-main'} aria-disabled={busy} onClick={() => { if (!busy) onYes(); }}>{action}</button>
      </div>
    </Dialog>
  );
}
