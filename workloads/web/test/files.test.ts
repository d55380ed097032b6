import { expect, test } from 'vitest';
import { areFiles, fitting } from '../src/store/files';
import { bytesOf } from '../src/store/text';

test.each([
  ['list.txt', 'list.txt'], ['  a b.png ', 'a b.png'], ['', 'file'], ['..', 'file'], ['\u200f', 'file'],
  ['\u200fقائمة.pdf', 'قائمة.pdf'], ['a\u202egnp.exe', 'agnp.exe'], ['a/b\\c\n.txt', 'abc.txt'],
])('a file named %j goes as %j', (name, sent) => {
  expect(fitting(name)).toBe(sent);
});

test.each(['รายงานการประชุม', '会议记录', '👩‍👩‍👧', 'x'])('a name that is too long (%s…) is cut between letters, and keeps its ending', (letters) => {
  const sent = fitting(`${letters.repeat(300)}.pdf`);
  expect(bytesOf(sent)).toBeLessThanOrEqual(255);
  expect(bytesOf(sent)).toBeGreaterThan(200);
  expect(sent).toMatch(/….pdf$/);
  expect(letters.repeat(300).startsWith(sent.slice(0, -5))).toBe(true);
  expect(sent).not.toMatch(/[\ud800-\udbff](?![\udc00-\udfff])/);
});

test('what comes after the last dot of a long name is an ending only when it is short', () => {
  expect(fitting(`a.${'x'.repeat(300)}`)).toBe(`a.${'x'.repeat(250)}…`);
});

test.each([
  ['a screenshot', ['Files'], true], ['a picture of a page', ['text/html', 'Files'], true], ['a file with its name', ['text/plain', 'Files'], true],
  ['cells of a table, with a picture of them', ['text/plain', 'text/html', 'text/rtf', 'Files'], false], ['words', ['text/plain', 'text/html'], false],
])('%s is pasted as files or as text', (_, types, files) => {
  expect(areFiles(types)).toBe(files);
});
