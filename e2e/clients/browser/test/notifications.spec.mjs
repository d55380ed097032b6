// Being told of what one is not looking at.
import { call, chatOf, expect, message, needs, openChat, opensOffline, person, picture, pushes, test, windowOf, write } from '../people.mjs';

test('who looks elsewhere is told, and led to the message', async ({ windows }) => {
  const [ann, bob, cat] = [await person('ann'), await person('bob'), await person('cat')];
  await chatOf(ann, bob);
  const chat = await chatOf(ann, cat);
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  await write(cat, chat, 'are you there?');
  const toast = hers.getByRole('status').filter({ hasText: /new message|cat_/i });
  await expect(toast.first()).toBeVisible();
  await picture(hers, 'notification');
  await toast.first().getByRole('button').first().click();
  await expect(message(hers, 'are you there?')).toBeVisible();
});

test('unread messages are listed, and are read with their chat', async ({ windows }) => {
  await needs('/notifications');
  const [ann, bob] = [await person('ann'), await person('bob')];
  const chat = await chatOf(ann, bob);
  await write(bob, chat, 'call me');
  const hers = await windowOf(windows, ann);
  const listed = hers.getByTestId('notification').filter({ hasText: bob.username });
  await hers.getByRole('link', { name: 'Notifications' }).click();
  await expect(listed.getByRole('button', { name: 'Mark as read' })).toBeVisible();
  await picture(hers, 'notifications');
  await listed.getByRole('link', { name: 'Open the chat' }).click();
  await expect(message(hers, 'call me')).toBeVisible();
  await hers.getByRole('link', { name: 'Notifications' }).click();
  // The list has come; the welcome may still be in it.
  await expect(hers.getByTestId('notification').or(hers.getByText('Nothing new')).first()).toBeVisible();
  await expect(listed.getByRole('button', { name: 'Mark as read' })).toHaveCount(0);
});

test('what comes while the list is open appears in it', async ({ windows }) => {
  await needs('/notifications');
  const [ann, bob] = [await person('ann'), await person('bob')];
  const chat = await chatOf(ann, bob);
  const hers = await windowOf(windows, ann);
  await hers.getByRole('link', { name: 'Notifications' }).click();
  const listed = hers.getByTestId('notification').filter({ hasText: bob.username });
  await expect(hers.getByTestId('notification').or(hers.getByText('Nothing new')).first()).toBeVisible();
  await write(bob, chat, 'now');
  await expect(listed).toHaveCount(1);
});

test('what is marked as read on one device is read on the other', async ({ windows }) => {
  await needs('/notifications');
  const [ann, bob] = [await person('ann'), await person('bob')];
  await write(bob, await chatOf(ann, bob), 'call me');
  const lists = [];
  for (const page of [await windowOf(windows, ann), await windowOf(windows, ann)]) {
    await page.getByRole('link', { name: 'Notifications' }).click();
    lists.push(page.getByTestId('notification').filter({ hasText: bob.username }).getByRole('button', { name: 'Mark as read' }));
  }
  for (const list of lists) await expect(list).toHaveCount(1);
  await lists[0].click();
  for (const list of lists) await expect(list).toHaveCount(0);
});

test('all that is listed is marked as read at once', async ({ windows }) => {
  await needs('/notifications');
  const [ann, bob] = [await person('ann'), await person('bob')];
  const chat = await chatOf(ann, bob);
  for (const text of ['one', 'two', 'three']) await write(bob, chat, text);
  const hers = await windowOf(windows, ann);
  await hers.getByRole('link', { name: 'Notifications' }).click();
  await expect(hers.getByTestId('notification').filter({ hasText: bob.username })).toHaveCount(3);
  await picture(hers, 'notifications-unread');
  await hers.getByRole('button', { name: 'Mark all as read' }).click();
  await expect(hers.getByRole('button', { name: /as read/ })).toHaveCount(0);
  await expect(hers.getByRole('heading', { name: 'Notifications' })).toBeFocused();
  const { notifications } = await call('GET', '/notifications', { token: ann.token });
  expect(notifications.filter(({ read }) => !read)).toEqual([]);
});

