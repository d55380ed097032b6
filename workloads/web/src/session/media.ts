// What is known of the files that messages show. Addresses are signed, and asked for again when they have expired.
import { signal } from '@preact/signals';
import { details } from '../api/media';
import { ApiError } from '../api/problem';
import type { Media } from '../api/types';
import { link, me, onReset } from './state';

export type Shown = Media | 'loading' | 'gone';

/** An address is not used when it has less than this left. */
const MARGIN_MS = 30_000;
/** Seconds after which a server that was busy is asked again, when it does not say itself. */
const AGAIN_S = 30;
const AGAIN_MAX_S = 300;

export const media = signal<ReadonlyMap<string, Shown>>(new Map());
const asked = new Set<string>();
/** What could not be asked for, and is asked for again. */
const missed = new Set<string>();
let later: ReturnType<typeof setTimeout> | undefined;

onReset(() => {
  media.value = new Map();
  asked.clear();
  missed.clear();
  clearTimeout(later);
  later = undefined;
});

export function learn(one: Media): void {
  media.value = new Map(media.value).set(one.media_id, one);
}

const fresh = (one: Media): boolean => !one.expires_at || Date.parse(one.expires_at) - Date.now() > MARGIN_MS;

/** Has a file's details fetched if they are not there, or no longer good; `force` when its address did not work. */
export function want(media_id: string, force = false): void {
  const known = media.value.get(media_id);
  if (!force && typeof known === 'object' && fresh(known)) return;
  if (asked.has(media_id)) return;
  asked.add(media_id);
  missed.delete(media_id);
  const owner = me.value;
  details(media_id)
    .then((one) => { if (me.value === owner) learn(one); }, (error: unknown) => { if (me.value === owner) failed(media_id, error); })
    .finally(() => asked.delete(media_id));
}

/** Only the server knows that a file is gone. Whatever else went wrong says nothing of the file. */
function failed(media_id: string, error: unknown): void {
  if (error instanceof ApiError && error.status === 404) {
    media.value = new Map(media.value).set(media_id, 'gone');
    return;
  }
  missed.add(media_id);
  if (!(error instanceof ApiError) || !error.passing) return;
  later ??= setTimeout(() => {
    later = undefined;
    if (link.value === 'online') again();
  }, Math.min(error.retryAfter || AGAIN_S, AGAIN_MAX_S) * 1000);
}

function again(): void {
  for (const media_id of [...missed]) want(media_id, true);
}

link.subscribe((now) => { if (now === 'online') again(); });
