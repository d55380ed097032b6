// @ts-expect-error The page has no types of Node.js.
import { readFileSync } from 'node:fs';
// @ts-expect-error
import { runInNewContext } from 'node:vm';
import { beforeEach, expect, test } from 'vitest';
import { CHAT } from './sample';

const script = readFileSync(new URL('../public/sw.js', import.meta.url), 'utf8');
const SCOPE = 'https://chat.example.test/team/';

type Page = ReturnType<typeof pageAt>;
/** What happened, in the order in which it did. */
let seen: unknown[];
let pages: Page[];
const pageAt = (name: string, focused: boolean, path = '#/settings') => ({
  focused,
  url: SCOPE + path,
  focus: async () => void seen.push(['focus', name]),
  navigate: async (url: string) => void seen.push(['navigate', name, url]),
  postMessage: (news: unknown) => void seen.push(['tell', name, news]),
});
const listeners: Record<string, (event: object) => void> = {};
runInNewContext(script, {
  importScripts: () => undefined,
  URL,
  self: {
    registration: { scope: SCOPE, showNotification: async (header: string, { tag, silent, renotify }: NotificationOptions & { renotify: boolean }) => void seen.push(['show', header, tag, { silent, renotify }]) },
    clients: { matchAll: async () => pages, openWindow: async (url: string) => void seen.push(['open', url]) },
    addEventListener: (name: string, listener: (event: object) => void) => { listeners[name] = listener; },
  },
});

async function fire(name: string, event: object = {}): Promise<void> {
  const left: Promise<unknown>[] = [];
  listeners[name]!({ ...event, waitUntil: (work: Promise<unknown>) => left.push(work) });
  await Promise.all(left);
}
const push = (pushed: () => unknown) => fire('push', { data: { json: pushed } });
const click = (data: object) => fire('notificationclick', { notification: { data, close: () => void seen.push(['close']) } });

beforeEach(() => {
  seen = [];
  pages = [];
});

test('each push is shown, under its chat, and heard each time; without a sound to who looks at a page, which is told', async () => {
  await push(() => ({ header: 'Bob', chat_id: CHAT }));
  pages = [pageAt('one', false), pageAt('two', true)];
  await push(() => ({ header: 'Bob', chat_id: CHAT }));
  expect(seen).toEqual([
    ['show', 'Bob', CHAT, { silent: false, renotify: true }], ['show', 'Bob', CHAT, { silent: true, renotify: false }],
    ['tell', 'one', { shown: CHAT }], ['tell', 'two', { shown: CHAT }],
  ]);
});

test('a push that says nothing is shown, too', async () => {
  await push(() => { throw new SyntaxError('no JSON'); });
  expect(seen).toEqual([['show', 'Sentinel', 'sentinel', { silent: false, renotify: true }]]);
});

test('who clicks gets the page that is open already, or a new one', async () => {
  await click({ chat_id: CHAT });
  pages = [pageAt('one', false), pageAt('two', false)];
  await click({ chat_id: null });
  expect(seen).toEqual([
    ['close'], ['open', `${SCOPE}#/chats/${CHAT}`], ['close'], ['focus', 'one'], ['navigate', 'one', `${SCOPE}#/notifications`],
  ]);
});

test('files and other pages of the same origin are none of the client', async () => {
  const others = [pageAt('a file', true, 'media/f/picture.png'), pageAt('the documentation', false, 'docs')];
  pages = [...others, pageAt('one', false, 'index.html#/')];
  await push(() => ({ header: 'Bob', chat_id: CHAT }));
  await click({ chat_id: CHAT });
  pages = others;
  await click({ chat_id: CHAT });
  const url = `${SCOPE}#/chats/${CHAT}`;
  expect(seen).toEqual([
    ['show', 'Bob', CHAT, { silent: false, renotify: true }], ['tell', 'one', { shown: CHAT }],
    ['close'], ['focus', 'one'], ['navigate', 'one', url], ['close'], ['open', url],
  ]);
});

test('pages hear of a subscription that has changed: the worker itself cannot tell the server', async () => {
  pages = [pageAt('one', false)];
  await fire('pushsubscriptionchange');
  expect(seen).toEqual([['tell', 'one', { subscription: 'changed' }]]);
});
