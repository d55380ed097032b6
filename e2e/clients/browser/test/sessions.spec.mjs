// Coming and going: reloads, wrong passwords, logging out.
import { call, chatOf, chats, expect, field, logIn, message, openChat, person, picture, say, test, windowOf } from '../people.mjs';

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

test('sessions that a new password has ended are listed no more', async ({ windows }) => {
  const ann = await person('ann');
  const { username, password } = ann;
  await call('POST', '/login', { body: { username, password } });
  const hers = await windowOf(windows, ann);
  await hers.getByRole('link', { name: 'Settings' }).click();
  await expect(hers.getByTestId('session')).toHaveCount(3);
  await hers.getByLabel('Current password', { exact: true }).fill(password);
  await hers.getByLabel('New password', { exact: true }).fill(`${password} and more`);
  await hers.getByRole('button', { name: 'Change password', exact: true }).click();
  await expect(hers.getByText('All other sessions have ended.')).toBeVisible();
  await expect(hers.getByTestId('session')).toHaveCount(1);
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

test('logging out asks before what was not sent is lost', async ({ windows }) => {
  const [ann, bob] = [await person('ann'), await person('bob')];
  await chatOf(ann, bob);
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  await hers.context().setOffline(true);
  await say(hers, 'from a tunnel');
  await expect(message(hers, 'from a tunnel')).toHaveAttribute('data-status', 'pending');
  await hers.getByRole('link', { name: 'Settings' }).click();
  const logOut = hers.getByRole('button', { name: 'Log out', exact: true });
  await logOut.click();
  await expect(hers.getByRole('dialog')).toContainText('1 message');
  await picture(hers, 'log-out-unsent');
  await hers.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  await expect(logOut).toBeFocused();
  await logOut.click();
  await hers.getByRole('dialog').getByRole('button', { name: 'Log out' }).click();
  await expect(hers.getByLabel('Password', { exact: true })).toBeVisible();
});

test('opening the page again uses up no refresh token: a page that is closed early loses nothing', async ({ windows }) => {
  const hers = await windowOf(windows, await person('ann'));
  const renewed = [];
  hers.on('request', (request) => { if (request.url().endsWith('/token/refresh')) renewed.push(request.url()); });
  await hers.reload();
  await expect(hers.locator('[data-link=online]')).toBeVisible();
  expect(renewed).toEqual([]);
});

test('a page whose script another pod does not have is loaded again', async ({ windows }) => {
  const hers = await windows.open();
  let asked = 0;
  await hers.route('**/assets/*.js', async (route) => {
    asked += 1;
    if (asked === 1) await route.fulfill({ status: 404, contentType: 'application/json', body: '{}' });
    else await route.continue();
  });
  await hers.goto('/');
  await expect(hers.getByLabel('Password', { exact: true })).toBeVisible();
  expect(asked).toBe(2);
});
