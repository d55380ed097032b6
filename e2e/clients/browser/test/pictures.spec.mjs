// Pictures and files, from one window to the other.
import { apart, chatOf, expect, field, message, needs, openChat, person, picture, say, test, windowOf } from '../people.mjs';

/** A real picture, drawn by the browser. */
const drawing = (page, type) => page.evaluate(async (kind) => {
  const canvas = new OffscreenCanvas(640, 480);
  const pen = canvas.getContext('2d');
  pen.fillStyle = '#2a6f97';
  pen.fillRect(0, 0, 640, 480);
  pen.fillStyle = '#ffd166';
  pen.beginPath();
  pen.arc(480, 120, 70, 0, 7);
  pen.fill();
  const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: kind })).arrayBuffer());
  return btoa(String.fromCharCode(...bytes));
}, type);

/** Whether the picture was fetched and decoded. */
const isShown = (image) => image.evaluate((element) => element.complete && element.naturalWidth > 0);

test('a picture is sent and its thumbnail seen; a file comes by its name', async ({ windows }) => {
  await needs('/media/uploads');
  const [ann, bob] = [await person('ann'), await person('bob')];
  await chatOf(ann, bob);
  const [hers, his] = [await windowOf(windows, ann), await windowOf(windows, bob)];
  await openChat(hers, bob);
  await openChat(his, ann);

  const [chooser] = await Promise.all([
    hers.waitForEvent('filechooser'),
    hers.getByRole('button', { name: 'Attach a file' }).click(),
  ]);
  await chooser.setFiles({ name: 'sunny.png', mimeType: 'image/png', buffer: Buffer.from(await drawing(hers, 'image/png'), 'base64') });
  await expect(hers.getByTestId('upload')).toHaveAttribute('data-state', 'done');
  await picture(hers, 'picture-attached');
  await say(hers, 'look, the sun');
  for (const page of [hers, his]) {
    const thumbnail = message(page, 'look, the sun').getByTestId('thumbnail');
    await expect(thumbnail).toBeVisible();
    await expect.poll(() => isShown(thumbnail)).toBe(true);
  }
  await picture(his, 'picture-received');
  await message(his, 'look, the sun').getByRole('button', { name: `Open picture ${apart('sunny.png')}` }).click();
  const whole = his.getByRole('dialog').getByRole('img');
  await expect.poll(() => isShown(whole)).toBe(true);
  await picture(his, 'picture-open');
  await his.keyboard.press('Escape');
  await expect(his.getByRole('dialog')).toHaveCount(0);

  await hers.getByTestId('file').setInputFiles({ name: 'list.txt', mimeType: 'text/plain', buffer: Buffer.from('milk, bread') });
  await expect(hers.getByTestId('upload')).toHaveAttribute('data-state', 'done');
  await say(hers, 'and buy these');
  const file = message(his, 'and buy these').getByTestId('file-link');
  await expect(file).toContainText('list.txt');
  const [download] = await Promise.all([his.waitForEvent('download'), file.click()]);
  const chunks = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk);
  expect(Buffer.concat(chunks).toString()).toBe('milk, bread');

  // What stands below a file can be changed, and taken away.
  const withFile = (page) => page.getByTestId('message').filter({ has: page.getByTestId('file-link') });
  for (const caption of ['and buy eggs', '']) {
    await withFile(hers).hover();
    await withFile(hers).getByRole('button', { name: 'Edit', exact: true }).click();
    await field(hers).fill(caption);
    await hers.getByRole('button', { name: 'Save', exact: true }).click();
    await expect(hers.getByRole('button', { name: 'Save', exact: true })).toHaveCount(0);
    await expect(withFile(his)).not.toContainText(caption ? 'and buy these' : 'and buy eggs');
    await expect(withFile(his)).toContainText('list.txt');
    if (caption) await expect(withFile(his)).toContainText(caption);
  }
});

test('a file that is taken back on its way takes no room, and the focus is where one goes on', async ({ windows }) => {
  await needs('/media/uploads/{id}');
  const [ann, bob] = [await person('ann'), await person('bob')];
  await chatOf(ann, bob);
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  // The bytes do not get through.
  let held;
  await hers.route('**/*', (route) => (route.request().method() === 'PUT' ? (held = route) : route.fallback()));
  await hers.getByTestId('file').setInputFiles({ name: 'list.txt', mimeType: 'text/plain', buffer: Buffer.from('milk, bread') });
  await expect(hers.getByTestId('upload')).toHaveAttribute('data-state', 'sending');
  await expect.poll(() => held !== undefined).toBe(true);
  const [given] = await Promise.all([
    hers.waitForResponse((response) => response.request().method() === 'DELETE'),
    hers.getByRole('button', { name: `Remove ${apart('list.txt')}` }).click(),
  ]);
  expect(given.status()).toBe(204);
  await expect(hers.getByTestId('upload')).toHaveCount(0);
  await expect(field(hers)).toBeFocused();
  await say(hers, 'without it');
  await expect(message(hers, 'without it')).toHaveAttribute('data-status', /sent|delivered/);
});
