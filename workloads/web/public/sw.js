// The service worker: shows what is pushed while no page is open, and opens the chat when it is clicked. `shell.js` has the
// page open without a network; the chats are in IndexedDB.
importScripts('shell.js');

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

self.addEventListener('push', (event) => {
  let pushed = {};
  try {
    pushed = event.data?.json() ?? {};
  } catch {
    // A browser demands that something is shown for each push.
  }
  const { header = 'Sentinel', body = '', chat_id = null, notification_id = null } = pushed;
  event.waitUntil(
    self.clients.matchAll({ type: 'window' }).then((pages) => {
      // Whoever looks at the page is told there.
      if (pages.some((page) => page.focused)) return undefined;
      return self.registration.showNotification(header, {
        body,
        tag: chat_id ?? notification_id ?? 'sentinel',
        icon: 'icon.svg',
        data: { chat_id },
      });
    }),
  );
});

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  const chat_id = event.notification.data?.chat_id;
  const url = new URL(chat_id ? `./#/chats/${encodeURIComponent(chat_id)}` : './#/notifications', self.registration.scope).href;
  event.waitUntil(
    self.clients.matchAll({ type: 'window' }).then(async (pages) => {
      const page = pages[0];
      if (!page) return self.clients.openWindow(url);
      await page.focus();
      return page.navigate(url);
    }),
  );
});
