// What modules of the page need of a browser when they are loaded.
import { vi } from 'vitest';

vi.stubGlobal('document', {
  baseURI: 'http://chat.example.test/', visibilityState: 'visible', hasFocus: () => true, addEventListener: () => undefined, removeEventListener: () => undefined,
});
vi.stubGlobal('window', { addEventListener: () => undefined, removeEventListener: () => undefined, isSecureContext: false });
vi.stubGlobal('navigator', { onLine: true });
