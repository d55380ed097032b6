// What is known of the files that messages show. Addresses are signed, and asked for again when they have expired.
import { signal } from '@preact/signals';
import { details } from '../api/media';
import type { Media } from '../api/types';
import { me, onReset } from './state';

export type Shown = Media | 'loading' | 'gone';

/** An address is not used when it has less than this left. */
const MARGIN_MS = 30_000;

export const media = signal<ReadonlyMap<string, Shown>>(new Map());
const asked = new Set<string>();
onReset(() => {
  media.value = new Map();
  asked.clear();
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
  const owner = me.value;
  details(media_id)
    .then((one) => { if (me.value === owner) learn(one); }, () => {
      if (me.value === owner && typeof media.value.get(media_id) !== 'object') media.value = new Map(media.value).set(media_id, 'gone');
    })
    .finally(() => asked.delete(media_id));
}
