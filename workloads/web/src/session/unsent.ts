// What would be lost with a log-out.
import { computed } from '@preact/signals';
import { written } from './drafts';
import { outbox } from './state';
import { uploads } from './uploads';

/** How many messages were not sent yet: those on their way, those that failed, and in each chat the one being written. */
export const unsent = computed(() => outbox.value.length + new Set([...written.value, ...uploads.value.keys()]).size);
