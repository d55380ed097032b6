// Keys that work everywhere, and what they are for.

export type Shortcut = 'people' | 'messages' | 'previous' | 'next' | 'back';

type Keys = Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'altKey' | 'shiftKey'>;

/** Whether this is a device of Apple's, where Command is what Ctrl is elsewhere. */
export const apple = /^(Mac|iPhone|iPad|iPod)/.test(navigator.platform ?? '');

/** What somebody wants who presses these keys; `writes` while something is being written. On Apple's devices Ctrl with letters, and
 * Option with arrows, move through a text: there they are the text's. */
export function shortcutOf({ key: pressed, ctrlKey, metaKey, altKey, shiftKey }: Keys, writes: boolean, onApple = apple): Shortcut | null {
  const key = pressed.toLowerCase();
  const command = onApple ? metaKey && !ctrlKey : ctrlKey || metaKey;
  if (command && !altKey && key === 'k') return 'people';
  if (command && shiftKey && key === 'f') return 'messages';
  if (altKey && !shiftKey && !ctrlKey && !metaKey && !(onApple && writes)) {
    if (key === 'arrowup') return 'previous';
    if (key === 'arrowdown') return 'next';
  }
  return key === 'escape' ? 'back' : null;
}

/** Whether what has the focus takes text. */
export const isWritten = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || target.matches('input, textarea, select'));
