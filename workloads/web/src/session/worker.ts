// The service worker (`public/sw.js`): it has the page open without a network, and shows what is pushed.
import { base } from '../api/http';

/** Whether the browser has any for this page. */
export const workable = (): boolean => window.isSecureContext && 'serviceWorker' in navigator;

/** Starts it, or asks for a newer one. */
export function register(): Promise<ServiceWorkerRegistration> {
  return navigator.serviceWorker.register(new URL('sw.js', base), { scope: base.pathname, updateViaCache: 'none' });
}

/** Has the page open without a network from now on. Files that change while one looks, as in development, are not kept. */
export function startWorker(): void {
  if (import.meta.env.DEV || !workable()) return;
  register().catch((error: unknown) => console.warn('the page will not open without a network', error));
}
