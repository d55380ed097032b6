// One way to call the server: JSON in, JSON out, errors as `ApiError`.
import { ApiError, problemOf } from './problem';

const TIMEOUT_MS = 30_000;

/** The folder that the page is in: the client's calls go below it. */
export const base = new URL('.', document.baseURI);

export const urlOf = (path: string): string => new URL(path.replace(/^\//, ''), base).href;

export interface Call {
  body?: unknown;
  token?: string;
  signal?: AbortSignal;
  /** The page is about to go: let the call outlive it. */
  keepalive?: boolean;
  /** The version (`ETag`) of what is changed: if it is another one by now, nothing is, and the call fails with 412. */
  version?: string | null;
  /** Is told the version of what the answer has; `null` where there is none. */
  versioned?: (version: string | null) => void;
  /** Milliseconds after which no answer is awaited any more. */
  timeout?: number;
}

/** A signal that ends with the first of these. Browsers that are in use have no `AbortSignal.any`. */
function ended(...signals: (AbortSignal | undefined)[]): { signal: AbortSignal; forget: () => void } {
  const first = new AbortController();
  const end = (): void => first.abort();
  for (const one of signals) {
    if (one?.aborted) end();
    one?.addEventListener('abort', end);
  }
  // A caller's signal may outlive many calls.
  return { signal: first.signal, forget: () => signals.forEach((one) => one?.removeEventListener('abort', end)) };
}

/** Calls the server and gives the answer's JSON, `undefined` when it has none. */
export async function send<T>(method: string, path: string, call: Call = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (call.token !== undefined) headers.Authorization = `Bearer ${call.token}`;
  if (call.body !== undefined) headers['Content-Type'] = 'application/json';
  if (call.version) headers['If-Match'] = call.version;
  const end = ended(call.signal, AbortSignal.timeout(call.timeout ?? TIMEOUT_MS));
  // Before the `try`: a fault of this program is none of the network's.
  const url = urlOf(path);
  const request: RequestInit = {
    method,
    headers,
    body: call.body === undefined ? null : JSON.stringify(call.body),
    signal: end.signal,
    credentials: 'omit',
    cache: 'no-store',
    keepalive: call.keepalive ?? false,
  };
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, request);
    text = await response.text();
  } catch (error) {
    if (call.signal?.aborted) throw new ApiError(0, 'aborted', '');
    throw new ApiError(0, 'network', error instanceof Error ? error.message : '');
  } finally {
    end.forget();
  }
  if (!response.ok) throw problemOf(response.status, text, response.headers.get('Retry-After'));
  call.versioned?.(response.headers.get('ETag'));
  if (text === '') return undefined as T;
  try {
    return JSON.parse(text) as T;
  } catch {
    // A page instead of JSON: something between us and the server answered.
    throw new ApiError(response.status, 'not_json', '');
  }
}

/** A query string without what is undefined. */
export function query(parameters: Record<string, string | number | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) search.set(name, String(value));
  }
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}
