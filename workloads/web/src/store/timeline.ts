// The part of a chat's history that is on screen: without gaps, in the order of ids, each message once.
import type { Message, MessageStatus } from '../api/types';

export interface Timeline {
  /** Oldest first. */
  readonly messages: readonly Message[];
  /** Whether there may be older ones than the first. */
  readonly older: boolean;
  /** Whether there are newer ones than the last: a jump into the past leaves a gap to the present. */
  readonly newer: boolean;
}

const RANK: Record<MessageStatus, number> = { sent: 0, delivered: 1, read: 2 };

/** The newer of two states of one message: a deletion is final, a later edit wins, and a status never goes back. */
export function newerOf(known: Message, incoming: Message): Message {
  const status = RANK[incoming.status] >= RANK[known.status] ? incoming.status : known.status;
  const seen_at = incoming.seen_at ?? known.seen_at ?? null;
  const stale =
    (known.deleted && !incoming.deleted) ||
    (!incoming.deleted && (known.edited_at ?? '') > (incoming.edited_at ?? ''));
  const base = stale ? known : incoming;
  return base.status === status && (base.seen_at ?? null) === seen_at ? base : { ...base, status, seen_at };
}

/** Both lists as one, in order, each message once. */
export function union(known: readonly Message[], incoming: readonly Message[]): readonly Message[] {
  const byId = new Map(known.map((message) => [message.message_id, message]));
  for (const message of incoming) {
    const before = byId.get(message.message_id);
    byId.set(message.message_id, before ? newerOf(before, message) : message);
  }
  return [...byId.values()].sort((a, b) => (a.message_id < b.message_id ? -1 : 1));
}

/** A page of history with what is older, or newer, than what is there. */
export function extended(
  timeline: Timeline,
  page: readonly Message[],
  end: { older?: boolean; newer?: boolean },
): Timeline {
  return {
    messages: union(timeline.messages, page),
    older: end.older ?? timeline.older,
    newer: end.newer ?? timeline.newer,
  };
}

/** The newest page has come while an older state (from the cache) was shown: joined if they overlap, else replaced. */
export function refreshed(timeline: Timeline | undefined, page: readonly Message[], older: boolean): Timeline {
  const fresh: Timeline = { messages: union([], page), older, newer: false };
  const oldest = fresh.messages[0];
  if (!timeline || timeline.newer || !oldest || !older) return fresh;
  if (!timeline.messages.some((message) => message.message_id === oldest.message_id)) return fresh;
  const earlier = timeline.messages.filter((message) => message.message_id < oldest.message_id);
  return { messages: union(earlier, fresh.messages), older: timeline.older, newer: false };
}

/** A message that came by itself. It goes in if the timeline reaches that far; a gap must not be jumped. */
export function arrived(timeline: Timeline, message: Message): Timeline {
  const { messages, newer, older } = timeline;
  const first = messages[0];
  const last = messages.at(-1);
  if (newer && (!last || message.message_id > last.message_id)) return timeline;
  if (older && first && message.message_id < first.message_id) return timeline;
  return { ...timeline, messages: union(messages, [message]) };
}

/** Replaces a message if it is there. */
export function changed(timeline: Timeline, message: Message): Timeline {
  const at = timeline.messages.findIndex((one) => one.message_id === message.message_id);
  const known = timeline.messages[at];
  if (!known) return timeline;
  const messages = timeline.messages.slice();
  messages[at] = newerOf(known, message);
  return { ...timeline, messages };
}

/** What is left of a message that was deleted. */
export const tombstone = (message: Message): Message =>
  message.deleted ? message : { ...message, deleted: true, message: '', content: '', attachments: [] };

export function deleted(timeline: Timeline, message_id: string): Timeline {
  const known = timeline.messages.find((one) => one.message_id === message_id);
  return known ? changed(timeline, tombstone(known)) : timeline;
}

/** What is kept of a chat that is left: its newest messages. A part of the past is nothing to come back to. */
export function left(timeline: Timeline, size: number): Timeline | null {
  if (timeline.newer) return null;
  if (timeline.messages.length <= size) return timeline;
  return { messages: timeline.messages.slice(-size), older: true, newer: false };
}

/** Whether a part that should reach to the present does: it has the chat's last message. */
export const complete = (timeline: Timeline, last: Message | null): boolean =>
  !timeline.newer && (!last || (timeline.messages.at(-1)?.message_id ?? '') >= last.message_id);
