// Two people meet, write, and see what becomes of their words.
import {
  chatOf, chatWith, expect, field, findPerson, freshName, message, openChat, person, picture, say, test, windowOf,
} from '../people.mjs';

async function register(page, username) {
  await page.goto('/');
  await page.getByRole('link', { name: 'Create an account' }).click();
  // The form of the log-in has a field of this name, too.
  await expect(page.getByRole('heading', { name: 'Create account' })).toBeVisible();
  await page.getByLabel('Username', { exact: true }).fill(username);
  await page.getByLabel('E-mail', { exact: true }).fill(`${username}@example.com`);
  await page.getByLabel('Password', { exact: true }).fill('correct horse battery');
  await page.getByRole('button', { name: 'Create account', exact: true }).click();
  await expect(page.getByText('No chats yet')).toBeVisible();
}

test('two people register, find each other and write', async ({ windows }) => {
  const [ann, bob] = [freshName('ann'), freshName('bob')];
  const [hers, his] = [await windows.open(), await windows.open()];
  await hers.goto('/');
  await expect(hers.getByLabel('Password', { exact: true })).toBeVisible();
  await picture(hers, 'log-in');
  await register(hers, ann);
  await picture(hers, 'no-chats-yet');
  await register(his, bob);

  await findPerson(hers, { username: bob });
  await say(hers, 'Hello Bob, this is Ann');
  await expect(message(hers, 'Hello Bob')).toHaveAttribute('data-status', /sent|delivered/);

  // It reaches his list before he opens the chat; then she sees that he has read it.
  await expect(chatWith(his, { username: ann })).toContainText('Hello Bob');
  await expect(message(hers, 'Hello Bob')).toHaveAttribute('data-status', 'delivered');
  await picture(his, 'unread');
  await openChat(his, { username: ann });
  await expect(message(his, 'Hello Bob')).toBeVisible();
  await expect(message(hers, 'Hello Bob')).toHaveAttribute('data-status', 'read');

  await say(his, 'Hi Ann 👋 see https://example.com');
  await expect(message(hers, 'Hi Ann')).toBeVisible();
  const link = message(hers, 'Hi Ann').getByRole('link');
  await expect(link).toHaveAttribute('href', /^https:\/\/example\.com\/?$/);
  await expect(link).toHaveAttribute('rel', /noopener/);
  await picture(hers, 'read');
  await picture(his, 'answered');
});

test('typing is seen while it lasts', async ({ windows }) => {
  const [ann, bob] = [await person('ann'), await person('bob')];
  await chatOf(ann, bob);
  const [hers, his] = [await windowOf(windows, ann), await windowOf(windows, bob)];
  await openChat(hers, bob);
  await openChat(his, ann);
  await field(hers).pressSequentially('I think that', { delay: 20 });
  await expect(his.getByTestId('typing')).toBeVisible();
  await picture(his, 'typing');
  await hers.getByRole('button', { name: 'Send', exact: true }).click();
  await expect(message(his, 'I think that')).toBeVisible();
  await expect(his.getByTestId('typing')).toHaveCount(0);
});

test('the dot follows who is there', async ({ windows }) => {
  const [ann, bob] = [await person('ann'), await person('bob')];
  await chatOf(ann, bob);
  const hers = await windowOf(windows, ann);
  const dot = chatWith(hers, bob).getByTestId('presence');
  await expect(dot).toHaveAttribute('data-status', 'offline');
  await picture(hers, 'offline');
  const his = await windowOf(windows, bob);
  await expect(dot).toHaveAttribute('data-status', 'online');
  await picture(hers, 'online');
  await his.context().close();
  // A grace period passes first.
  await expect(dot).toHaveAttribute('data-status', 'offline', { timeout: 60_000 });
});

test('words of markup are words', async ({ windows }) => {
  const [ann, bob] = [await person('ann'), await person('bob')];
  await chatOf(ann, bob);
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  const text = '<img src=x onerror="document.title=1"> <b>bold</b> javascript:alert(1)';
  await say(hers, text);
  await expect(message(hers, text)).toHaveAttribute('data-status', 'sent');
  await expect(message(hers, text).locator('img, b, a')).toHaveCount(0);
  await expect(hers).not.toHaveTitle('1');
});

test('Enter opens nothing that was found for another name', async ({ windows }) => {
  const [ann, bob, cat] = [await person('ann'), await person('bob'), await person('cat')];
  const hers = await windowOf(windows, ann);
  const finder = hers.getByLabel('Find people');
  await finder.fill(bob.username);
  await expect(hers.getByTestId('person')).toContainText(bob.username);
  // The answer is held back until Enter has been pressed.
  let go;
  const pressed = new Promise((resolve) => { go = resolve; });
  await hers.route('**/users/search*', async (route) => {
    await pressed;
    await route.continue();
  });
  await finder.fill(cat.username);
  await finder.press('Enter');
  go();
  await expect(hers.getByTestId('person')).toContainText(cat.username);
  await expect(field(hers)).toHaveCount(0);
  await finder.press('Enter');
  await expect(hers.getByRole('heading', { name: cat.username })).toBeVisible();
});

test('a search that the network prevents says so, and offers nothing that was found before', async ({ windows }) => {
  const [ann, bob] = [await person('ann'), await person('bob')];
  const hers = await windowOf(windows, ann);
  const people = hers.getByRole('region', { name: 'People' });
  await hers.getByLabel('Find people').fill(bob.username.slice(0, -2));
  await expect(people.getByTestId('person')).toHaveCount(1);
  await hers.route(/users\/search/, (route) => route.abort());
  await hers.getByLabel('Find people').fill(bob.username.slice(0, -1));
  await expect(people.getByText('can’t be reached')).toBeVisible();
  await expect(people).toHaveAttribute('aria-busy', 'false');
  await expect(people.getByTestId('person')).toHaveCount(0);
  await hers.unroute(/users\/search/);
  await hers.getByLabel('Find people').fill(bob.username);
  await expect(people.getByTestId('person')).toHaveCount(1);
  await expect(people.getByText('can’t be reached')).toHaveCount(0);
});
