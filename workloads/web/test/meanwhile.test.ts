import { expect, test } from 'vitest';
import { meanwhile } from '../src/session/meanwhile';

test('what happens before an answer comes is repeated on it, in its order, and on no later one', async () => {
  const texts = meanwhile<string>();
  texts.happened((text) => `${text} before`);
  let come = (_: string) => undefined as void;
  const asked = texts.ask(() => new Promise<string>((resolve) => { come = resolve; }));
  texts.happened((text) => `${text} one`);
  texts.happened((text) => `${text} two`);
  come('old');
  const { answer, repeat } = await asked;
  expect(repeat(answer)).toBe('old one two');
  const later = await texts.ask(async () => 'new');
  expect(later.repeat(later.answer)).toBe('new');
});

test('a question that failed leaves nothing behind', async () => {
  const texts = meanwhile<string>();
  await expect(texts.ask(async () => { throw new Error('lost'); })).rejects.toThrow('lost');
  texts.happened(() => { throw new Error('repeated on nothing'); });
});
