// What is known of the files that messages show. Addresses are signed, and asked for again when they have expired.
import { signal } from '@preact/signals';
import { details, DETAILS_MAX } from '../api/media';
import { ApiError } from '../api/problem';
import type { Media } from '../api/types';
import { strings } from '../i18n/en';
import { faultText } from '../i18n/faults';
import { link, me, onReset } from './state';
import { toast } from './toasts';

export type Shown = Media | 'loading' | 'gone';

/** An address is not used when it has less than this left. */
const MARGIN_MS = 30_000;
/** Seconds after which a server that was busy is asked again, when it does not say itself. */
const AGAIN_S = 30;
const AGAIN_MAX_S = 300;

export const media = signal<ReadonlyMap<string, Shown>>(new Map());
const asked = new Map<string, Promise<Media>>();
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

/** The answer to a finished upload does not say how long its addresses are good: those are not used for long. */
const fresh = (one: Media): boolean => !!one.expires_at && Date.parse(one.expires_at) - Date.now() > MARGIN_MS;

/** Has a file's details fetched if they are not there, or no longer good; `force` when its address did not work. */
export function want(media_id: string, force = false): void {
  const known = media.value.get(media_id);
  if (!force && typeof known === 'object' && fresh(known)) return;
  // What goes wrong is in `media` or tried again.
  ask(media_id).catch(() => undefined);
}

function ask(media_id: string): Promise<Media> {
  const running = asked.get(media_id);
  if (running) return running;
  missed.delete(media_id);
  const owner = me.value;
  const asking = oneOf(media_id)
    .then((one) => {
      if (me.value === owner) learn(one);
      return one;
    }, (error: unknown) => {
      if (me.value === owner) failed(media_id, error);
      throw error;
    })
    .finally(() => { if (asked.get(media_id) === asking) asked.delete(media_id); });
  asked.set(media_id, asking);
  return asking;
}

/** What the page asks for while it is drawn is asked of the server in one call. */
let together: { readonly ids: string[]; readonly answer: Promise<readonly Media[]> } | null = null;

async function oneOf(media_id: string): Promise<Media> {
  if (!together || together.ids.length === DETAILS_MAX) {
    const ids: string[] = [];
    together = {
      ids,
      answer: new Promise<void>((resolve) => { setTimeout(resolve); }).then(() => {
        if (together?.ids === ids) together = null;
        return details(ids);
      }),
    };
  }
  together.ids.push(media_id);
  const one = (await together.answer).find((known) => known.media_id === media_id);
  if (!one) throw new ApiError(404, 'not_found', '');
  return one;
}

/** A click on a link to a file. An address that is good is left to the browser; else one is fetched, and given to
 * `open`. */
export async function follow(event: Pick<Event, 'preventDefault'>, media_id: string, open: (one: Media) => void): Promise<void> {
  const known = media.value.get(media_id);
  if (typeof known === 'object' && fresh(known)) return;
  event.preventDefault();
  const owner = me.value;
  try {
    const one = await ask(media_id);
    if (me.value === owner) open(one);
  } catch (error) {
    if (me.value === owner) toast({ kind: 'error', header: media.value.get(media_id) === 'gone' ? strings.fileGone : faultText(error) });
  }
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
