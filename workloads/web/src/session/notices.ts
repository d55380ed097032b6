// The list of what the server notified of.
import { signal } from '@preact/signals';
import { notifications } from '../api/notifications';
import type { NotificationEntry } from '../api/types';
import { order } from './order';
import { me, onReset } from './state';

interface Notices {
  readonly entries: readonly NotificationEntry[];
  /** Where the list goes on at the server. */
  readonly cursor: string | null;
}

/** As much of it as is here. */
export const notices = signal<Notices | null>(null);
onReset(() => { notices.value = null; });

const answers = order();

/** Loads the newest ones. */
export async function loadNotices(): Promise<void> {
  const owner = me.value;
  const isNews = answers.ask();
  const page = await notifications();
  if (me.value === owner && isNews()) notices.value = { entries: page.notifications, cursor: page.next_cursor ?? null };
}

/** Loads older ones. */
export async function loadOlderNotices(): Promise<void> {
  const from = notices.value;
  if (!from?.cursor) return;
  const page = await notifications(from.cursor);
  // It was loaded anew meanwhile, and goes on elsewhere.
  if (notices.value !== from) return loadOlderNotices();
  notices.value = { entries: [...from.entries, ...page.notifications], cursor: page.next_cursor ?? null };
}
