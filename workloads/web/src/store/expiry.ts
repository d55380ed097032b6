// Messages that are too old by the rule of the deployment: the server has them no more, so nothing here has them either.
import type { Chats } from './chats';
import { timeOf } from './ids';
import type { Timeline } from './timeline';

/** The moment, in milliseconds since 1970, of which everything is too old; `null`: nothing is. */
export const borderOf = (now: number, seconds: number | null): number | null => (seconds === null ? null : now - seconds * 1000);

const kept = (message_id: string, border: number): boolean => timeOf(message_id) > border;

/** What is kept of a part of a history; `null` when nothing of it is and what comes next is not known. */
export function timelineSince(timeline: Timeline, border: number): Timeline | null {
  const first = timeline.messages[0];
  if (!first || kept(first.message_id, border)) return timeline;
  const messages = timeline.messages.filter((message) => kept(message.message_id, border));
  if (messages.length === 0 && timeline.newer) return null;
  return { messages, older: false, newer: timeline.newer };
}

/** The chats stay; a last message that is too old is not shown, and nothing is left to be read. */
export function chatsSince(chats: Chats, border: number): Chats {
  const stale = [...chats.values()].filter((chat) => chat.last && !kept(chat.last.message_id, border));
  if (stale.length === 0) return chats;
  const next = new Map(chats);
  for (const chat of stale) next.set(chat.chat_id, { ...chat, last: null, unread: 0 });
  return next;
}
