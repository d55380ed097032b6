import './page';
import { expect, test } from 'vitest';
import { strings } from '../src/i18n/en';
import { shortcutOf, type Shortcut } from '../src/views/shortcuts';

/** The keys as one writes them: `ctrl+shift+F`. */
function pressed(keys: string) {
  const parts = keys.split('+');
  const has = (name: string) => parts.includes(name);
  return { key: parts.at(-1)!, ctrlKey: has('ctrl'), metaKey: has('meta'), altKey: has('alt'), shiftKey: has('shift') };
}
const APPLE = true;

test.each<[string, boolean, boolean, Shortcut | null]>([
  ['ctrl+k', !APPLE, true, 'people'],
  ['meta+k', APPLE, true, 'people'],
  // Deletes to the end of the line.
  ['ctrl+k', APPLE, true, null],
  ['ctrl+shift+F', !APPLE, true, 'messages'],
  ['meta+shift+f', APPLE, true, 'messages'],
  // Selects the next character.
  ['ctrl+shift+F', APPLE, true, null],
  ['ctrl+f', !APPLE, false, null],
  ['meta+f', APPLE, false, null],
  ['alt+ArrowUp', !APPLE, true, 'previous'],
  ['alt+ArrowDown', !APPLE, false, 'next'],
  ['alt+ArrowDown', APPLE, false, 'next'],
  // Goes to the beginning or the end of a paragraph, or selects up to there.
  ['alt+ArrowUp', APPLE, true, null],
  ['alt+shift+ArrowUp', APPLE, true, null],
  ['alt+shift+ArrowDown', !APPLE, true, null],
  ['alt+shift+ArrowDown', APPLE, false, null],
  ['ctrl+alt+ArrowUp', !APPLE, false, null],
  ['Escape', APPLE, true, 'back'],
  ['k', !APPLE, false, null],
])('%s, on a device of Apple’s: %s, while one writes: %s', (keys, apple, writes, what) => {
  expect(shortcutOf(pressed(keys), writes, apple)).toBe(what);
});

test('the list of keys has the signs of the keyboard', () => {
  const keys = (apple: boolean) => strings.shortcuts(apple).map(([signs]) => signs);
  expect(keys(APPLE).slice(0, 3)).toEqual(['⌘ K', '⇧ ⌘ F', '⌥ ↑ ↓']);
  expect(keys(!APPLE).slice(0, 3)).toEqual(['Ctrl K', 'Ctrl Shift F', 'Alt ↑ ↓']);
});
