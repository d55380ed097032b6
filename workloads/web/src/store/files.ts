// Files that people want to send: whether what they paste is some, and names that the server takes.
import { bytesOf } from './text';

/** Control characters, what parts a path, and what turns the direction of letters. */
const UNFIT = /[\p{Cc}/\\\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const BYTES_MAX = 255;
/** Longer endings are none. */
const ENDING_MAX = 16;

/** A name that the server takes. One that is too long loses its middle, so that it still says what kind of file it is. */
export function fitting(name: string): string {
  const whole = name.replace(UNFIT, '').trim();
  if (whole === '' || whole === '.' || whole === '..') return 'file';
  if (bytesOf(whole) <= BYTES_MAX) return whole;
  const dot = whole.lastIndexOf('.');
  const ending = dot > 0 && whole.length - dot <= ENDING_MAX ? `…${whole.slice(dot)}` : '…';
  const room = BYTES_MAX - bytesOf(ending);
  let kept = '';
  for (const segment of charactersOf(whole)) {
    if (bytesOf(kept + segment) > room) break;
    kept += segment;
  }
  return kept.trimEnd() + ending;
}

/** What is read as one character, or, where the browser can't tell (Firefox before 125), each code point. */
const charactersOf = (text: string): string[] =>
  'Segmenter' in Intl ? Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment) : Array.from(text);

/** Whether files are pasted, by the types of what is on the clipboard. Office programs put a picture of a text beside it. */
export const areFiles = (types: readonly string[]): boolean =>
  types.includes('Files') && !(types.includes('text/plain') && types.includes('text/html'));
