// Lists that are long or grow shorter, and news that stay while somebody is at them.
import {
  call, chatOf, chats, expect, field, logIn, needs, openChat, person, picture, test, windowOf,
} from '../people.mjs';

const PAGES = 12;
const peerId = (n) => `cccccccc-0000-5000-8000-${String(n).padStart(12, '0')}`;

/** A window of somebody with twelve hundred chats, whom the page takes to be `peer_0` to `peer_1199`. */
async function popular(windows) {
  const entry = (n) => ({
    chat_id: peerId(n), peer: { user_id: peerId(n), username: `peer_${n}`, display_name: '' }, last_message: null, unread: 0,
    delivered_up_to: null, read_up_to: null, muted: false,
  });
  const page = await windows.open();
  await page.route('**/users/chat?*', (route) => {
    const at = Number(new URL(route.request().url()).searchParams.get('cursor') ?? 0);
    const list = Array.from({ length: 100 }, (_, n) => entry(at * 100 + n));
    return route.fulfill({ json: { status: 200, chat_ids: [], chats: list, next_cursor: at + 1 < PAGES ? String(at + 1) : null } });
  });
  await logIn(page, await person('ann'));
  await expect(chats(page).getByTestId('chat')).toHaveCount(1_000);
  return page;
}

test('the list of chats goes on beyond a thousand', async ({ windows }) => {
  const hers = await popular(windows);
  const listed = chats(hers).getByTestId('chat');
  await expect(async () => {
    await listed.last().scrollIntoViewIfNeeded();
    await expect(listed).toHaveCount(PAGES * 100, { timeout: 500 });
  }).toPass();
  await expect(listed.last()).toContainText('peer_1199');
  await expect(hers.getByText('Loading…', { exact: true })).toHaveCount(0);
});

test('a link to a chat that is far down in the list leads there', async ({ windows }) => {
  const hers = await popular(windows);
  await hers.evaluate((id) => { location.hash = `#/chats/${id}`; }, peerId(1_150));
  await expect(hers.getByRole('heading', { name: 'peer_1150', exact: true })).toBeVisible();
});

test('what is ended or unblocked in the settings leaves the focus at the next entry, or the list’s heading', async ({ windows }) => {
  const [ann, bob, cat] = [await person('ann'), await person('bob'), await person('cat')];
  for (const other of [bob, cat]) await call('PUT', `/users/${other.user_id}/block`, { token: ann.token });
  const { username, password } = ann;
  for (let n = 0; n < 2; n += 1) await call('POST', '/login', { body: { username, password } });
  const hers = await windowOf(windows, ann);
  await hers.getByRole('link', { name: 'Settings' }).click();

  const ends = hers.getByTestId('session').getByRole('button');
  await expect(ends).toHaveCount(3);
  await ends.first().press('Enter');
  await expect(ends).toHaveCount(2);
  await expect(ends.first()).toBeFocused();
  await ends.last().press('Enter');
  await expect(ends).toHaveCount(1);
  await expect(ends.first()).toBeFocused();
  await ends.first().press('Enter');
  await expect(ends).toHaveCount(0);
  await expect(hers.getByRole('heading', { name: 'Sessions', exact: true })).toBeFocused();

  const frees = hers.getByRole('list', { name: 'Blocked people', exact: true }).getByRole('button');
  await expect(frees).toHaveCount(2);
  await frees.first().press('Enter');
  await expect(frees).toHaveCount(1);
  await expect(frees.first()).toBeFocused();
  await frees.first().press('Enter');
  await expect(hers.getByText('You have blocked nobody.')).toBeVisible();
  await expect(hers.getByRole('heading', { name: 'Blocked people', exact: true })).toBeFocused();
});

test('news stay while the pointer or the focus is at them', async ({ windows }) => {
  await needs('/notifications/preferences');
  const [ann, bob] = [await person('ann'), await person('bob')];
  await chatOf(ann, bob);
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  const toast = hers.getByTestId('toast');
  const away = () => hers.mouse.move(5, 400);
  for (const [stay, go] of [
    [() => toast.hover(), away],
    [() => toast.getByRole('button', { name: 'Close', exact: true }).focus(), () => field(hers).focus()],
  ]) {
    await hers.getByRole('button', { name: 'More about this chat', exact: true }).click();
    await hers.getByRole('menuitem', { name: /^(Mute|Unmute)$/ }).click();
    // It may come where the pointer is.
    await away();
    await expect(toast).toBeVisible();
    await stay();
    // Longer than one lasts by itself.
    await hers.waitForTimeout(8_500);
    await expect(toast).toBeVisible();
    await picture(hers, 'toast-stays');
    await go();
    await expect(toast).toHaveCount(0);
  }
});

test('who searches too often is told so, and finds it after the wait without another key', async ({ windows }) => {
  await needs('/search/messages');
  const hers = await windowOf(windows, await person('ann'));
  let first;
  let afterTheWait = 0;
  await hers.route('**/search/messages?*', (route) => {
    if (new URL(route.request().url()).searchParams.get('q') !== 'boat') return route.continue();
    first ??= Date.now();
    if (Date.now() < first + 9_000) {
      return route.fulfill({ status: 429, headers: { 'retry-after': '10' }, json: { code: 'rate_limited', limit: 'search' } });
    }
    afterTheWait += 1;
    return route.fulfill({ json: { hits: [], next_cursor: null } });
  });
  const results = hers.getByRole('region', { name: 'Search results' });
  await hers.getByLabel('Search messages').fill('boat');
  await expect(results).toContainText('goes on by itself');
  await expect(results).toContainText('Nothing found.');
  expect(afterTheWait).toBe(1);
});

test('more of an earlier search does not take the place of what is found now', async ({ windows }) => {
  await needs('/search/messages');
  const hit = (n, text) => ({
    message: {
      message_id: `01900000-0000-7000-8000-${String(n).padStart(12, '0')}`, chat_id: 'cccccccc-0000-5000-8000-000000000003', sender_id: 'bbbbbbbb-0000-4000-8000-000000000002',
      type: 'text', message: text, content: text, attachments: [], reply_to: null, timestamp: '2026-01-05T12:00:00.000Z', edited_at: null, deleted: false, status: 'sent', seen_at: null,
    },
    highlights: [],
  });
  const hers = await windowOf(windows, await person('ann'));
  let held;
  await hers.route('**/search/messages?*', (route) => {
    const asked = new URL(route.request().url()).searchParams;
    if (asked.get('cursor')) held = route;
    else if (asked.get('q') === 'boat') return route.fulfill({ json: { hits: [hit(1, 'a boat')], next_cursor: 'more' } });
    else return route.fulfill({ json: { hits: [hit(2, 'the tram')], next_cursor: null } });
  });
  const hits = hers.getByTestId('hit');
  const search = hers.getByLabel('Search messages');
  await search.fill('boat');
  await expect(hits).toContainText(['a boat']);
  await hers.getByRole('button', { name: 'Show more', exact: true }).click();
  await expect.poll(() => held !== undefined).toBe(true);
  await search.fill('tram');
  await expect(hers.getByText('1 message found', { exact: true })).toBeVisible();
  // The page may have given it up already.
  await held.fulfill({ json: { hits: [hit(3, 'another boat')], next_cursor: null } }).catch(() => undefined);
  await hers.waitForTimeout(500);
  await expect(hits).toHaveText([/the tram/]);
  await expect(hers.getByText('1 message found', { exact: true })).toBeVisible();
});
