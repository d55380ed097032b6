// The service worker: shows what is pushed, and opens the chat when it is clicked. `shell.js` has the page open without a
// network; the chats are in IndexedDB.
importScripts('shell.js');

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

/** The client's pages; what else of this origin is open below it (a file, the documentation) does not listen. */
async function pages() {
  const { pathname } = new URL(self.registration.scope);
  const windows = await self.clients.matchAll({ type: 'window' });
  return windows.filter(({ url }) => [pathname, `${pathname}index.html`].includes(new URL(url).pathname));
}
const tell = async (news) => (await pages()).forEach((page) => page.postMessage(news));

self.addEventListener('push', (event) => {
  let pushed = {};
  try {
    pushed = event.data?.json() ?? {};
  } catch {
    // Something is shown for each push: a browser takes the permission away from who does not.
  }
  const { header = 'Sentinel', body = '', chat_id = null, notification_id = null } = pushed;
  async function show() {
    // Whoever looks at the page is told there.
    const silent = (await pages()).some((page) => page.focused);
    await self.registration.showNotification(header, {
      body,
      // The next of a chat takes the place of the last, and is heard like it.
      tag: chat_id ?? notification_id ?? 'sentinel',
      renotify: !silent,
      icon: 'icon.svg',
      data: { chat_id },
      silent,
    });
    await tell({ shown: chat_id });
  }
  event.waitUntil(show());
});

// Only a page has what the server asks for: one that is open, or the next that is opened (`session/push.ts`).
self.addEventListener('pushsubscriptionchange', (event) => event.waitUntil(tell({ subscription: 'changed' })));

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  const chat_id = event.notification.data?.chat_id;
  const url = new URL(chat_id ? `./#/chats/${encodeURIComponent(chat_id)}` : './#/notifications', self.registration.scope).href;
  async function open() {
    // The one that was looked at last is the first.
    const [page] = await pages();
    if (!page) return self.clients.openWindow(url);
    await page.focus();
    return page.navigate(url);
  }
  event.waitUntil(open());
});
