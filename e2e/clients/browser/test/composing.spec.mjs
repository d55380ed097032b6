// What is being written: kept over reloads, taken back when it was not sent, waiting for its files.
import {
  call, chatOf, chatWith, expect, field, logIn, message, needs, openChat, person, picture, say, test, windowOf, write,
} from '../people.mjs';

/** The drafts that the browser has in its store. */
const keptDrafts = (page) => page.evaluate(() => new Promise((resolve, reject) => {
  const opening = indexedDB.open('sentinel');
  opening.onerror = () => reject(opening.error);
  opening.onsuccess = () => {
    const reading = opening.result.transaction('drafts').objectStore('drafts').getAll();
    reading.onsuccess = () => {
      opening.result.close();
      resolve(reading.result.map((one) => one.text));
    };
  };
}));

test('what was being written is there after a reload, until it is sent', async ({ windows }) => {
  const [ann, bob] = [await person('ann'), await person('bob')];
  await chatOf(ann, bob);
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  await field(hers).fill('half a sentence');
  await expect.poll(() => keptDrafts(hers)).toEqual(['half a sentence']);
  await hers.reload();
  await expect(field(hers)).toHaveValue('half a sentence');
  await say(hers, 'half a sentence, and the other half');
  await expect(message(hers, 'the other half')).toHaveAttribute('data-status', /sent|delivered/);
  await expect.poll(() => keptDrafts(hers)).toEqual([]);
  await hers.reload();
  await expect(message(hers, 'the other half')).toHaveCount(1);
  await expect(field(hers)).toHaveValue('');
});

test('what was being written is gone with a log-out, which asks first', async ({ windows }) => {
  const [ann, bob] = [await person('ann'), await person('bob')];
  await chatOf(ann, bob);
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  await field(hers).fill('nobody else’s business');
  await expect.poll(() => keptDrafts(hers)).toEqual(['nobody else’s business']);
  await hers.getByRole('link', { name: 'Settings' }).click();
  await expect(chatWith(hers, bob)).toContainText('Draft: nobody else’s business');
  const logOut = hers.getByRole('button', { name: 'Log out', exact: true });
  await logOut.press('Enter');
  const dialog = hers.getByRole('dialog', { name: 'Log out now?' });
  await expect(dialog).toContainText('1 message.');
  await picture(hers, 'log-out-draft');
  await hers.keyboard.press('Escape');
  await expect(dialog).toHaveCount(0);
  await expect(logOut).toBeFocused();
  expect(await keptDrafts(hers)).toEqual(['nobody else’s business']);
  await logOut.press('Enter');
  await dialog.getByRole('button', { name: 'Log out', exact: true }).click();
  await expect(hers.getByLabel('Password', { exact: true })).toBeVisible();
  expect(await keptDrafts(hers)).toEqual([]);
  await logIn(hers, ann);
  await openChat(hers, bob);
  await expect(field(hers)).toHaveValue('');
});

test('a message that was not sent is taken back into the field, and loses nothing that was there', async ({ windows }) => {
  const [ann, bob] = [await person('ann'), await person('bob')];
  const chat = await chatOf(ann, bob);
  const question = await write(bob, chat, 'shall we go?');
  await call('PUT', `/users/${ann.user_id}/block`, { token: bob.token });
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  await message(hers, 'shall we go?').hover();
  await message(hers, 'shall we go?').getByRole('button', { name: 'Reply', exact: true }).click();
  await say(hers, 'yes, let us');
  await expect(message(hers, 'yes, let us')).toHaveAttribute('data-status', 'failed');
  await field(hers).fill('and take Cat along');
  await message(hers, 'yes, let us').getByRole('button', { name: 'Edit', exact: true }).click();
  await expect(field(hers)).toHaveValue('yes, let us\nand take Cat along');
  await expect(field(hers)).toBeFocused();
  await expect(hers.getByText('Replying to')).toBeVisible();
  await expect(message(hers, 'yes, let us')).toHaveCount(0);
  await picture(hers, 'taken-back');
  await call('DELETE', `/users/${ann.user_id}/block`, { token: bob.token });
  await hers.keyboard.press('Enter');
  await expect(message(hers, 'and take Cat along')).toHaveAttribute('data-status', /sent|delivered/);
  const { messages } = await call('GET', `/users/chat/${chat}`, { token: bob.token });
  expect(messages[0]).toMatchObject({ message: 'yes, let us\nand take Cat along', reply_to: question.message_id });
});

