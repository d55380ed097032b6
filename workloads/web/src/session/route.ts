// Where in the client one is. Kept behind the `#`, so that any server of files will do and the way back works.
import { signal } from '@preact/signals';

export type Route =
  | { view: 'chats' }
  | { view: 'chat'; chat_id: string; message_id: string | null }
  | { view: 'settings' }
  | { view: 'notifications' }
  | { view: 'register' }
  | { view: 'forgot' }
  /** What links in mails lead to. */
  | { view: 'reset-password' | 'verify-email'; token: string };

const MAILED = /^#(reset-password|verify-email)=(.+)$/;

export function parse(hash: string): Route {
  const mailed = MAILED.exec(hash);
  if (mailed) return { view: mailed[1] as 'reset-password' | 'verify-email', token: mailed[2] ?? '' };
  const [first, second, third, fourth] = hash.replace(/^#\/?/, '').split('/');
  if (first === 'chats' && second) return { view: 'chat', chat_id: second, message_id: third === 'at' && fourth ? fourth : null };
  if (first === 'settings') return { view: 'settings' };
  if (first === 'notifications') return { view: 'notifications' };
  if (first === 'register' || first === 'forgot') return { view: first };
  return { view: 'chats' };
}

export function hashOf(route: Route): string {
  switch (route.view) {
    case 'chat': return `#/chats/${route.chat_id}${route.message_id ? `/at/${route.message_id}` : ''}`;
    case 'chats': return '#/';
    case 'reset-password':
    case 'verify-email': return `#${route.view}=${route.token}`;
    default: return `#/${route.view}`;
  }
}

/** Whether a mail has led here: that is for whoever opened it, logged in or not. */
export const isMailed = (at: Route): boolean => at.view === 'reset-password' || at.view === 'verify-email';

/** Where in the list one goes on who has come back to it: what one had chosen from it. */
export function cameFrom(left: Route): string | null {
  if (left.view === 'chat') return `[data-chat="${CSS.escape(left.chat_id)}"]`;
  return left.view === 'settings' || left.view === 'notifications' ? `.sidebar-head a[href="${hashOf(left)}"]` : null;
}

export const route = signal<Route>(typeof location === 'undefined' ? { view: 'chats' } : parse(location.hash));

export function go(to: Route, replace = false): void {
  const hash = hashOf(to);
  // The same place again (a hit that was jumped to before) must also take effect.
  if (location.hash === hash) route.value = parse(hash);
  else if (replace) location.replace(hash);
  else location.hash = hash;
}

export function startRouting(): void {
  window.addEventListener('hashchange', () => { route.value = parse(location.hash); });
}
