import { expect, test } from 'vitest';
import { ApiError } from '../src/api/problem';
import { faultText, sentence } from '../src/i18n/faults';

test('what the server says is told as a sentence', () => {
  expect(sentence('a username has 3 to 32 letters')).toBe('A username has 3 to 32 letters.');
  expect(sentence('Is that so?')).toBe('Is that so?');
  expect(sentence('')).toBe('');
  expect(faultText(new ApiError(409, 'taken', 'this name is taken'))).toBe('This name is taken.');
});
