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

/** The newest page, with what is here of older ones where no gap can be between them. */
function joined(known: Notices | null, entries: readonly NotificationEntry[], cursor: string | null): Notices {
  const oldest = entries.at(-1)?.notification_id;
  const newestKnown = known?.entries[0]?.notification_id;
  if (!known || !cursor || !oldest || !newestKnown || newestKnown < oldest) return { entries, cursor };
  return { entries: [...entries, ...known.entries.filter((one) => one.notification_id < oldest)], cursor: known.cursor };
}

/** Loads the newest ones. */
export async function loadNotices(): Promise<void> {
  const owner = me.value;
  const isNews = answers.ask();
  const page = await notifications();
  if (me.value === owner && isNews()) notices.value = joined(notices.value, page.notifications, page.next_cursor ?? null);
}

/** Loads older ones. */
export async function loadOlderNotices(): Promise<void> {
  const from = notices.value;
  if (!from?.cursor) return;
  const owner = me.value;
  const page = await notifications(from.cursor);
  if (me.value !== owner) return;
  // It was loaded anew meanwhile, and goes on elsewhere.
  if (notices.value?.cursor !== from.cursor) return loadOlderNotices();
  notices.value = { entries: [...notices.value.entries, ...page.notifications], cursor: page.next_cursor ?? null };
}
