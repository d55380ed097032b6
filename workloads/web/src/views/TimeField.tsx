// A time of day. Browsers tell of every key that makes a whole time of it, so it is saved when the field is left.
import { useRef, useState } from 'preact/hooks';
import { minuteOf, timeText } from '../store/minutes';

export function TimeField({ minute, onSave }: { minute: number; onSave(minute: number): Promise<unknown> }) {
  const [typed, setTyped] = useState<string | null>(null);
  /** What is being saved: until then the field shows it, and leaving it saves it no second time. */
  const saving = useRef<string | null>(null);
  const save = async () => {
    if (typed === null || typed === saving.current) return;
    const next = minuteOf(typed);
    if (next !== null && next !== minute) {
      saving.current = typed;
      await onSave(next);
      if (saving.current === typed) saving.current = null;
    }
    // It may have been written in again meanwhile.
    setTyped((now) => (now === typed ? null : now));
  };
  return (
    <input
      type="time" value={typed ?? timeText(minute)} onInput={(event) => setTyped(event.currentTarget.value)}
      onBlur={() => void save()} onKeyDown={(event) => { if (event.key === 'Enter') void save(); }}
    />
  );
}
