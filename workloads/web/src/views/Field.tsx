// A labelled input with a hint, which gives way to what is wrong with it.
import type { ComponentChildren } from 'preact';

interface FieldProps {
  name: string;
  label: string;
  hint?: string | undefined;
  fault?: string | undefined;
  children: ComponentChildren;
}

export function Field({ name, label, hint, fault, children }: FieldProps) {
  return (
    <div class="field">
      <label for={name}>{label}</label>
      {children}
      <p id={`${name}-hint`} class={fault ? 'hint hint-bad' : 'hint'} role={fault ? 'alert' : undefined}>{fault || hint || ''}</p>
    </div>
  );
}
