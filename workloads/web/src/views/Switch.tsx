// Something that is on or off.
import { useId, useRef, useState } from 'preact/hooks';

interface SwitchProps {
  label: string;
  hint?: string;
  on: boolean;
  disabled?: boolean;
  /** What it gives is awaited: until then the switch stays where it was put, and then it is as `on` says. */
  onChange(on: boolean): void | Promise<unknown>;
}

export function Switch({ label, hint, on, disabled = false, onChange }: SwitchProps) {
  const id = useId();
  const [wanted, setWanted] = useState<boolean | null>(null);
  const last = useRef(0);
  async function change(to: boolean) {
    const saved = onChange(to);
    if (!saved) return;
    last.current += 1;
    const mine = last.current;
    setWanted(to);
    try {
      await saved;
    } finally {
      // It may have been turned again meanwhile.
      if (mine === last.current) setWanted(null);
    }
  }
  return (
    <label class="switch">
      <span class="switch-text">
        {label}
        {hint && <span class="hint" id={id}>{hint}</span>}
      </span>
      <input
        type="checkbox" role="switch" checked={wanted ?? on} disabled={disabled} aria-busy={wanted !== null} aria-label={label} aria-describedby={hint ? id : undefined}
        onChange={(event) => void change(event.currentTarget.checked)}
      />
    </label>
  );
}
