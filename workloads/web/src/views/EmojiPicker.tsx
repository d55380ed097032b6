// A small choice of emoji; the system's own keyboard has the rest.
import { useEffect, useRef, useState } from 'preact/hooks';
import { strings } from '../i18n/en';
import { SmileIcon } from './icons';

const EMOJI = '😀 😄 😅 😂 🙂 😉 😊 😍 😘 😎 🤔 😐 🙄 😴 😢 😭 😡 😱 🤗 🤷 👍 👎 👌 🙏 👏 🙌 💪 👋 ✌️ 🤝 ❤️ 💛 💚 💙 💔 🔥 ✨ 🎉 🎂 🎁 ☕ 🍕 🌞 🌧️ ⏰ 📌 ✅ ❌'.split(' ');
const COLUMNS = 8;

export function EmojiPicker({ onPick }: { onPick(emoji: string): void }) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!open) return undefined;
    box.current?.querySelector<HTMLElement>('.emoji')?.focus();
    const outside = (event: Event) => { if (!box.current?.contains(event.target as Node)) setOpen(false); };
    document.addEventListener('pointerdown', outside);
    return () => document.removeEventListener('pointerdown', outside);
  }, [open]);

  const onKey = (event: KeyboardEvent) => {
    if (!open || !box.current) return;
    if (event.key === 'Escape') {
      event.preventDefault();
      event.stopPropagation();
      setOpen(false);
      button.current?.focus();
      return;
    }
    const all = [...box.current.querySelectorAll<HTMLElement>('.emoji')];
    const at = all.indexOf(document.activeElement as HTMLElement);
    const onward = getComputedStyle(box.current).direction === 'rtl' ? -1 : 1;
    const by = { ArrowRight: onward, ArrowLeft: -onward, ArrowDown: COLUMNS, ArrowUp: -COLUMNS }[event.key];
    if (at === -1 || by === undefined) return;
    event.preventDefault();
    all[at + by]?.focus();
  };
  const onLeave = (event: FocusEvent) => {
    if (event.relatedTarget instanceof Node && !box.current?.contains(event.relatedTarget)) setOpen(false);
  };
  return (
    <div class="menu" ref={box} onKeyDown={onKey} onFocusOut={onLeave}>
      <button ref={button} type="button" class="icon-button" aria-haspopup="true" aria-expanded={open} aria-label={strings.insertEmoji} title={strings.insertEmoji} onClick={() => setOpen(!open)}><SmileIcon /></button>
      {open && (
        <div class="emoji-grid" role="group" aria-label={strings.emoji}>
          {EMOJI.map((emoji, index) => (
            <button key={emoji} type="button" class="emoji" tabIndex={index === 0 ? 0 : -1} onClick={() => { setOpen(false); onPick(emoji); }}>{emoji}</button>
          ))}
        </div>
      )}
    </div>
  );
}
