// What a message's text is made of: words, web addresses, and what a search found. Nothing in it is markup.

export interface Piece {
  readonly text: string;
  readonly href?: string;
  readonly found?: boolean;
}

const ADDRESS = /\bhttps?:\/\/[^\s<>"'`\u2018-\u201f]+/giu;
/** What ends a sentence rather than an address. */
const TRAILING = /[.,;:!?…]+$/u;

/** From where to where the web addresses in a text are. */
function addresses(text: string): { start: number; end: number; href: string }[] {
  const result = [];
  for (const match of text.matchAll(ADDRESS)) {
    let found = match[0].replace(TRAILING, '');
    // A bracket that was opened before the address is not part of it.
    while (/[)\]}]$/.test(found) && !balanced(found)) found = found.slice(0, -1).replace(TRAILING, '');
    let href: string;
    try {
      href = new URL(found).href;
    } catch {
      continue;
    }
    result.push({ start: match.index, end: match.index + found.length, href });
  }
  return result;
}

function balanced(text: string): boolean {
  const count = (character: string) => text.split(character).length;
  return count('(') === count(')') && count('[') === count(']') && count('{') === count('}');
}

/** Splits a text. `ranges` are what a search found: from which UTF-16 code unit up to which. */
export function pieces(text: string, ranges: readonly (readonly number[])[] = []): Piece[] {
  const links = addresses(text);
  const cuts = new Set([0, text.length]);
  for (const { start, end } of links) cuts.add(start).add(end);
  for (const [start = 0, end = 0] of ranges) {
    cuts.add(Math.max(0, Math.min(start, text.length))).add(Math.max(0, Math.min(end, text.length)));
  }
  const order = [...cuts].sort((a, b) => a - b);
  const result: Piece[] = [];
  for (let n = 0; n + 1 < order.length; n += 1) {
    const start = order[n]!;
    const end = order[n + 1]!;
    const link = links.find((one) => one.start <= start && end <= one.end);
    const found = ranges.some(([from = 0, to = 0]) => from <= start && end <= to);
    result.push({ text: text.slice(start, end), ...(link ? { href: link.href } : {}), ...(found ? { found: true } : {}) });
  }
  return result;
}

const EMOJI_ONLY = /^(?:\p{Extended_Pictographic}|\p{Emoji_Modifier}|\p{Regional_Indicator}|[\u200d\ufe0f\u20e3]|\s)+$/u;

/** Whether a text is a few emoji and nothing else: those are shown large. */
export function onlyEmoji(text: string): boolean {
  const trimmed = text.trim();
  return trimmed !== '' && trimmed.length <= 32 && EMOJI_ONLY.test(trimmed);
}

/** A part of a text around the first thing that was found, with the ranges moved along. */
export function excerpt(text: string, ranges: readonly (readonly number[])[], size = 140): { text: string; ranges: number[][] } {
  const first = ranges[0]?.[0] ?? 0;
  let start = Math.max(0, first - Math.floor(size / 4));
  if (start > 0) {
    const space = text.indexOf(' ', start);
    if (space !== -1 && space < first) start = space + 1;
    else if (/[\udc00-\udfff]/.test(text[start] ?? '')) start -= 1;
  }
  let end = Math.min(text.length, start + size);
  if (/[\udc00-\udfff]/.test(text[end] ?? '')) end += 1;
  const before = start > 0 ? '…' : '';
  const cut = before + text.slice(start, end) + (end < text.length ? '…' : '');
  const moved = ranges
    .filter(([from = 0, to = 0]) => from < end && to > start)
    .map(([from = 0, to = 0]) => [Math.max(from, start) - start + before.length, Math.min(to, end) - start + before.length]);
  return { text: cut, ranges: moved };
}

/** How long a message may be until the server has said it. */
export const BYTES_MAX = 16 * 1024;
export const bytesOf = (text: string): number => new TextEncoder().encode(text).length;
