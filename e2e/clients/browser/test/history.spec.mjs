// What was written before: paging back, and finding again.
import { call, chatOf, expect, log, message, needs, openChat, person, picture, say, test, windowOf, write } from '../people.mjs';

const NEEDLE = 'the password of the lighthouse is Käsekuchen';

/** Two people with a long chat that she has read, one line of which is far back. */
async function longChat(lines) {
  const [ann, bob] = [await person('ann'), await person('bob')];
  const chat = await chatOf(ann, bob);
  let [first, last] = [];
  for (let line = 1; line <= lines; line += 1) {
    last = await write(line % 3 === 0 ? bob : ann, chat, line === 5 ? NEEDLE : `line ${String(line).padStart(3, '0')}`);
    first ??= last;
  }
  await call('POST', `/users/chat/${chat}/read`, { token: ann.token, body: { message_id: last.message_id } });
  return { ann, bob, chat, first };
}

test('what is searched for is marked, and a hit leads to its place', async ({ windows }) => {
  await needs('/search/messages');
  const { ann, bob } = await longChat(140);
  const hers = await windowOf(windows, ann);
  const hit = hers.getByTestId('hit');
  await expect(async () => {
    await hers.getByLabel('Search messages').fill('lighthouse kasekuch');
    await expect(hit).toHaveCount(1, { timeout: 3_000 });
  }).toPass();
  await expect(hit).toContainText(bob.username);
  await expect(hit.locator('mark')).toHaveText(['lighthouse', 'Käsekuch']);
  await picture(hers, 'search');
  await hit.click();
  await expect(message(hers, 'Käsekuchen')).toBeInViewport();
  await picture(hers, 'search-jump');
  // Newer messages follow as one scrolls down, to the newest.
  await log(hers).hover();
  await expect(async () => {
    await hers.mouse.wheel(0, 4000);
    await expect(message(hers, 'line 140')).toBeInViewport({ timeout: 1_000 });
  }).toPass({ timeout: 60_000 });
  // The same hit leads back.
  await hit.click();
  await expect(message(hers, 'Käsekuchen')).toBeInViewport();
});

test('older messages come as one scrolls up, and the view stays where it was', async ({ windows }) => {
  const { ann, bob } = await longChat(140);
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  await expect(message(hers, 'line 140')).toBeInViewport();
  await expect(message(hers, 'line 001')).toHaveCount(0);
  await log(hers).hover();
  // Each turn of the wheel may fetch a page; the first message is there in the end.
  await expect(async () => {
    await hers.mouse.wheel(0, -4000);
    await expect(message(hers, 'line 001')).toBeInViewport({ timeout: 1_000 });
  }).toPass({ timeout: 60_000 });
  await picture(hers, 'oldest');
  const texts = await hers.getByTestId('message').allInnerTexts();
  const lines = texts.map((text) => /line (\d{3})/.exec(text)?.[1]).filter(Boolean);
  expect(lines).toEqual([...lines].sort());
  expect(new Set(lines).size).toBe(lines.length);
  expect(lines.length).toBe(139);
});

test('with more unread messages than a page has, one begins at the first of them', async ({ windows }) => {
  const [ann, bob] = [await person('ann'), await person('bob')];
  const chat = await chatOf(ann, bob);
  for (let line = 1; line <= 70; line += 1) await write(bob, chat, `line ${String(line).padStart(3, '0')}`);
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  await expect(message(hers, 'line 001')).toBeInViewport();
  await expect(message(hers, 'line 070')).not.toBeInViewport();
  await expect(hers.getByText('New messages', { exact: true })).toBeInViewport();
});

test('a message that the network keeps from being shown is not told to be gone, and is shown by another try', async ({ windows }) => {
  const [ann, bob] = [await person('ann'), await person('bob')];
  const chat = await chatOf(ann, bob);
  const first = await write(bob, chat, 'line 001');
  for (let line = 2; line <= 60; line += 1) await write(bob, chat, `line ${String(line).padStart(3, '0')}`);
  await call('POST', `/users/chat/${chat}/read`, { token: ann.token, body: { message_id: (await write(ann, chat, 'the end')).message_id } });
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  await expect(message(hers, 'the end')).toBeInViewport();
  await hers.route(/around=/, (route) => route.abort());
  await hers.evaluate((place) => { location.hash = place; }, `#/chats/${chat}/at/${first.message_id}`);
  await expect(hers.getByText('can’t be reached')).toBeVisible();
  await expect(hers.getByText('can’t be found')).toHaveCount(0);
  await hers.unroute(/around=/);
  await hers.getByRole('button', { name: 'Try again' }).click();
  await expect(message(hers, 'line 001')).toBeInViewport();
});

test('whoever scrolls to the newest message is told no more of one that could not be shown', async ({ windows }) => {
  const [ann, bob] = [await person('ann'), await person('bob')];
  const chat = await chatOf(ann, bob);
  const first = await write(bob, chat, 'line 001');
  for (let line = 2; line <= 60; line += 1) await write(bob, chat, `line ${String(line).padStart(3, '0')}`);
  await call('POST', `/users/chat/${chat}/read`, { token: ann.token, body: { message_id: (await write(ann, chat, 'the end')).message_id } });
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  await expect(message(hers, 'the end')).toBeInViewport();
  await hers.route(/around=/, (route) => route.abort());
  await hers.evaluate((place) => { location.hash = place; }, `#/chats/${chat}/at/${first.message_id}`);
  const told = hers.getByText('could not be loaded');
  await expect(told).toBeAttached();
  await log(hers).hover();
  await hers.mouse.wheel(0, -900);
  await expect(hers.getByRole('button', { name: 'Jump to the latest' })).toBeVisible();
  await expect(told).toBeAttached();
  await hers.mouse.wheel(0, 90_000);
  await expect(message(hers, 'the end')).toBeInViewport();
  await expect(told).toHaveCount(0);
});

test('what is sent while one looks at the past is shown, also when the newest messages could not be had at first', async ({ windows }) => {
  const { ann, bob, chat, first } = await longChat(140);
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  await expect(message(hers, 'line 140')).toBeInViewport();
  await hers.evaluate((place) => { location.hash = place; }, `#/chats/${chat}/at/${first.message_id}`);
  await expect(message(hers, 'line 001')).toBeInViewport();
  const history = new RegExp(`/users/chat/${chat}\\?`);
  await hers.route(history, (route) => route.abort());
  await say(hers, 'from the past');
  await expect(hers.getByText('could not be loaded')).toBeAttached();
  await hers.unroute(history);
  await hers.getByRole('button', { name: 'Try again' }).click();
  await expect(message(hers, 'from the past')).toBeInViewport();
});
