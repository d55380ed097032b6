/// <reference types="vitest/config" />
// How the client is built, and how `npm run dev` and `npm run preview` reach a server.
import { defineConfig } from 'vite';

const server = (globalThis as { process?: { env: Record<string, string | undefined> } }).process?.env.SENTINEL_URL ?? 'http://127.0.0.1:8080';

/** Everything that is the server's. A page that is asked for (`Accept: text/html`) is the client's. */
const paths = [
  '/.well-known', '/register', '/login', '/logout', '/token', '/sessions', '/password', '/me', '/users', '/user',
  '/update-last-active', '/blocks', '/sync', '/search', '/notifications', '/media', '/openapi.json', '/reports', '/email',
];
const proxy = {
  ...Object.fromEntries(paths.map((path) => [`^${path.replaceAll('.', '\\.')}(/|\\?|$)`, { target: server }])),
  '^/socket\\.io/': { target: server, ws: true },
};

export default defineConfig({
  // Relative to the page, so that the client also works below a path.
  base: './',
  resolve: { alias: {} },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2022',
    // Nothing inline: the page's Content-Security-Policy allows files of its own origin only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
    reportCompressedSize: false,
  },
  server: { proxy, strictPort: true },
  preview: {
    proxy,
    strictPort: true,
    // What the platform sends (workloads/sentinel/src/web/policy.rs), so that a violation shows before it is shipped.
    headers: {
      'Content-Security-Policy':
        "default-src 'self'; connect-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    },
  },
  test: { include: ['test/**/*.test.ts'], environment: 'node' },
});
