// What a conversation shows, row by row: days, the mark of new messages, messages in groups.
import type { Message } from '../api/types';
import type { Outgoing } from './outbox';

export type Row =
  | { kind: 'day'; key: string; at: number }
  | { kind: 'new'; key: string }
  | { kind: 'message'; key: string; message: Message; own: boolean; first: boolean; last: boolean }
  | { kind: 'outgoing'; key: string; outgoing: Outgoing; first: boolean; last: boolean };

/** Messages of one person that follow each other within this time belong together. */
const GROUP_MS = 5 * 60_000;

interface Entry {
  at: number;
  author: string;
  message?: Message;
  outgoing?: Outgoing;
}

/** The local day of a time, as a number that differs from that of any other day. */
export const dayOf = (at: number): number => {
  const date = new Date(at);
  return date.getFullYear() * 10_000 + date.getMonth() * 100 + date.getDate();
};

/**
 * `readUpTo` is where the reader had got when the chat was opened; `undefined` shows no mark.
 * Outgoing messages come last: their ids are not known yet, and will be newer than all that is here.
 */
export function rows(
  messages: readonly Message[],
  outgoing: readonly Outgoing[],
  me: string,
  readUpTo: string | null | undefined,
): Row[] {
  const entries: Entry[] = [
    ...messages.map((message) => ({ at: Date.parse(message.timestamp), author: message.sender_id, message })),
    ...outgoing.map((one) => ({ at: one.created_at, author: me, outgoing: one })),
  ];
  const result: Row[] = [];
  let marked = readUpTo === undefined;
  let together = false;
  entries.forEach((entry, index) => {
    const before = entries[index - 1];
    const newDay = !before || dayOf(before.at) !== dayOf(entry.at);
    if (newDay) {
      result.push({ kind: 'day', key: `day-${dayOf(entry.at)}-${entry.message?.message_id ?? 'out'}`, at: entry.at });
      together = false;
    }
    const { message } = entry;
    if (!marked && message && message.sender_id !== me && message.message_id > (readUpTo ?? '')) {
      result.push({ kind: 'new', key: 'new' });
      marked = true;
      together = false;
    }
    const first = !together || !before || !near(before, entry);
    const next = entries[index + 1];
    const last = !next || !near(entry, next) || dayOf(next.at) !== dayOf(entry.at);
    if (message) result.push({ kind: 'message', key: message.message_id, message, own: message.sender_id === me, first, last });
    if (entry.outgoing) result.push({ kind: 'outgoing', key: entry.outgoing.client_message_id, outgoing: entry.outgoing, first, last });
    together = true;
  });
  return result;
}

const near = (a: Entry, b: Entry): boolean => a.author === b.author && b.at - a.at < GROUP_MS;
