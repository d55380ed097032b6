import { describe, expect, test } from 'vitest';
import { advance, advanceBy, NO_MARKS, statusOf } from '../src/store/receipts';
import { asMessage, delivered, doubted, due, failed, queued, retried, type Outbox, type Outgoing } from '../src/store/outbox';
import { backOff } from '../src/store/waits';
import { ANN, BOB, CHAT, idAt, message } from './sample';

const one = (id: string, chat_id = CHAT): Outgoing => ({
  client_message_id: id, chat_id, message: id, type: 'text', attachments: [], reply_to: null, created_at: 0, state: 'pending', reason: null,
});
const box = (...list: Outgoing[]): Outbox => list.reduce<Outbox>(queued, []);

describe('the outbox', () => {
  test('sends the first of each chat, and no second one while one is on its way', () => {
    const outbox = box(one('1'), one('2'), one('3', 'other'));
    expect(due(outbox, new Set()).map((each) => each.client_message_id)).toEqual(['1', '3']);
    expect(due(outbox, new Set([CHAT])).map((each) => each.client_message_id)).toEqual(['3']);
  });

  test('goes on after one that failed, and takes it again when asked', () => {
    const outbox = failed(box(one('1'), one('2')), '1', 'why');
    expect(outbox[0]).toMatchObject({ state: 'failed', reason: 'why' });
    expect(due(outbox, new Set()).map((each) => each.client_message_id)).toEqual(['2']);
    expect(due(retried(outbox, '1', 1), new Set())[0]).toMatchObject({ client_message_id: '1', reason: null });
  });

  test('sends nothing by itself that the server may no longer recognise, and what was asked for then without asking again', () => {
    const DAY = 86_400_000;
    const outbox = box(one('1'), { ...one('2'), created_at: 2 * DAY });
    expect(doubted(outbox, 'old', 6 * DAY)).toBe(outbox);
    const later = doubted(outbox, 'old', 7 * DAY);
    expect(later.map((each) => [each.state, each.reason])).toEqual([['failed', 'old'], ['pending', null]]);
    expect(doubted(retried(later, '1', 7 * DAY), 'old', 7 * DAY + 1)[0]).toMatchObject({ state: 'pending' });
  });

  test('holds a message once, also when it was restored', () => {
    expect(queued(box(one('1')), one('1'))).toHaveLength(1);
  });

  test('lets go of a message when it comes back from the server, and of nobody else’s', () => {
    const outbox = box(one('1'), one('2'));
    const back = delivered(outbox, message(1, { sender_id: ANN, client_message_id: '1' }), ANN);
    expect(back.map((each) => each.client_message_id)).toEqual(['2']);
    expect(delivered(outbox, message(1, { sender_id: BOB, client_message_id: '1' }), ANN)).toBe(outbox);
    expect(delivered(outbox, message(1, { sender_id: ANN, client_message_id: 'x' }), ANN)).toBe(outbox);
  });

  test('waits longer each time, but not for ever', () => {
    expect([1, 2, 3].map(backOff)).toEqual([1000, 2000, 4000]);
    expect(backOff(50)).toBe(30_000);
  });

  test('an acknowledged message looks as the server would tell it', () => {
    expect(asMessage(one('1'), ANN, idAt(4), message(4).timestamp)).toEqual(
      message(4, { sender_id: ANN, message: '1', content: '1', client_message_id: '1' }),
    );
  });
});

describe('ticks', () => {
  test('follow the watermarks of the other member', () => {
    const mine = message(5, { sender_id: ANN });
    expect(statusOf(mine, NO_MARKS)).toBe('sent');
    expect(statusOf(mine, { delivered: idAt(5), read: idAt(4) })).toBe('delivered');
    expect(statusOf(mine, { delivered: idAt(6), read: idAt(6) })).toBe('read');
    expect(statusOf({ ...mine, status: 'read' }, NO_MARKS)).toBe('read');
  });

  test('a message that was read says so for all before it', () => {
    const marks = advanceBy(NO_MARKS, message(5, { sender_id: ANN, status: 'read' }));
    expect(statusOf(message(3, { sender_id: ANN }), marks)).toBe('read');
    expect(advance(marks, idAt(2), null)).toBe(marks);
  });
});
