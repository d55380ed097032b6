import { afterEach, beforeEach, expect, test, vi } from 'vitest';

/** What `open` of the browser's store answers, one after another: an error by its name, or a store. */
let answers: (string | 'works')[];
let kept: Map<string, unknown>;
let opened: { onversionchange?: (event: { newVersion: number | null }) => void; close(): void }[];
const reload = vi.fn();

function request<T extends object>(fields: T, event: string) {
  const made = fields as T & Record<string, (() => void) | undefined>;
  queueMicrotask(() => made[event]?.());
  return made;
}
function store() {
  const transaction = {
    commit: () => undefined,
    objectStore: () => ({
      put: (value: unknown, key: string) => void kept.set(key, value),
      get: (key: string) => request({ result: kept.get(key) }, 'onsuccess'),
    }),
  };
  return { transaction: () => request({ ...transaction }, 'oncomplete'), close: vi.fn() };
}
vi.stubGlobal('indexedDB', {
  open: () => {
    const answer = answers.shift() ?? 'works';
    if (answer !== 'works') return request({ error: new DOMException('', answer) }, 'onerror');
    opened.push(store());
    return request({ result: opened.at(-1) }, 'onsuccess');
  },
});
vi.stubGlobal('location', { reload });
const session = new Map<string, string>();
vi.stubGlobal('sessionStorage', { getItem: (key: string) => session.get(key) ?? null, setItem: (key: string, value: string) => session.set(key, value) });

/** The module as a page has it that was just loaded. */
async function page() {
  vi.resetModules();
  return import('../src/idb/database');
}

beforeEach(() => {
  answers = [];
  kept = new Map();
  opened = [];
  session.clear();
  reload.mockReset();
  vi.spyOn(console, 'warn').mockImplementation(() => undefined);
});
afterEach(() => { vi.restoreAllMocks(); });

test('a store that can’t be opened at once is tried again before anything is kept in memory only', async () => {
  answers = ['UnknownError'];
  const database = await page();
  await database.put('session', 'current', { user_id: 'a' });
  expect(kept.get('current')).toEqual({ user_id: 'a' });
  expect(database.failed()).toBe(false);
});

test('without a store the page works, and knows that nothing is to be concluded from what is missing', async () => {
  answers = ['InvalidStateError', 'InvalidStateError'];
  const database = await page();
  await database.put('meta', 'x', 1);
  expect(await database.get('meta', 'x')).toBe(1);
  expect(kept.size).toBe(0);
  expect(database.failed()).toBe(true);
});

test('a store of a newer version has the page loaded anew, but not for ever', async () => {
  for (const times of [1, 1]) {
    answers = ['VersionError', 'VersionError'];
    const database = await page();
    await database.get('meta', 'x');
    expect(reload).toHaveBeenCalledTimes(times);
  }
});

test('a newer version in another tab does so too; a store that is removed is opened anew', async () => {
  const database = await page();
  await database.put('meta', 'x', 1);
  opened[0]!.onversionchange!({ newVersion: null });
  expect(opened[0]!.close).toHaveBeenCalled();
  expect(reload).not.toHaveBeenCalled();
  await database.put('meta', 'x', 2);
  expect([opened.length, kept.get('x')]).toEqual([2, 2]);
  opened[1]!.onversionchange!({ newVersion: 3 });
  expect(reload).toHaveBeenCalledOnce();
});
