// A time of day. Browsers tell of every key that makes a whole time of it, so it is saved when the field is left.
import { useState } from 'preact/hooks';
import { minuteOf, timeText } from '../store/minutes';

export function TimeField({ minute, onSave }: { minute: number; onSave(minute: number): void }) {
  const [typed, setTyped] = useState<string | null>(null);
  const save = () => {
    const next = typed === null ? null : minuteOf(typed);
    setTyped(null);
    if (next !== null && next !== minute) onSave(next);
  };
  return (
    <input
      type="time" value={typed ?? timeText(minute)} onInput={(event) => setTyped(event.currentTarget.value)}
      onBlur={save} onKeyDown={(event) => { if (event.key === 'Enter') save(); }}
    />
  );
}
