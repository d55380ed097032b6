// Which day it is, and in which zone the clock of this browser is: both change while a page is open.
import { batch, signal } from '@preact/signals';
import { dayOf } from '../store/rows';

/** Looked at so often beside midnight, and when one comes back to the page: timers stand still while a computer sleeps. */
const EVERY_MS = 60_000;

const zoneNow = (): string => new Intl.DateTimeFormat().resolvedOptions().timeZone;

/** A moment of the day that it is; another one when the day, or the zone, is another one. */
export const today = signal(Date.now());
export const zone = signal(zoneNow());

function look(): void {
  const now = Date.now();
  const here = zoneNow();
  if (here === zone.value && dayOf(now) === dayOf(today.value)) return;
  batch(() => {
    zone.value = here;
    today.value = now;
  });
}

function keepLooking(): void {
  look();
  setTimeout(keepLooking, Math.min(EVERY_MS, new Date().setHours(24, 0, 0, 0) - Date.now()));
}

/** Follows both from now on. */
export function startToday(): void {
  keepLooking();
  document.addEventListener('visibilitychange', look);
}
