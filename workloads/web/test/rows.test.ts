import { describe, expect, test } from 'vitest';
import { rows, type Row } from '../src/store/rows';
import { ANN, BOB, idAt, message } from './sample';

const shape = (list: readonly Row[]): string[] =>
  list.map((row) => (row.kind === 'message' || row.kind === 'outgoing' ? `${row.kind}${row.first ? ' first' : ''}${row.last ? ' last' : ''}` : row.kind));
const DAY = 86_400;

describe('the rows of a conversation', () => {
  test('messages of one person that follow each other make a group', () => {
    const list = [message(0), message(10), message(20, { sender_id: ANN }), message(30)];
    expect(shape(rows(list, [], ANN, undefined))).toEqual([
      'day', 'message first', 'message last', 'message first last', 'message first last',
    ]);
  });

  test('a long pause ends a group', () => {
    expect(shape(rows([message(0), message(600)], [], ANN, undefined))).toEqual(['day', 'message first last', 'message first last']);
  });

  test('each day has its heading', () => {
    expect(shape(rows([message(0), message(DAY), message(DAY + 5)], [], ANN, undefined))).toEqual([
      'day', 'message first last', 'day', 'message first', 'message last',
    ]);
  });

  test('the mark of new messages is before the first that was not read, and there is one', () => {
    const list = [message(0), message(1), message(2)];
    expect(shape(rows(list, [], ANN, idAt(0)))).toEqual(['day', 'message first', 'new', 'message first', 'message last']);
    expect(shape(rows(list, [], ANN, null))[1]).toBe('new');
    expect(shape(rows(list, [], ANN, idAt(2)))).not.toContain('new');
  });

  test('own messages are never new', () => {
    expect(shape(rows([message(0), message(1, { sender_id: ANN })], [], ANN, idAt(0)))).not.toContain('new');
  });

  test('what is not sent yet comes last, and joins the group of own messages', () => {
    const mine = message(0, { sender_id: ANN });
    const outgoing = {
      client_message_id: 'x', chat_id: mine.chat_id, message: 'x', type: 'text' as const, attachments: [], reply_to: null,
      created_at: Date.parse(mine.timestamp) + 1000, state: 'pending' as const, reason: null,
    };
    expect(shape(rows([mine], [outgoing], ANN, undefined))).toEqual(['day', 'message first', 'outgoing last']);
    expect(shape(rows([message(0, { sender_id: BOB })], [outgoing], ANN, undefined))).toEqual(['day', 'message first last', 'outgoing first last']);
  });
});
