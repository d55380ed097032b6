// Where the focus goes when what had it goes away.
import { chatOf, chatWith, expect, field, message, needs, openChat, person, picture, test, windowOf, write } from '../people.mjs';

/** A window in which somebody looks at a chat of one message. */
async function inChat(windows, options) {
  const [ann, bob, cat] = [await person('ann'), await person('bob'), await person('cat')];
  const chat = await chatOf(ann, bob);
  await write(ann, chat, 'the boat has sailed');
  const other = await chatOf(ann, cat);
  const hers = await windowOf(windows, ann, options);
  await openChat(hers, bob);
  await expect(message(hers, 'the boat')).toBeVisible();
  return { hers, ann, bob, cat, chat, other };
}

test('news that are closed by keyboard give the focus back to where it was', async ({ windows }) => {
  await needs('/notifications/preferences');
  const { hers, cat, other } = await inChat(windows);
  await field(hers).focus();
  await write(cat, other, 'are you there?');
  const toast = hers.getByTestId('toast');
  const close = toast.getByRole('button', { name: 'Close', exact: true });
  await expect(toast).toBeVisible();
  for (let step = 0; step < 8 && !(await close.evaluate((node) => node === document.activeElement)); step += 1) await hers.keyboard.press('Tab');
  await expect(close).toBeFocused();
  const from = hers.getByRole('button', { name: 'Send', exact: true });
  await hers.keyboard.press('Enter');
  await expect(toast).toHaveCount(0);
  await expect(from).toBeFocused();
});

test('a search in a chat gives the focus back to where it was opened', async ({ windows }) => {
  await needs('/search/messages');
  const { hers } = await inChat(windows);
  const opener = hers.getByRole('button', { name: 'Search in this chat', exact: true });
  await opener.press('Enter');
  const search = hers.getByRole('searchbox', { name: 'Search in this chat', exact: true });
  await expect(search).toBeFocused();
  await search.press('Escape');
  await expect(search).toHaveCount(0);
  await expect(opener).toBeFocused();
  // What was found has it instead.
  await expect(async () => {
    if ((await search.count()) === 0) await opener.press('Enter');
    await search.fill('');
    await search.fill('sailed');
    await expect(hers.getByTestId('hit')).toHaveCount(1, { timeout: 3_000 });
  }).toPass();
  await search.press('Enter');
  await expect(message(hers, 'the boat')).toBeFocused();
});

test('the emoji close when the focus leaves them', async ({ windows }) => {
  const { hers } = await inChat(windows);
  const emoji = hers.getByRole('group', { name: 'Emoji', exact: true });
  await hers.getByRole('button', { name: 'Insert an emoji', exact: true }).press('Enter');
  await expect(emoji.getByRole('button').first()).toBeFocused();
  await hers.keyboard.press('ArrowRight');
  await expect(emoji).toBeVisible();
  await hers.keyboard.press('Tab');
  await expect(emoji).toHaveCount(0);
});

test('all emoji are within reach in a window that is as low as a magnified one', async ({ windows }) => {
  const { hers } = await inChat(windows, { viewport: { width: 320, height: 256 } });
  await hers.getByRole('button', { name: 'Insert an emoji', exact: true }).press('Enter');
  const first = hers.getByRole('group', { name: 'Emoji', exact: true }).getByRole('button').first();
  await expect(first).toBeFocused();
  await expect(first).toBeInViewport({ ratio: 1 });
  await picture(hers, 'low-emoji');
});

test('who looks elsewhere in between goes on with an answer or an edit', async ({ windows }) => {
  const { hers, bob, cat } = await inChat(windows);
  const boat = message(hers, 'the boat');
  await boat.hover();
  await boat.getByRole('button', { name: 'Edit', exact: true }).click();
  await expect(field(hers)).toBeFocused();
  await field(hers).fill('the boat has sailed away');
  await openChat(hers, cat);
  await expect(field(hers)).toHaveValue('');
  await openChat(hers, bob);
  await expect(hers.getByText('Editing your message')).toBeVisible();
  await expect(field(hers)).toHaveValue('the boat has sailed away');
  await field(hers).press('Enter');
  await expect(message(hers, 'sailed away')).toBeVisible();
  await message(hers, 'sailed away').hover();
  await message(hers, 'sailed away').getByRole('button', { name: 'Reply', exact: true }).click();
  await expect(field(hers)).toBeFocused();
  await hers.getByRole('link', { name: 'Settings' }).click();
  await chatWith(hers, bob).click();
  await expect(hers.getByText('Replying to')).toBeVisible();
  await field(hers).fill('and is back');
  await field(hers).press('Enter');
  await expect(message(hers, 'and is back')).toHaveAccessibleName(/^You In answer to You the boat has sailed away and is back/);
});

test('a dialog stays when the mouse is let go outside of it after selecting text, and closes with a click there', async ({ windows }) => {
  const [ann, bob] = [await person('ann'), await person('bob')];
  await chatOf(ann, bob);
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  await hers.getByRole('button', { name: 'More about this chat' }).click();
  await hers.getByRole('menuitem', { name: 'Report' }).click();
  const dialog = hers.getByRole('dialog');
  const comment = dialog.getByLabel('What else is there to say?');
  await comment.fill('a long story');
  const { x, y } = await comment.boundingBox();
  await hers.mouse.move(x + 60, y + 15);
  await hers.mouse.down();
  await hers.mouse.move(5, y + 15, { steps: 5 });
  await hers.mouse.up();
  await expect(comment).toHaveValue('a long story');
  await hers.mouse.click(5, 5);
  await expect(dialog).toHaveCount(0);
});