test('Enter says what it waits for while a file is on its way, and sends when that is done', async ({ windows }) => {
  await needs('/media/uploads');
  const [ann, bob] = [await person('ann'), await person('bob')];
  await chatOf(ann, bob);
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  let held;
  await hers.route('**/*', (route) => (route.request().method() === 'PUT' ? (held = route) : route.fallback()));
  await hers.getByTestId('file').setInputFiles({ name: 'list.txt', mimeType: 'text/plain', buffer: Buffer.from('milk, bread') });
  await expect.poll(() => held !== undefined).toBe(true);
  await field(hers).fill('buy these');
  const send = hers.getByRole('button', { name: 'Send', exact: true });
  await field(hers).press('Enter');
  await expect(send).toHaveAccessibleDescription('This can be sent when the upload is done.');
  await expect(hers.locator('[aria-live=polite] p', { hasText: 'when the upload is done' })).toHaveCount(1);
  await expect(field(hers)).toHaveValue('buy these');
  await picture(hers, 'waits-for-upload');
  await held.continue();
  await expect(hers.getByTestId('upload')).toHaveAttribute('data-state', 'done');
  await expect(send).toHaveAttribute('aria-disabled', 'false');
  await field(hers).press('Enter');
  await expect(message(hers, 'buy these')).toHaveAttribute('data-status', /sent|delivered/);
});

test('a browser that has kept things of an earlier version of the page keeps drafts, too', async ({ windows }) => {
  const [ann, bob] = [await person('ann'), await person('bob')];
  await chatOf(ann, bob);
  const hers = await windows.open();
  // Of the same origin, and without the page's script.
  await hers.goto('/manifest.webmanifest');
  await hers.evaluate(() => new Promise((resolve, reject) => {
    const opening = indexedDB.open('sentinel', 1);
    opening.onerror = () => reject(opening.error);
    opening.onupgradeneeded = () => {
      for (const store of ['session', 'chats', 'messages', 'outbox', 'meta']) opening.result.createObjectStore(store);
    };
    opening.onsuccess = () => {
      opening.result.close();
      resolve();
    };
  }));
  await logIn(hers, ann);
  await openChat(hers, bob);
  await field(hers).fill('half a sentence');
  await expect.poll(() => keptDrafts(hers)).toEqual(['half a sentence']);
});

test('a file that is attached without a network goes on when it is back, and a page that has one asks before it is closed', async ({ windows }) => {
  await needs('/media/uploads');
  const [ann, bob] = [await person('ann'), await person('bob')];
  await chatOf(ann, bob);
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  await hers.route(/\/media\//, (route) => route.abort());
  await hers.context().setOffline(true);
  await hers.getByTestId('file').setInputFiles({ name: 'list.txt', mimeType: 'text/plain', buffer: Buffer.from('milk, bread') });
  await expect(hers.getByTestId('upload')).toHaveAttribute('data-state', 'failed');
  await hers.unroute(/\/media\//);
  await hers.context().setOffline(false);
  await expect(hers.getByTestId('upload')).toHaveAttribute('data-state', 'done', { timeout: 60_000 });
  const asked = hers.waitForEvent('dialog');
  await hers.close({ runBeforeUnload: true });
  const dialog = await asked;
  expect(dialog.type()).toBe('beforeunload');
  await dialog.dismiss();
  await say(hers, 'buy these');
  await expect(message(hers, 'buy these')).toHaveAttribute('data-status', /sent|delivered/);
});
