// Part of the service worker: keeps the files of the page, so that it opens without a network, too. The page is asked of
// the server first, and what is kept is always one page with just the files that it names. Nothing else is kept here:
// calls, files of messages and pages of the API are not even looked at.
(() => {
  const scope = new URL(self.registration.scope);
  const KIND = 'sentinel-shell ';
  /** Another number for each change of what is in it. An origin may have several clients, each below its own path. */
  const NAME = `${KIND}1 ${scope.pathname}`;
  const at = (path) => new URL(path, scope).href;
  const PAGE = at('./');
  /** Beside those with the hash of their content in their names, which the page names. */
  const FILES = ['reload.js', 'icon.svg', 'manifest.webmanifest'];
  /** For so long a network that answers nothing is waited for, when there is something to show without it. */
  const PATIENCE_MS = 4_000;

  /** What is kept under an address. A store that is damaged has nothing: the page must open from the server then. */
  const kept = (url) => caches.open(NAME).then((cache) => cache.match(url, { ignoreVary: true })).catch(() => undefined);

  /** Keeps a page with all its files, or leaves what is kept as it is: while a server is updated, not all may be there. */
  async function keep(page) {
    // One that was redirected can't be shown as this one later.
    if (!page.ok || page.redirected) return;
    const text = await page.clone().text();
    const hashed = [...text.matchAll(/"(?:\.?\/)?(assets\/[^"]+)"/g)].map(([, path]) => at(path));
    // It is another page: of a network that wants a log-in, say.
    if (hashed.length === 0) return;
    const cache = await caches.open(NAME);
    const known = (await cache.keys()).map(({ url }) => url);
    await Promise.all([cache.addAll(hashed.filter((url) => !known.includes(url))), cache.addAll(FILES.map(at))]);
    await cache.put(PAGE, page);
    const wanted = [PAGE, ...hashed, ...FILES.map(at)];
    await Promise.all(known.filter((url) => !wanted.includes(url)).map((url) => cache.delete(url)));
  }

  /** The server's page; what is kept where there is none, or none in time, or the server is in trouble. */
  async function newest(asked) {
    const copy = await kept(PAGE);
    if (!copy) return asked;
    const late = new Promise((resolve) => { setTimeout(resolve, PATIENCE_MS); });
    const answer = await Promise.race([asked.catch(() => undefined), late]);
    return answer && answer.status < 500 ? answer : copy;
  }

  function page(event) {
    const asked = fetch(event.request);
    event.waitUntil(asked.then((answer) => keep(answer.clone())).catch(() => undefined));
    return newest(asked);
  }

  self.addEventListener('install', (event) => {
    // Without them the rest of the worker works, too; they are kept when the page is opened next.
    event.waitUntil(fetch(PAGE, { headers: { Accept: 'text/html' } }).then(keep).catch(() => undefined));
  });

  self.addEventListener('activate', (event) => {
    const old = (name) => name.startsWith(KIND) && name.endsWith(` ${scope.pathname}`) && name !== NAME;
    event.waitUntil(caches.keys().then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name)))));
  });

  self.addEventListener('fetch', (event) => {
    const { request } = event;
    const url = new URL(request.url);
    if (request.method !== 'GET' || url.origin !== scope.origin || !url.pathname.startsWith(scope.pathname)) return;
    const path = url.pathname.slice(scope.pathname.length);
    if (request.mode === 'navigate') {
      if (path === '' || path === 'index.html') event.respondWith(page(event));
    } else if (path.startsWith('assets/') || FILES.includes(path)) {
      // They are renewed with the page.
      event.respondWith(kept(request.url).then((copy) => copy ?? fetch(request)));
    }
  });
})();
