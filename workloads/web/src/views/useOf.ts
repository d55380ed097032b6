// What is of one chat or person, out of a signal that has it of all.
import { computed } from '@preact/signals';
import { useMemo } from 'preact/hooks';

/** What `read` makes of signals for this id. Its reader is drawn again only when that is another value, not whenever
 * something is of anybody else. */
export function useOf<T>(id: string, read: (id: string) => T): T {
  return useMemo(() => computed(() => read(id)), [id]).value;
}
