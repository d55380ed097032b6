// @ts-expect-error The page has no types of Node.js.
import { readFileSync } from 'node:fs';
// @ts-expect-error
import { runInNewContext } from 'node:vm';
import { beforeEach, expect, test, vi } from 'vitest';

const script = readFileSync(new URL('../public/reload.js', import.meta.url), 'utf8');
const kept = new Map<string, string>();
const reload = vi.fn();

/** Loads the page; gives how to tell it that something could not be loaded, or that all could. */
function page() {
  const listeners: Record<string, (event: object) => void> = {};
  runInNewContext(script, {
    window: { addEventListener: (name: string, listener: (event: object) => void) => { listeners[name] = listener; } },
    document: { querySelector: () => ({}) },
    location: { reload },
    setTimeout: (act: () => void) => act(),
    sessionStorage: { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => kept.set(key, value), removeItem: (key: string) => kept.delete(key) },
  });
  return { misses: (target: object) => listeners.error!({ target }), loads: () => listeners.load!({}) };
}
const SCRIPT = { tagName: 'SCRIPT' };

beforeEach(() => {
  kept.clear();
  reload.mockReset();
});

test('a page whose script or style is not there is loaded again, once for both', () => {
  const first = page();
  first.misses({ tagName: 'LINK', rel: 'stylesheet' });
  first.misses(SCRIPT);
  expect(reload).toHaveBeenCalledOnce();
});

test('but not for ever, and anew after it was there', () => {
  for (let time = 0; time < 9; time += 1) page().misses(SCRIPT);
  expect(reload).toHaveBeenCalledTimes(3);
  page().loads();
  page().misses(SCRIPT);
  expect(reload).toHaveBeenCalledTimes(4);
});

test('a picture that is not there, or a fault of the page, is no reason', () => {
  const opened = page();
  opened.misses({ tagName: 'IMG' });
  opened.misses({ tagName: 'LINK', rel: 'icon' });
  opened.misses({});
  expect(reload).not.toHaveBeenCalled();
});
