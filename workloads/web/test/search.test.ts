import './page';
import { expect, test, vi } from 'vitest';
import { ApiError } from '../src/api/problem';
import { strings } from '../src/i18n/en';
import { SearchResultsList } from '../src/views/SearchResultsList';
import { drawn } from './drawn';
import { message } from './sample';

const { search } = vi.hoisted(() => ({ search: vi.fn() }));
vi.mock('../src/api/messages', () => ({ search, chats: vi.fn(), history: vi.fn(), startChat: vi.fn() }));

const page = (n: number, next_cursor: string | null) => ({ hits: [{ message: message(n), highlights: [] }], next_cursor });
const cursors = () => search.mock.calls.map(([wanted]) => wanted.cursor);

test('more of what was found is asked for once, however often one clicks while the server has it wait', async () => {
  search.mockResolvedValueOnce(page(3, 'c1'));
  const find = drawn(SearchResultsList, { text: 'hello' });
  const more = () => find('button', strings.more)!;
  const click = () => (more().onClick as () => void)();
  const note = () => find('p')!.children;
  await vi.waitFor(() => expect(more()).toMatchObject({ 'aria-disabled': false }), { timeout: 3_000 });
  search.mockRejectedValueOnce(new ApiError(429, 'rate_limited', '', {}, 0.5)).mockResolvedValueOnce(page(2, 'c2'));
  click();
  click();
  await vi.waitFor(() => expect([note(), more()['aria-disabled']]).toEqual([strings.searchWaits, true]), { timeout: 3_000 });
  for (let times = 0; times < 3; times += 1) click();
  await vi.waitFor(() => expect([note(), more()['aria-disabled']]).toEqual([strings.results(2, true), false]), { timeout: 3_000 });
  expect(cursors()).toEqual([undefined, 'c1', 'c1']);
  search.mockResolvedValueOnce(page(1, null));
  click();
  await vi.waitFor(() => expect(find('button', strings.more)).toBeUndefined());
  expect([note(), cursors().at(-1)]).toEqual([strings.results(3, false), 'c2']);
});
