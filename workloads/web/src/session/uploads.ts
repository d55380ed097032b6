// Files on their way to the server, before the message that shows them is sent.
import { signal } from '@preact/signals';
import { begin, complete, giveUp, transfer } from '../api/media';
import { ApiError } from '../api/problem';
import { faultText } from '../i18n/faults';
import { strings } from '../i18n/en';
import { fitting } from '../store/files';
import { newId } from '../store/ids';
import { learn, media } from './media';
import { features, lacks, link, onReset } from './state';
import { toast } from './toasts';

export interface Uploading {
  readonly id: string;
  readonly name: string;
  readonly size: number;
  readonly kind: 'image' | 'file';
  /** A picture of it, from the browser's memory. */
  readonly preview: string | null;
  readonly state: 'sending' | 'checking' | 'done' | 'failed';
  /** How much of it is there, from 0 to 1. */
  readonly part: number;
  /** Its id at the server, once it has begun there. */
  readonly media_id: string | null;
  readonly fault: string | null;
  /** Whether another try may work. */
  readonly again: boolean;
}

/** As many as go into one message. */
export const FILES_MAX = 10;
/** What an upload that took too long is answered with, by this server or an object store. A new one may work. */
const LAPSED = new Set([403, 404, 409, 410]);
const PICTURES = /^image\/(jpeg|png|gif|webp)$/;

export const uploads = signal<ReadonlyMap<string, readonly Uploading[]>>(new Map());
const files = new Map<string, File>();
const stops = new Map<string, AbortController>();
/** Ends with the session. */
let session = new AbortController();

/** Nothing of the last user is sent any further. */
onReset(() => {
  session.abort();
  session = new AbortController();
  for (const stop of stops.values()) stop.abort();
  for (const list of uploads.value.values()) release(list);
  uploads.value = new Map();
});

const listOf = (chat_id: string): readonly Uploading[] => uploads.value.get(chat_id) ?? [];

function set(chat_id: string, list: readonly Uploading[]): void {
  const next = new Map(uploads.value);
  if (list.length > 0) next.set(chat_id, list);
  else next.delete(chat_id);
  uploads.value = next;
}

function change(chat_id: string, id: string, what: Partial<Uploading>): void {
  set(chat_id, listOf(chat_id).map((one) => (one.id === id ? { ...one, ...what } : one)));
}

/** Starts to upload files to a chat. */
export function addFiles(chat_id: string, added: readonly File[]): void {
  if (!features.value.media) return;
  const room = FILES_MAX - listOf(chat_id).length;
  if (added.length > room) toast({ kind: 'error', header: strings.tooManyFiles(FILES_MAX) });
  for (const file of added.slice(0, Math.max(0, room))) {
    if (file.size === 0) {
      toast({ kind: 'error', header: strings.emptyFile, body: file.name });
      continue;
    }
    const id = newId();
    const kind = PICTURES.test(file.type) ? 'image' : 'file';
    files.set(id, file);
    set(chat_id, [...listOf(chat_id), {
      id, name: file.name || strings.aFile, size: file.size, kind, preview: kind === 'image' ? URL.createObjectURL(file) : null,
      state: 'sending', part: 0, media_id: null, fault: null, again: false,
    }]);
    void run(chat_id, id, file, null);
  }
}

/** Frees the room that an upload takes. Where that can't be done, it takes room for a day. */
const abandon = (media_id: string): Promise<void> => giveUp(media_id).catch(() => undefined);

