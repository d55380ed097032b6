// What modules of the page need of a browser when they are loaded.
import { vi } from 'vitest';

const listeners = new Map<string, Set<(event: { type: string }) => void>>();

/** The window, as a test can have something happen to it. */
export const page = {
  addEventListener: (name: string, listener: () => void) => void listeners.set(name, (listeners.get(name) ?? new Set()).add(listener)),
  removeEventListener: (name: string, listener: () => void) => void listeners.get(name)?.delete(listener),
  fire: (type: string, event = { type }) => listeners.get(type)?.forEach((listener) => listener(event)),
  isSecureContext: false,
};

vi.stubGlobal('document', {
  baseURI: 'http://chat.example.test/', visibilityState: 'visible', hasFocus: () => true, addEventListener: () => undefined, removeEventListener: () => undefined,
});
vi.stubGlobal('window', page);
vi.stubGlobal('navigator', { onLine: true });
