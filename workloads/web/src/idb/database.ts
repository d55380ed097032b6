// What is kept in this browser: the session, chats and messages that were seen, and messages not yet sent. Where
// IndexedDB can't be used (some private windows), the same lives in memory until the page is closed.

export type Store = 'session' | 'chats' | 'messages' | 'outbox' | 'meta';
const STORES: readonly Store[] = ['session', 'chats', 'messages', 'outbox', 'meta'];
const NAME = 'sentinel';
const VERSION = 1;

let opening: Promise<IDBDatabase | null> | null = null;
const memory = new Map<Store, Map<string, unknown>>(STORES.map((store) => [store, new Map()]));

function open(): Promise<IDBDatabase | null> {
  opening ??= new Promise((resolve) => {
    let request: IDBOpenDBRequest;
    try {
      request = indexedDB.open(NAME, VERSION);
    } catch {
      resolve(null);
      return;
    }
    request.onupgradeneeded = () => {
      for (const store of STORES) {
        if (!request.result.objectStoreNames.contains(store)) request.result.createObjectStore(store);
      }
    };
    request.onsuccess = () => {
      // A newer version of the page in another tab must not wait for this one.
      request.result.onversionchange = () => {
        request.result.close();
        opening = null;
      };
      // The user cleared the data of sites, or the disk is in trouble: opened anew when it is needed.
      request.result.onclose = () => { opening = null; };
      resolve(request.result);
    };
    request.onerror = () => resolve(null);
    request.onblocked = () => resolve(null);
  });
  return opening;
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('the browser could not read its store'));
  });
}

function committed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
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
