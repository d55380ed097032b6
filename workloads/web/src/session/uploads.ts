// Files on their way to the server, before the message that shows them is sent.
import { signal } from '@preact/signals';
import { begin, complete, transfer } from '../api/media';
import { ApiError } from '../api/problem';
import { faultText } from '../i18n/faults';
import { strings } from '../i18n/en';
import { newId } from '../store/ids';
import { learn } from './media';
import { features, lacks, onReset } from './state';
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

/** Nothing of the last user is sent any further. */
onReset(() => {
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
    void run(chat_id, id, file);
  }
}

async function run(chat_id: string, id: string, file: File): Promise<void> {
  const stop = new AbortController();
  stops.set(id, stop);
  let begun = false;
  try {
    const type = file.type || 'application/octet-stream';
    const { media_id, upload } = await begin(file.name || 'file', type, file.size, stop.signal);
    begun = true;
    await transfer(upload, file, (part) => change(chat_id, id, { part }), stop.signal);
    change(chat_id, id, { state: 'checking', part: 1 });
    const made = await complete(media_id, stop.signal);
    learn({ filename: file.name, ...made });
    // The server looks at the bytes, the browser only at the name.
    change(chat_id, id, { state: 'done', media_id, kind: PICTURES.test(made.content_type) ? 'image' : 'file' });
  } catch (error) {
    if (error instanceof ApiError && error.code === 'aborted') return;
    if (error instanceof ApiError && error.absent && !begun) {
      lacks('media');
      removeUpload(chat_id, id);
      toast({ kind: 'error', header: strings.uploadGone });
      return;
    }
    const lapsed = begun && error instanceof ApiError && LAPSED.has(error.status);
    const again = lapsed || (error instanceof ApiError && error.passing);
    change(chat_id, id, { state: 'failed', fault: lapsed ? strings.uploadFailed : faultText(error), again });
  } finally {
    stops.delete(id);
  }
}

export function retryUpload(chat_id: string, id: string): void {
  const file = files.get(id);
  if (!file) return;
  change(chat_id, id, { state: 'sending', part: 0, fault: null });
  void run(chat_id, id, file);
}

/** Takes a file back, also while it is on its way. */
export function removeUpload(chat_id: string, id: string): void {
  stops.get(id)?.abort();
  release(listOf(chat_id).filter((one) => one.id === id));
  set(chat_id, listOf(chat_id).filter((one) => one.id !== id));
}

function release(list: readonly Uploading[]): void {
  for (const one of list) {
    files.delete(one.id);
    if (one.preview) URL.revokeObjectURL(one.preview);
  }
}

/** Gives the files that are there and removes them from the list: they go into a message now. */
export function takeUploads(chat_id: string): readonly Uploading[] {
  const ready = listOf(chat_id).filter((one) => one.state === 'done');
  release(ready);
  set(chat_id, listOf(chat_id).filter((one) => one.state !== 'done'));
  return ready;
}