/** `earlier` is what a try before this one has begun. */
async function run(chat_id: string, id: string, file: File, earlier: string | null): Promise<void> {
  const stop = new AbortController();
  stops.set(id, stop);
  const { signal } = session;
  const name = fitting(file.name);
  let media_id: string | null = null;
  try {
    // Perhaps only an answer was lost.
    let made = earlier ? await complete(earlier, stop.signal).catch(() => null) : null;
    if (stop.signal.aborted) return;
    if (!made) {
      if (earlier) await abandon(earlier);
      if (stop.signal.aborted) return;
      // Only with its id it can be given up: who takes the file back meanwhile has to wait for that.
      const begun = await begin(name, file.type || 'application/octet-stream', file.size, signal);
      media_id = begun.media_id;
      if (stop.signal.aborted) return void abandon(media_id);
      change(chat_id, id, { media_id });
      await transfer(begun.upload, file, (part) => change(chat_id, id, { part }), stop.signal);
      change(chat_id, id, { state: 'checking', part: 1 });
      made = await complete(media_id, stop.signal);
    }
    learn({ filename: name, ...made });
    // The server looks at the bytes, the browser only at the name.
    change(chat_id, id, { state: 'done', part: 1, media_id: made.media_id, kind: PICTURES.test(made.content_type) ? 'image' : 'file' });
  } catch (error) {
    if (error instanceof ApiError && error.code === 'aborted') return;
    if (error instanceof ApiError && error.absent && !media_id) {
      lacks('media');
      removeUpload(chat_id, id);
      toast({ kind: 'error', header: strings.uploadGone });
      return;
    }
    const lapsed = media_id !== null && error instanceof ApiError && LAPSED.has(error.status);
    const again = lapsed || (error instanceof ApiError && error.passing);
    change(chat_id, id, { state: 'failed', media_id: media_id ?? earlier, fault: lapsed ? strings.uploadFailed : faultText(error), again });
  } finally {
    stops.delete(id);
  }
}

export function retryUpload(chat_id: string, id: string): void {
  const file = files.get(id);
  const one = listOf(chat_id).find((known) => known.id === id);
  if (!file || !one) return;
  change(chat_id, id, { state: 'sending', part: 0, fault: null });
  void run(chat_id, id, file, one.media_id);
}

// What the network kept from being sent goes on when it is back.
link.subscribe((now) => {
  if (now !== 'online') return;
  for (const [chat_id, list] of uploads.value) for (const one of list) if (one.state === 'failed' && one.again) retryUpload(chat_id, one.id);
});

/** A page that is closed, or loaded anew, loses them: the browser asks first. */
const ask = (event: Event): void => event.preventDefault();
uploads.subscribe((now) => {
  if (now.size > 0) window.addEventListener('beforeunload', ask);
  else window.removeEventListener('beforeunload', ask);
});

/** Takes a file back, also while it is on its way. */
export function removeUpload(chat_id: string, id: string): void {
  stops.get(id)?.abort();
  const one = listOf(chat_id).find((known) => known.id === id);
  if (!one) return;
  if (one.media_id) void abandon(one.media_id);
  release([one]);
  set(chat_id, listOf(chat_id).filter((other) => other !== one));
}

function release(list: readonly Uploading[]): void {
  for (const one of list) {
    files.delete(one.id);
    if (one.preview) URL.revokeObjectURL(one.preview);
  }
}

/** Puts back files that are at the server already: the message with them was not sent. Gives whether there is room. */
export function giveBack(chat_id: string, media_ids: readonly string[]): boolean {
  const there = media_ids.map((media_id) => ({ media_id, known: media.value.get(media_id) })).filter(({ known }) => known !== 'gone');
  if (there.length === 0) return true;
  if (listOf(chat_id).length + there.length > FILES_MAX) {
    toast({ kind: 'error', header: strings.tooManyFiles(FILES_MAX) });
    return false;
  }
  const made = there.map(({ media_id, known }): Uploading => {
    const one = typeof known === 'object' ? known : null;
    return {
      id: newId(), name: one?.filename || strings.aFile, size: one?.size ?? 0, kind: PICTURES.test(one?.content_type ?? '') ? 'image' : 'file', preview: null,
      state: 'done', part: 1, media_id, fault: null, again: false,
    };
  });
  set(chat_id, [...made, ...listOf(chat_id)]);
  return true;
}

/** Gives the files that are there and removes them from the list: they go into a message now. */
export function takeUploads(chat_id: string): readonly Uploading[] {
  const ready = listOf(chat_id).filter((one) => one.state === 'done');
  release(ready);
  set(chat_id, listOf(chat_id).filter((one) => one.state !== 'done'));
  return ready;
}