test('news reach whoever has a dialog open', async ({ windows }) => {
  const [ann, bob, cat] = [await person('ann'), await person('bob'), await person('cat')];
  await chatOf(ann, bob);
  const chat = await chatOf(ann, cat);
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  await hers.getByRole('button', { name: 'More about this chat' }).click();
  await hers.getByRole('menuitem', { name: 'Block' }).click();
  const dialog = hers.getByRole('dialog');
  await expect(dialog).toBeVisible();
  await write(cat, chat, 'are you there?');
  // Within it: what is outside is neither read out nor pressed while it is open.
  const news = dialog.getByRole('status').getByTestId('toast');
  await expect(news).toBeVisible();
  await expect(hers.getByTestId('toast')).toHaveCount(1);
  await picture(hers, 'news-over-dialog');
  await news.getByRole('button', { name: 'Close' }).click();
  await expect(news).toHaveCount(0);
  await expect(dialog).toBeVisible();
  await write(cat, chat, 'it is urgent');
  await news.getByRole('button').first().click();
  await expect(message(hers, 'it is urgent')).toBeVisible();
  await expect(dialog).toHaveCount(0);
});

test('quiet hours are saved when they have been typed, not with each key', async ({ windows }) => {
  await needs('/notifications/preferences');
  const ann = await person('ann');
  const hers = await windowOf(windows, ann);
  const saved = [];
  hers.on('request', (request) => {
    if (request.method() === 'PUT' && request.url().endsWith('/notifications/preferences')) saved.push(request.postDataJSON().quiet_hours);
  });
  await hers.getByRole('link', { name: 'Settings' }).click();
  await hers.getByRole('switch', { name: 'Quiet hours' }).click();
  const from = hers.getByLabel('From', { exact: true });
  await expect.poll(() => saved.length).toBe(1);
  expect(saved[0].time_zone).toBe(await hers.evaluate(() => Intl.DateTimeFormat().resolvedOptions().timeZone));
  await from.fill('21:00');
  await from.fill('21:30');
  expect(saved.length).toBe(1);
  await from.blur();
  await expect.poll(() => saved.length).toBe(2);
  expect(saved[1].from_minute).toBe(21 * 60 + 30);
  // Whoever is faster than the network loses nothing.
  await hers.route('**/notifications/preferences', async (route) => {
    if (route.request().method() === 'PUT') await new Promise((done) => setTimeout(done, 500));
    await route.continue();
  });
  const to = hers.getByLabel('To', { exact: true });
  await from.fill('20:15');
  await to.fill('06:45');
  await to.blur();
  await expect.poll(() => saved.length).toBe(4);
  expect([saved[3].from_minute, saved[3].to_minute]).toEqual([20 * 60 + 15, 6 * 60 + 45]);
});

test('a push is shown also to who looks at the page, without a sound, and taken away where its chat is looked at', async ({ windows }) => {
  const [ann, bob, cat] = [await person('ann'), await person('bob'), await person('cat')];
  const [bobs, cats] = [await chatOf(ann, bob), await chatOf(ann, cat)];
  const hers = await windowOf(windows, ann, { permissions: ['notifications'] });
  await opensOffline(hers);
  await openChat(hers, bob);
  const { push, shown } = await pushes(hers);
  // The developer tools, which stand for the push service here, say nothing of a push that met no running worker; the service
  // sends it again. Another one of the chat takes the place of the last.
  await expect(async () => {
    await push({ header: 'cat', chat_id: cats });
    await expect.poll(shown, { timeout: 3_000 }).toEqual([{ tag: cats, silent: true }]);
  }).toPass();
  await push({ header: 'cat again', chat_id: cats });
  await push({ header: 'bob', chat_id: bobs });
  await expect.poll(shown).toEqual([{ tag: cats, silent: true }]);
  await openChat(hers, cat);
  await write(cat, cats, 'here');
  await expect.poll(shown, 'what is read is no news').toEqual([]);
});
