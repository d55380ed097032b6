// What is kept in this browser: the session, chats and messages that were seen, messages not yet sent, and drafts. Where
// IndexedDB can't be used (some private windows), the same lives in memory until the page is closed.

export type Store = 'session' | 'chats' | 'messages' | 'outbox' | 'drafts' | 'meta';
const STORES: readonly Store[] = ['session', 'chats', 'messages', 'outbox', 'drafts', 'meta'];
const NAME = 'sentinel';
/** Another one for each change of `STORES`. */
const VERSION = 2;

/** A store that is busy is there a moment later; after this nobody waits for it any more. */
const AGAIN_MS = 200;
const BLOCKED_MS = 5_000;
/** How often at most the page is loaded anew because its store belongs to a newer one. */
const RELOAD_MS = 60_000;
const RELOADED = 'sentinel-store-reloaded';

let opening: Promise<IDBDatabase | null> | null = null;
let inMemory = false;
const memory = new Map<Store, Map<string, unknown>>(STORES.map((store) => [store, new Map()]));

/** Whether the browser's store did not work, so that what it held before may be missing here. */
export const failed = (): boolean => inMemory;

function open(): Promise<IDBDatabase | null> {
  if (typeof indexedDB === 'undefined') inMemory = true;
  if (inMemory) return Promise.resolve(null);
  opening ??= openOnce()
    .catch(async (error: unknown) => {
      if (isNewer(error)) reload();
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      return openOnce();
    })
    .catch((error: unknown) => {
      console.warn('the browser keeps nothing of this page', error);
      inMemory = true;
      return null;
    });
  return opening;
}

const isNewer = (error: unknown): boolean => error instanceof DOMException && error.name === 'VersionError';

/** The store belongs to a newer version of the page: this one is loaded anew, which is the newer one then. */
function reload(): void {
  try {
    if (Date.now() - Number(sessionStorage.getItem(RELOADED)) < RELOAD_MS) return;
    sessionStorage.setItem(RELOADED, String(Date.now()));
  } catch {
    // Nothing could keep it from being loaded again and again.
    return;
  }
  location.reload();
}

function openOnce(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      for (const store of STORES) {
        if (!request.result.objectStoreNames.contains(store)) request.result.createObjectStore(store);
      }
    };
    request.onsuccess = () => {
      const database = request.result;
      // A newer version of the page in another tab must not wait for this one.
      database.onversionchange = (event) => {
        database.close();
        opening = null;
        if (event.newVersion !== null) reload();
      };
      // The user cleared the data of sites, or the disk is in trouble: opened anew when it is needed.
      database.onclose = () => { opening = null; };
      resolve(database);
    };
    request.onerror = () => reject(request.error ?? new Error('the browser could not open its store'));
    // Other tabs close theirs when they hear of it.
    request.onblocked = () => setTimeout(() => reject(new Error('other tabs keep the store from being opened')), BLOCKED_MS);
  });
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('the browser could not read its store'));
  });
}

function committed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    // At once: what a page writes when it is left is lost with it while the browser waits for more.
    transaction.commit();
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error('the browser could not write its store'));
  });
}

const kept = (store: Store): Map<string, unknown> => memory.get(store) as Map<string, unknown>;

export async function get<T>(store: Store, key: string): Promise<T | undefined> {
  const database = await open();
  if (!database) return kept(store).get(key) as T | undefined;
  return done(database.transaction(store).objectStore(store).get(key)) as Promise<T | undefined>;
}

/** All values whose key begins with `prefix`, in the order of their keys. */
export async function all<T>(store: Store, prefix = ''): Promise<T[]> {
  const database = await open();
  if (!database) {
    return [...kept(store)].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value as T);
  }
  const range = prefix === '' ? null : IDBKeyRange.bound(prefix, `${prefix}\uffff`);
  return done(database.transaction(store).objectStore(store).getAll(range)) as Promise<T[]>;
}

export async function put(store: Store, key: string, value: unknown): Promise<void> {
  return putAll(store, [[key, value]]);
}

/** Writes all of them or none. */
export async function putAll(store: Store, entries: readonly (readonly [string, unknown])[]): Promise<void> {
  const database = await open();
  if (!database) {
    for (const [key, value] of entries) kept(store).set(key, value);
    return;
  }
  const transaction = database.transaction(store, 'readwrite');
  for (const [key, value] of entries) transaction.objectStore(store).put(value, key);
  return committed(transaction);
}

export async function remove(store: Store, keys: readonly string[]): Promise<void> {
  const database = await open();
  if (!database) {
    for (const key of keys) kept(store).delete(key);
    return;
  }
  const transaction = database.transaction(store, 'readwrite');
  for (const key of keys) transaction.objectStore(store).delete(key);
  return committed(transaction);
}

/** Removes the keys that begin with `prefix`. */
export async function removeAll(store: Store, prefix: string): Promise<void> {
  const database = await open();
  if (!database) {
    for (const key of kept(store).keys()) if (key.startsWith(prefix)) kept(store).delete(key);
    return;
  }
  const transaction = database.transaction(store, 'readwrite');
  transaction.objectStore(store).delete(IDBKeyRange.bound(prefix, `${prefix}\uffff`));
  return committed(transaction);
}

/** Removes all that these stores hold. */
export async function clear(stores: readonly Store[]): Promise<void> {
  for (const store of stores) kept(store).clear();
  const database = await open();
  if (!database) return;
  const transaction = database.transaction([...stores], 'readwrite');
  for (const store of stores) transaction.objectStore(store).clear();
  return committed(transaction);
}

/** Removes everything of everybody. */
export const clearAll = (): Promise<void> => clear(STORES);
