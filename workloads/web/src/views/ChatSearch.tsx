// Finds messages of one chat.
import { useLayoutEffect, useRef } from 'preact/hooks';
import { strings } from '../i18n/en';
import { composes } from './composing';
import { firstResult } from './roving';
import { SearchResultsList } from './SearchResultsList';

interface ChatSearchProps {
  chat_id: string;
  name: string;
  text: string;
  onText(text: string): void;
  onClose(): void;
}

export function ChatSearch({ chat_id, name, text, onText, onClose }: ChatSearchProps) {
  const box = useRef<HTMLDivElement>(null);
  const field = useRef<HTMLInputElement>(null);
  // Before the next key comes.
  useLayoutEffect(() => {
    const before = document.activeElement;
    field.current?.focus();
    // Unless a message that was found has it by then.
    return () => void setTimeout(() => { if (document.activeElement === document.body && before instanceof HTMLElement) before.focus(); });
  }, []);
  const onKey = (event: KeyboardEvent) => {
    if (composes(event)) return;
    if (event.key === 'Escape') {
      event.preventDefault();
      event.stopPropagation();
      onClose();
    } else if (event.target === field.current && (event.key === 'ArrowDown' || event.key === 'Enter')) {
      const hit = firstResult(box.current, '[data-testid=hit]');
      if (!hit) return;
      event.preventDefault();
      if (event.key === 'Enter') hit.click();
      else hit.focus();
    }
  };
  return (
    <div class="chat-search" role="search" ref={box} onKeyDown={onKey}>
      <input ref={field} type="search" aria-label={strings.searchHere} placeholder={strings.searchHere} value={text} autocomplete="off" dir="auto" onInput={(event) => onText(event.currentTarget.value)} />
      {text !== '' && <SearchResultsList text={text} chat_id={chat_id} name={name} onChosen={onClose} />}
    </div>
  );
}
