// Calls about files. The bytes go straight to where the server says.
import { call } from './credentials';
import { urlOf } from './http';
import { ApiError, problemOf } from './problem';
import type { Media, Upload } from './types';

export const begin = (filename: string, content_type: string, size: number, signal: AbortSignal) =>
  call<Upload>('POST', '/media/uploads', { body: { filename, content_type, size }, signal });

export const complete = (media_id: string, signal: AbortSignal) =>
  call<Media>('POST', `/media/uploads/${media_id}/complete`, { signal });

/** For so long somebody who begins anew waits for it. */
const GIVE_UP_MS = 10_000;

/** Gives up an upload that no message shows, also when the page is about to go. */
export const giveUp = (media_id: string) => call<void>('DELETE', `/media/uploads/${media_id}`, { keepalive: true, timeout: GIVE_UP_MS });

/** How many files can be asked for in one call. */
export const DETAILS_MAX = 100;

/** The files that there are, or that one may see, among those. */
export const details = async (media_ids: readonly string[]): Promise<readonly Media[]> =>
  (await call<{ media: Media[] }>('GET', `/media/details?ids=${media_ids.join(',')}`)).media;

/** An address of the server's as the browser can use it. */
export const reachable = (url: string): string => (url.startsWith('/') ? urlOf(url) : url);

/** Without any progress for so long, a link is taken to be dead. */
const STALL_MS = 30_000;
/** When all bytes have left the browser, some are still on their way, and the server has to keep them. */
const ANSWER_MS = 90_000;

/** Sends the bytes. `fetch` does not tell how far it has got; this does. */
export function transfer(upload: Upload['upload'], file: Blob, progress: (part: number) => void, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(upload.method, reachable(upload.url));
    for (const [name, value] of Object.entries(upload.headers)) {
      // The browser sets these itself, and lets nobody else.
      if (!/^(host|content-length)$/i.test(name)) request.setRequestHeader(name, value);
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    const within = (limit: number) => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        reject(new ApiError(0, 'network', ''));
        request.abort();
      }, limit);
    };
    request.onloadend = () => clearTimeout(timer);
    request.upload.onload = () => within(ANSWER_MS);
    request.upload.onprogress = (event) => {
      within(STALL_MS);
      if (event.lengthComputable) progress(event.loaded / event.total);
    };
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) resolve();
      else reject(problemOf(request.status, request.responseText, request.getResponseHeader('Retry-After')));
    };
    request.onerror = () => reject(new ApiError(0, 'network', ''));
    request.onabort = () => reject(new ApiError(0, 'aborted', ''));
    signal.addEventListener('abort', () => request.abort());
    within(STALL_MS);
    request.send(file);
  });
}
