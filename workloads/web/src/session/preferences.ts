// How the user wants to be told: muted chats, quiet hours, what notifications show.
import { signal } from '@preact/signals';
import { call } from '../api/credentials';
import { ApiError } from '../api/problem';
import type { Preferences } from '../api/types';
import { muted, mutes } from '../store/chats';
import { clockHere, type Clock } from '../store/minutes';
import { touch } from './cache';
import { order } from './order';
import { chats, lacks, me, onReset } from './state';

/** A chat is muted until somebody unmutes it; the server wants a time. */
const FOR_GOOD_MS = 10 * 365 * 86_400_000;

export const preferences = signal<Preferences | null>(null);
onReset(() => { preferences.value = null; });

const PATH = '/notifications/preferences';
/** Devices that change something at the same moment take turns after so many tries. */
const TRIES = 5;

export async function loadPreferences(): Promise<Preferences | null> {
  return (await load()).known;
}

/** The chats that are muted now. */
export const mutedIn = (known: Preferences | null): ReadonlySet<string> =>
  new Set((known?.muted ?? []).filter((one) => Date.parse(one.until) > Date.now()).map((one) => one.chat_id));

const answers = order();

/** What the server has, and its version. */
async function load(): Promise<{ known: Preferences | null; version: string | null }> {
  const owner = me.value;
  const isNews = answers.ask();
  let version: string | null = null;
  try {
    const loaded = await call<Preferences>('GET', PATH, { versioned: (tag) => { version = tag; } });
    if (me.value === owner && isNews()) {
      preferences.value = loaded;
      // Also of chats that are further down than what is loaded of the list again.
      if (loaded.muted) chats.value = mutes(chats.value, mutedIn(loaded));
      touch();
    }
    return { known: loaded, version };
  } catch (error) {
    if (!(error instanceof ApiError) || !error.absent) throw error;
    lacks('notifications');
  }
  return { known: preferences.value, version };
}

/** The change that is being saved. */
let saving: Promise<unknown> = Promise.resolve();

/** Changes what the server has; one change after the other, so that none undoes another. */
export function savePreferences(change: (now: Preferences) => Preferences): Promise<void> {
  const owner = me.value;
  const saved = saving.then(() => save(owner, change));
  saving = saved.catch(() => undefined);
  return saved;
}

async function save(owner: string, change: (now: Preferences) => Preferences): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    // Who has logged out meanwhile changes nothing of the next user's.
    if (me.value !== owner) return;
    const { known, version } = await load();
    if (me.value !== owner) return;
    const put = (body: Preferences) => call<Preferences>('PUT', PATH, { body, version });
    const wanted = change(known ?? {});
    try {
      const saved = await put(wanted).catch((error: unknown) => {
        // Some clocks are in no zone that has a name, or in one that the server does not know yet: it goes by the offset then.
        if (!(error instanceof ApiError) || !('quiet_hours.time_zone' in error.fields) || !wanted.quiet_hours) throw error;
        return put({ ...wanted, quiet_hours: { ...wanted.quiet_hours, time_zone: null } });
      });
      if (me.value !== owner) return;
      answers.changed();
      preferences.value = saved;
      return;
    } catch (error) {
      // Another device has changed them since: the change is made to what there is now.
      if (!(error instanceof ApiError) || error.status !== 412 || tries === TRIES) throw error;
    }
  }
}

/** The clock of this device when quiet hours were last compared with it. */
let seen: Clock | null = null;
onReset(() => { seen = null; });

/**
 * Quiet hours go by the user's clock, which may be another one than when they were set: there was a journey. Of that tells
 * the device that made it: one that was left at home, and is only connected again, says nothing. Their offset is for clients
 * that know no zones.
 */
export async function renewQuietHours(): Promise<void> {
  const owner = me.value;
  const quiet = preferences.value?.quiet_hours;
  const here = clockHere();
  const travelled = seen?.time_zone !== here.time_zone;
  const turned = seen?.utc_offset_minutes !== here.utc_offset_minutes;
  const same = quiet?.utc_offset_minutes === here.utc_offset_minutes;
  const stale = quiet?.time_zone === here.time_zone ? !same : travelled || (!quiet?.time_zone && turned && !same);
  if (quiet && stale) await savePreferences((now) => (now.quiet_hours ? { ...now, quiet_hours: { ...now.quiet_hours, ...here } } : now));
  if (me.value === owner) seen = here;
}

export async function muteChat(chat_id: string, on: boolean): Promise<void> {
  const owner = me.value;
  await savePreferences((now) => {
    const others = (now.muted ?? []).filter((one) => one.chat_id !== chat_id);
    const until = new Date(Date.now() + FOR_GOOD_MS).toISOString();
    return { ...now, muted: on ? [...others, { chat_id, until }] : others };
  });
  // The next user may have the same chat.
  if (me.value !== owner) return;
  chats.value = muted(chats.value, chat_id, on);
  touch();
}
