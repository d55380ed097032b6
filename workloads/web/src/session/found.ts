// The hit of a search that was jumped to last: its words are marked where it stands, too, for a while.
import { signal } from '@preact/signals';
import { onReset } from './state';

interface Found {
  readonly message_id: string;
  /** The text that the ranges are of. */
  readonly text: string;
  readonly ranges: readonly (readonly number[])[];
}

const SHOWN_MS = 10_000;

export const found = signal<Found | null>(null);
onReset(() => { found.value = null; });

export function showFound(one: Found): void {
  found.value = one;
  setTimeout(() => { if (found.value === one) found.value = null; }, SHOWN_MS);
}
