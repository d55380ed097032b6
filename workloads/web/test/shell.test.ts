// @ts-expect-error The page has no types of Node.js.
import { readFileSync } from 'node:fs';
// @ts-expect-error
import { runInNewContext } from 'node:vm';
import { beforeEach, expect, test, vi } from 'vitest';

const script = readFileSync(new URL('../public/shell.js', import.meta.url), 'utf8');
const SCOPE = 'https://chat.example.test/team/';
const at = (path: string) => new URL(path, SCOPE).href;
const pageOf = (hash: string) => `<script type="module" src="./assets/index-${hash}.js"></script><link href="./assets/style-${hash}.css">`;

/** What the server has, by address; without an entry there is none, and `null` is a network that never answers. */
let server: Map<string, string | null>;
let trouble: number | null;
const stores = new Map<string, Map<string, Response>>();

async function fetched(asked: string | { url: string }): Promise<Response> {
  const url = typeof asked === 'string' ? asked : asked.url;
  if (server.size === 0) throw new TypeError('Failed to fetch');
  if (trouble) return new Response('in trouble', { status: trouble });
  const text = server.get(url);
  if (text === null) return new Promise(() => undefined);
  return text === undefined ? new Response('', { status: 404 }) : new Response(text);
}

const cacheOf = (name: string) => {
  const store = stores.get(name) ?? new Map<string, Response>();
  stores.set(name, store);
  return {
    match: async (url: string) => store.get(url)?.clone(),
    keys: async () => [...store.keys()].map((url) => ({ url })),
    put: async (url: string, answer: Response) => void store.set(url, answer),
    delete: async (url: string) => store.delete(url),
    addAll: async (urls: string[]) => {
      const answers = await Promise.all(urls.map((url) => fetched(url)));
      if (answers.some(({ ok }) => !ok)) throw new TypeError('not all are there');
      answers.forEach((answer, n) => store.set(urls[n]!, answer));
    },
  };
};
const caches = {
  open: async (name: string) => cacheOf(name),
  keys: async () => [...stores.keys()],
  delete: async (name: string) => stores.delete(name),
};

/** A worker that has just been started. */
function worker() {
  const listeners: Record<string, (event: object) => void> = {};
  runInNewContext(script, {
    self: { registration: { scope: SCOPE }, addEventListener: (name: string, listener: (event: object) => void) => { listeners[name] = listener; } },
    caches, fetch: fetched, URL, Promise, setTimeout: (act: () => void, ms: number) => setTimeout(act, ms),
  });
  /** Fires an event; gives the answer to it, if the worker has one, once nothing of it is left to do. */
  async function fire(name: string, request: object = {}): Promise<Response | undefined> {
    const left: Promise<unknown>[] = [];
    let answer: Promise<Response> | undefined;
    listeners[name]!({ request, waitUntil: (work: Promise<unknown>) => left.push(work), respondWith: (given: Promise<Response>) => { answer = given; } });
    const given = await answer;
    await Promise.race([Promise.all(left), new Promise((resolve) => setTimeout(resolve, 20))]);
    return given;
  }
  const get = async (path: string, more: object = {}) => (await fire('fetch', { method: 'GET', mode: 'cors', url: at(path), ...more }))?.text();
  return { fire, get, opened: () => get('', { mode: 'navigate' }) };
}

/** A server that has the client of this build. */
const build = (hash: string): Map<string, string | null> => new Map([
  [at('./'), pageOf(hash)], [at(`assets/index-${hash}.js`), `script ${hash}`], [at(`assets/style-${hash}.css`), `style ${hash}`],
  ...['reload.js', 'icon.svg', 'manifest.webmanifest'].map((name): [string, string] => [at(name), `${name} ${hash}`]),
]);
const keptUrls = () => [...stores.values()].flatMap((store) => [...store.keys()]).sort();

beforeEach(() => {
  vi.useRealTimers();
  stores.clear();
  trouble = null;
  server = build('one');
});

test('the page and its files are there without a network, from the first visit on', async () => {
  await worker().fire('install');
  server = new Map();
  const later = worker();
  expect(await later.opened()).toBe(pageOf('one'));
  expect(await later.get('assets/index-one.js')).toBe('script one');
  expect(await later.get('reload.js')).toBe('reload.js one');
});

test('a damaged store of the browser is no reason not to open', async () => {
  const open = vi.spyOn(caches, 'open').mockRejectedValue(new DOMException('Internal error.', 'UnknownError'));
  const broken = worker();
  expect(await broken.opened()).toBe(pageOf('one'));
  expect(await broken.get('assets/index-one.js')).toBe('script one');
  open.mockRestore();
});

test('with a network the page is the server’s, and what is kept is that of its build alone', async () => {
  const one = worker();
  await one.fire('install');
  server = build('two');
  expect(await one.opened()).toBe(pageOf('two'));
  expect(keptUrls()).toEqual([...build('two').keys()].sort());
  server = new Map();
  expect(await one.opened()).toBe(pageOf('two'));
  expect(await one.get('assets/style-two.css')).toBe('style two');
});

test('while a server is updated, a page without its files takes the place of none', async () => {
  const one = worker();
  await one.fire('install');
  server = build('two');
  server.delete(at('assets/index-two.js'));
  expect(await one.opened()).toBe(pageOf('two'));
  server = new Map();
  expect(await one.opened()).toBe(pageOf('one'));
  expect(await one.get('assets/index-one.js')).toBe('script one');
});

test('a server in trouble, and a network that answers nothing, are as none', async () => {
  const one = worker();
  await one.fire('install');
  trouble = 503;
  expect(await one.opened()).toBe(pageOf('one'));
  trouble = null;
  server.set(at('./'), null);
  vi.useFakeTimers();
  const opened = one.opened();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(await opened).toBe(pageOf('one'));
});

test('a page of somebody else is shown and not kept', async () => {
  const one = worker();
  await one.fire('install');
  server.set(at('./'), 'log in to this network');
  expect(await one.opened()).toBe('log in to this network');
  server = new Map();
  expect(await one.opened()).toBe(pageOf('one'));
});

test('calls, files of messages and other pages are left to the browser', async () => {
  const one = worker();
  await one.fire('install');
  const before = keptUrls();
  for (const [path, more] of [
    ['users/chat', {}], ['media/7', {}], ['socket.io/?EIO=4&transport=polling', {}], ['login', { method: 'POST' }],
    ['docs', { mode: 'navigate' }], ['../other/assets/x.js', {}], ['https://elsewhere.test/team/assets/x.js', {}],
  ] as const) {
    expect(await one.get(path, more), path).toBeUndefined();
  }
  expect(keptUrls()).toEqual(before);
});

test('what an older worker kept goes, and what belongs to another path stays', async () => {
  for (const name of ['sentinel-shell 0 /team/', 'sentinel-shell 0 /', 'something else']) cacheOf(name);
  const one = worker();
  await one.fire('install');
  await one.fire('activate');
  expect([...stores.keys()].sort()).toEqual(['sentinel-shell 0 /', 'sentinel-shell 1 /team/', 'something else']);
});
