import { describe, expect, test } from 'vitest';
import { bytesOf, excerpt, onlyEmoji, pieces } from '../src/store/text';

const links = (text: string): (string | undefined)[] => pieces(text).flatMap((piece) => (piece.href ? [piece.text] : []));

describe('web addresses', () => {
  test('are links, without the sentence around them', () => {
    expect(links('see https://example.com/a?b=1, and (http://example.org/x(y)).')).toEqual(['https://example.com/a?b=1', 'http://example.org/x(y)']);
    expect(links('"https://example.com/" and https://example.com…')).toEqual(['https://example.com/', 'https://example.com']);
  });

  test('nothing else is: no script, no data, no file', () => {
    expect(links('javascript:alert(1) data:text/html,x file:///etc/passwd //example.com xhttps://example.com')).toEqual([]);
    expect(links('https://')).toEqual([]);
  });

  test('the text stays as it was written', () => {
    const text = 'a <b>bold</b> https://example.com/ü 🙂';
    expect(pieces(text).map((piece) => piece.text).join('')).toBe(text);
    expect(pieces(text).find((piece) => piece.href)?.href).toBe('https://example.com/%C3%BC');
  });
});

describe('what a search found', () => {
  test('is marked by UTF-16 code units', () => {
    expect(pieces('🙂 hello you', [[3, 8]])).toEqual([{ text: '🙂 ' }, { text: 'hello', found: true }, { text: ' you' }]);
  });

  test('may lie in a link, and may be out of bounds', () => {
    const found = pieces('x https://example.com y', [[10, 17], [50, 60]]);
    expect(found.filter((piece) => piece.found)).toEqual([{ text: 'example', href: 'https://example.com/', found: true }]);
    expect(found.filter((piece) => piece.href)).toHaveLength(3);
  });

  test('an excerpt begins near it and marks the same words', () => {
    const text = `${'word '.repeat(100)}needle ${'more '.repeat(100)}`;
    const at = text.indexOf('needle');
    const cut = excerpt(text, [[at, at + 6]]);
    const [start = 0, end = 0] = cut.ranges[0]!;
    expect(cut.text.slice(start, end)).toBe('needle');
    expect(cut.text.startsWith('…') && cut.text.endsWith('…') && cut.text.length < 160).toBe(true);
  });

  test('a short text is its own excerpt', () => {
    expect(excerpt('hello you', [[6, 9]])).toEqual({ text: 'hello you', ranges: [[6, 9]] });
  });

  test('an excerpt never cuts an emoji in two', () => {
    for (let n = 30; n < 50; n += 1) {
      const text = `${'🙂'.repeat(n)}needle${'🙂'.repeat(100)}`;
      expect(excerpt(text, [[n * 2, n * 2 + 6]]).text).not.toMatch(/^…?[\udc00-\udfff]|[\ud800-\udbff]…?$/);
    }
  });
});

test('a few emoji alone are large, words and digits are not', () => {
  expect(['🎉', '👍🏽 🙂', '👩‍👩‍👧', '🇳🇱', '❤️'].every(onlyEmoji)).toBe(true);
  expect(['hi 🎉', '123', '', ' ', '🎉'.repeat(40)].some(onlyEmoji)).toBe(false);
});

test('the limit of a message is in bytes', () => {
  expect(bytesOf('aé🙂')).toBe(7);
});
