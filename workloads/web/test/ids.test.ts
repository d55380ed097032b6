import { describe, expect, test } from 'vitest';
import { later, newId, reaches, timeOf } from '../src/store/ids';
import { idAt, message } from './sample';

describe('ids', () => {
  test('begin with their time', () => {
    expect(timeOf(idAt(7))).toBe(Date.parse(message(7).timestamp));
  });

  test('are compared as text, and nothing is before everything', () => {
    expect(later(idAt(1), idAt(2))).toBe(idAt(2));
    expect(later(null, idAt(2))).toBe(idAt(2));
    expect(later(undefined, null)).toBeNull();
    expect([reaches(idAt(2), idAt(2)), reaches(idAt(1), idAt(2)), reaches(null, idAt(1))]).toEqual([true, false, false]);
  });

  test('new ones are random UUIDs', () => {
    expect(newId()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(new Set(Array.from({ length: 100 }, newId)).size).toBe(100);
  });
});
