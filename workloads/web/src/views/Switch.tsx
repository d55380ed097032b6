// Something that is on or off.
import { useId } from 'preact/hooks';

interface SwitchProps {
  label: string;
  hint?: string;
  on: boolean;
  disabled?: boolean;
  onChange(on: boolean): void;
}

export function Switch({ label, hint, on, disabled = false, onChange }: SwitchProps) {
  const id = useId();
  return (
    <label class="switch">
      <span class="switch-text">
        {label}
        {hint && <span class="hint" id={id}>{hint}</span>}
      </span>
      <input type="checkbox" role="switch" checked={on} disabled={disabled} aria-label={label} aria-describedby={hint ? id : undefined} onChange={(event) => onChange(event.currentTarget.checked)} />
    </label>
  );
}
