// How far the members of a chat have got. Watermarks only move forwards, whatever the order of news about them.
import type { Message, MessageStatus } from '../api/types';
import { later, reaches } from './ids';
import type { Timeline } from './timeline';

export interface Marks {
  readonly delivered: string | null;
  readonly read: string | null;
}

/** Whether messages that nobody has seen may be above the part of a history that is loaded: it begins after the mark of
 * what is read, and has fewer of the other member's messages than are unread. */
export function unseenAbove(timeline: Timeline | undefined, read: string | null, unread: number, me: string): boolean {
  const first = timeline?.messages[0];
  if (!timeline?.older || !first || reaches(read, first.message_id)) return false;
  return timeline.messages.filter((message) => message.sender_id !== me && !message.deleted).length < unread;
}

export const NO_MARKS: Marks = { delivered: null, read: null };

/** What is read has been delivered. */
export function advance(marks: Marks, delivered: string | null | undefined, read: string | null | undefined): Marks {
  const nextRead = later(marks.read, read);
  const nextDelivered = later(later(marks.delivered, delivered), nextRead);
  return nextRead === marks.read && nextDelivered === marks.delivered ? marks : { delivered: nextDelivered, read: nextRead };
}

/** What a message of one's own says about how far the other member has got. */
export function advanceBy(marks: Marks, message: Message): Marks {
  if (message.status === 'read') return advance(marks, null, message.message_id);
  if (message.status === 'delivered') return advance(marks, message.message_id, null);
  return marks;
}

/** How far a message has got, by all that is known. */
export function statusOf(message: Message, theirs: Marks): MessageStatus {
  if (message.status === 'read' || reaches(theirs.read, message.message_id)) return 'read';
  if (message.status === 'delivered' || reaches(theirs.delivered, message.message_id)) return 'delivered';
  return 'sent';
}
