import { describe, expect, test } from 'vitest';
import { arrived, changed, deleted, extended, left, newerOf, refreshed, union, type Timeline } from '../src/store/timeline';
import { ids, idAt, message } from './sample';

const timeline = (from: number, to: number, ends: Partial<Timeline> = {}): Timeline => ({
  messages: Array.from({ length: to - from }, (_, n) => message(from + n)), older: false, newer: false, ...ends,
});

describe('the order of messages', () => {
  test('is that of ids, whatever the order in which they come', () => {
    expect(ids(union([message(3), message(1)], [message(4), message(2)]))).toEqual([1, 2, 3, 4].map(idAt));
  });

  test('a message that comes live and again by sync is there once', () => {
    const once = arrived(timeline(0, 2), message(2));
    expect(ids(arrived(once, message(2)).messages)).toEqual([0, 1, 2].map(idAt));
  });

  test('a message that comes late takes its place', () => {
    const late = arrived({ messages: [message(1), message(3)], older: false, newer: false }, message(2));
    expect(ids(late.messages)).toEqual([1, 2, 3].map(idAt));
  });
});

describe('two states of one message', () => {
  test('a later edit wins, an earlier one changes nothing', () => {
    const first = message(1, { message: 'one', edited_at: '2026-01-05T12:01:00.000Z' });
    const second = message(1, { message: 'two', edited_at: '2026-01-05T12:02:00.000Z' });
    expect(newerOf(first, second).message).toBe('two');
    expect(newerOf(second, first).message).toBe('two');
    expect(newerOf(second, message(1)).message).toBe('two');
  });

  test('what was deleted stays deleted', () => {
    const gone = deleted(timeline(0, 2), idAt(1)).messages[1]!;
    expect(gone).toMatchObject({ deleted: true, message: '', content: '', attachments: [] });
    expect(newerOf(gone, message(1, { edited_at: '2027-01-01T00:00:00.000Z' })).deleted).toBe(true);
  });

  test('a status never goes back', () => {
    expect(newerOf(message(1, { status: 'read' }), message(1, { status: 'delivered' })).status).toBe('read');
    expect(newerOf(message(1, { status: 'sent' }), message(1, { status: 'delivered' })).status).toBe('delivered');
  });
});

describe('pages', () => {
  test('older ones go before, and tell whether there are more', () => {
    const more = extended(timeline(5, 8, { older: true }), [message(4), message(3)], { older: true });
    expect(ids(more.messages)).toEqual([3, 4, 5, 6, 7].map(idAt));
    expect(more.older).toBe(true);
    expect(extended(more, [], { older: false }).older).toBe(false);
  });

  test('the newest page is joined to what the cache had when they overlap', () => {
    const next = refreshed(timeline(0, 5, { older: true }), [message(6), message(5), message(4)], true);
    expect(ids(next.messages)).toEqual([0, 1, 2, 3, 4, 5, 6].map(idAt));
    expect(next.older).toBe(true);
  });

  test('it replaces what the cache had when there is a gap between', () => {
    expect(ids(refreshed(timeline(0, 3), [message(9), message(8)], true).messages)).toEqual([8, 9].map(idAt));
  });

  test('a page that begins with the first message of all replaces everything', () => {
    expect(ids(refreshed(timeline(0, 3), [message(2), message(1)], false).messages)).toEqual([1, 2].map(idAt));
  });
});

describe('a timeline that ends in the past', () => {
  const past = timeline(0, 3, { newer: true });

  test('takes no new message: there is a gap between', () => {
    expect(arrived(past, message(9))).toBe(past);
  });

  test('still shows edits of what it has', () => {
    expect(changed(past, message(1, { message: 'new', edited_at: '2026-02-01T00:00:00.000Z' })).messages[1]!.message).toBe('new');
  });
});

test('edits and deletions of what is not there change nothing', () => {
  const known = timeline(0, 2);
  expect(changed(known, message(7))).toBe(known);
  expect(deleted(known, idAt(7))).toBe(known);
});

test('of a chat that is left the newest messages stay, and nothing of a jump into the past', () => {
  expect(left(timeline(0, 3, { newer: true }), 2)).toBeNull();
  const short = timeline(0, 2);
  expect(left(short, 2)).toBe(short);
  const kept = left(timeline(0, 5), 2)!;
  expect(ids(kept.messages)).toEqual([3, 4].map(idAt));
  expect(kept.older).toBe(true);
});
