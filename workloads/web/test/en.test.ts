import { expect, test } from 'vitest';
import { strings } from '../src/i18n/en';

/** Those that take numbers. */
const COUNTS = ['documentTitle', 'unreadCount', 'tooLong', 'uploading', 'tooManyFiles', 'results', 'peopleFound', 'unsentText'];
/** Those that only ask what kind of device it is. */
const KINDS = ['shortcuts'];

test('what people have written stands apart in every sentence, whichever way it is written', () => {
  const sentences = Object.entries(strings).filter(([key, value]) => typeof value === 'function' && ![...COUNTS, ...KINDS].includes(key)) as [string, (...texts: string[]) => string][];
  expect(sentences.length).toBeGreaterThan(15);
  for (const [key, sentence] of sentences) {
    const words = ['דנה', 'سلام'].slice(0, sentence.length);
    const written = sentence(...words);
    for (const word of words) expect(written, key).toContain(`\u2068${word}\u2069`);
  }
});

test('the title says where one is, and how much is unread', () => {
  expect(strings.documentTitle(null, 0)).toBe('Sentinel');
  expect(strings.documentTitle('Settings', 0)).toBe('\u2068Settings\u2069 – Sentinel');
  expect(strings.documentTitle('bob', 120)).toBe('(99+) \u2068bob\u2069 – Sentinel');
});

test('a name can’t turn the words after it', () => {
  expect(strings.blockedNow('ann\u2069\u202e')).toBe('\u2068ann\u2069 is blocked.');
});
