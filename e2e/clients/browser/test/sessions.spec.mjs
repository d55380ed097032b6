// Coming and going: reloads, wrong passwords, logging out.
import { chatOf, chats, expect, field, logIn, message, openChat, person, picture, say, test, windowOf } from '../people.mjs';

test('a reload keeps who one is and what was said', async ({ windows }) => {
  const [ann, bob] = [await person('ann'), await person('bob')];
  await chatOf(ann, bob);
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  await say(hers, 'before the reload');
  await expect(message(hers, 'before the reload')).toHaveAttribute('data-status', 'sent');
  await hers.reload();
  await expect(chats(hers)).toBeVisible();
  if (!(await field(hers).isVisible())) await openChat(hers, bob);
  await expect(message(hers, 'before the reload')).toHaveCount(1);
});

test('a wrong password is told, and the right one is taken after it', async ({ windows }) => {
  const ann = await person('ann');
  const hers = await windows.open();
  await hers.goto('/');
  await hers.getByLabel('Username', { exact: true }).fill(ann.username);
  await hers.getByLabel('Password', { exact: true }).fill('not her password');
  await hers.getByRole('button', { name: 'Log in', exact: true }).click();
  await expect(hers.getByRole('alert')).toBeVisible();
  await picture(hers, 'wrong-password');
  await logIn(hers, ann);
});

test('nothing of an account is left after logging out', async ({ windows }) => {
  const [ann, bob] = [await person('ann'), await person('bob')];
  await chatOf(ann, bob);
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  await say(hers, 'for Bob only');
  await expect(message(hers, 'for Bob only')).toHaveAttribute('data-status', 'sent');
  await hers.getByRole('link', { name: 'Settings' }).click();
  await picture(hers, 'settings');
  await hers.getByRole('button', { name: 'Log out', exact: true }).click();
  await expect(hers.getByLabel('Password', { exact: true })).toBeVisible();
  await hers.reload();
  await expect(hers.getByLabel('Password', { exact: true })).toBeVisible();
  await expect(hers.getByText('for Bob only')).toHaveCount(0);
  const left = await hers.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
  expect(left).not.toContain('token');
});
