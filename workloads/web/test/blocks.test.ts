import './page';
import { beforeEach, expect, test, vi } from 'vitest';
import { strings } from '../src/i18n/en';
import { block, loadBlocks } from '../src/session/blocks';
import { blocked, identity, reset } from '../src/session/state';
import { toasts } from '../src/session/toasts';
import { loaded } from '../src/store/chats';
import { drawn } from './drawn';
import { ANN, BOB, CHAT, entry } from './sample';

const { server } = vi.hoisted(() => ({ server: { blocks: vi.fn(), block: vi.fn(), unblock: vi.fn() } }));
vi.mock('../src/api/accounts', () => server);

const CAT = 'cccccccc-0000-4000-8000-000000000003';
const shown = () => [...blocked.value];

beforeEach(() => {
  reset();
  identity.value = { user_id: ANN, username: 'ann' };
});

test('who is blocked or unblocked while the list is on its way is so after it, too', async () => {
  blocked.value = new Set([BOB]);
  let answer = (_: object[]) => undefined as void;
  server.blocks.mockReturnValueOnce(new Promise((resolve) => { answer = resolve; }));
  const loading = loadBlocks();
  await block(BOB, false);
  await block(CAT, true);
  answer([{ user_id: BOB }]);
  await loading;
  expect(shown()).toEqual([CAT]);
  server.blocks.mockResolvedValueOnce([{ user_id: BOB }]);
  await loadBlocks();
  expect(shown()).toEqual([BOB]);
});

test('a list that comes after its user has left is nobody’s', async () => {
  server.blocks.mockImplementationOnce(async () => {
    reset();
    identity.value = { user_id: BOB, username: 'bob' };
    return [{ user_id: CAT }];
  });
  expect(await loadBlocks()).toEqual([]);
  expect(shown()).toEqual([]);
});

test.each([[ANN, [strings.unblockedNow('Bob')]], [CAT, []]])('that somebody is unblocked is told to who wanted that, and not to the next user', async (user_id, expected) => {
  vi.stubGlobal('matchMedia', () => ({ matches: false }));
  const { ConversationHead } = await import('../src/views/ConversationHead');
  const { Menu } = await import('../src/views/Menu');
  blocked.value = new Set([BOB]);
  let answer = () => undefined as void;
  server.unblock.mockReturnValueOnce(new Promise<void>((resolve) => { answer = resolve; }));
  const chat = loaded(new Map(), [entry()], ANN, Date.now()).get(CHAT)!;
  const { items } = drawn(ConversationHead, { chat, searching: false, onSearch: () => undefined })(Menu as never) as { items: { label: string; act(): void }[] };
  items.find((one) => one.label === strings.unblock)!.act();
  if (user_id !== ANN) reset();
  identity.value = { user_id, username: 'someone' };
  answer();
  await new Promise((resolve) => setTimeout(resolve));
  expect(toasts.value.map((one) => one.header)).toEqual(expected);
});
