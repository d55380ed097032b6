// On a phone, in the dark, by keyboard only, and for everybody's eyes.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import {
  PHONE, apart, call, chatOf, chatWith, chats, expect, field, log, logIn, message, openChat, person, picture, say, test, windowOf, write,
} from '../people.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What of WCAG 2 AA can be told by looking at the page. */
async function accessibilityFaults(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() =>
    globalThis.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
  return found.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(' ').slice(0, 400)}`);
}

async function talkativePair() {
  const [ann, bob] = [await person('ann'), await person('bob')];
  const chat = await chatOf(ann, bob);
  await write(bob, chat, 'Did you see the boat this morning?');
  await write(ann, chat, 'Yes! Its sails were red ⛵');
  await write(bob, chat, 'مرحبا بالعالم');
  await write(ann, chat, 'A longer line, long enough that it does not fit into one line of a small screen, whatever its width may be today.');
  return { ann, bob };
}

for (const colorScheme of ['light', 'dark']) {
  test(`the ${colorScheme} page can be read by everybody`, async ({ windows }) => {
    const { ann, bob } = await talkativePair();
    const page = await windows.open({ colorScheme });
    await page.goto('/');
    await expect(page.getByLabel('Password', { exact: true })).toBeVisible();
    expect(await accessibilityFaults(page)).toEqual([]);
    const hers = await windowOf(windows, ann, { colorScheme });
    await openChat(hers, bob);
    await expect(message(hers, 'the boat')).toBeVisible();
    expect(await accessibilityFaults(hers)).toEqual([]);
    await picture(hers, `chat-${colorScheme}`);
    await hers.getByTestId('file').setInputFiles({ name: 'list.txt', mimeType: 'text/plain', buffer: Buffer.from('milk, bread') });
    await expect(hers.getByTestId('upload')).toHaveAttribute('data-state', 'done');
    await say(hers, 'and a list');
    await expect(hers.getByTestId('file-link')).toContainText('list.txt');
    expect(await accessibilityFaults(hers)).toEqual([]);
    await call('PUT', `/users/${bob.user_id}/block`, { token: ann.token });
    await hers.getByRole('link', { name: 'Settings' }).click();
    await expect(hers.getByRole('button', { name: `Unblock ${apart(bob.username)}`, exact: true })).toBeVisible();
    expect(await accessibilityFaults(hers)).toEqual([]);
  });
}

test('dark mode can be chosen, and is kept', async ({ windows }) => {
  const hers = await windowOf(windows, await person('ann'), { colorScheme: 'light' });
  const background = () => hers.evaluate(() => {
    const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number);
    return (r + g + b) / 3 < 128 ? 'dark' : 'light';
  });
  expect(await background()).toBe('light');
  await hers.getByRole('button', { name: 'Dark mode' }).click();
  await expect.poll(background).toBe('dark');
  await picture(hers, 'dark-chosen');
  await hers.reload();
  await expect(chats(hers)).toBeAttached();
  await expect.poll(background).toBe('dark');
});

test('on a phone there is one pane at a time', async ({ windows }) => {
  const { ann, bob } = await talkativePair();
  const hers = await windowOf(windows, ann, { viewport: PHONE, isMobile: true, hasTouch: true });
  await picture(hers, 'phone-chats');
  await expect(field(hers)).not.toBeVisible();
  await openChat(hers, bob);
  await expect(chats(hers)).not.toBeVisible();
  await say(hers, 'from the tram');
  await expect(message(hers, 'from the tram')).toHaveAttribute('data-status', 'sent');
  await picture(hers, 'phone-chat');
  const wide = await hers.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(wide, 'pixels that stick out').toBeLessThanOrEqual(0);
  await hers.getByRole('link', { name: 'Back to chats' }).click();
  await expect(chats(hers)).toBeVisible();
});

test('the keyboard is enough', async ({ windows }) => {
  const { ann, bob } = await talkativePair();
  const hers = await windows.open();
  await hers.goto('/');
  await expect(hers.getByLabel('Password', { exact: true })).toBeVisible();
  const press = (key) => hers.keyboard.press(key);
  const focused = (locator) => locator.evaluate((element) => element.contains(document.activeElement)).catch(() => false);
  // Tab gets everywhere, in at most so many steps.
  const tabTo = async (locator) => {
    for (let step = 0; step < 40 && !(await focused(locator)); step += 1) await press('Tab');
    expect(await focused(locator), 'Tab gets there').toBe(true);
  };
  await tabTo(hers.getByLabel('Username', { exact: true }));
  await hers.keyboard.type(ann.username);
  await tabTo(hers.getByLabel('Password', { exact: true }));
  await hers.keyboard.type(ann.password);
  await press('Enter');
  await expect(chatWith(hers, bob)).toBeVisible();
  await expect(hers.getByRole('heading', { name: 'Sentinel', exact: true }), 'the form takes the focus with it').toBeFocused();
  await tabTo(chatWith(hers, bob));
  await picture(hers, 'keyboard-focus');
  await press('Enter');
  await expect(field(hers)).toBeVisible();
  await tabTo(field(hers));
  await hers.keyboard.type('typed only');
  await press('Enter');
  await expect(message(hers, 'typed only')).toHaveAttribute('data-status', 'sent');
});

test('a message says what it says, and keeps the focus when it is deleted', async ({ windows }) => {
  const { ann, bob } = await talkativePair();
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  const boat = hers.locator('[data-testid=message]').nth(1);
  await expect(boat).toHaveAccessibleName(/^You Yes! Its sails were red/);
  await boat.hover();
  await boat.getByRole('button', { name: 'Delete' }).click();
  await hers.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await expect(hers.getByRole('dialog')).toHaveCount(0);
  await expect(boat).toHaveAccessibleName(/This message was deleted/);
  await expect(boat).toBeFocused();
});

test('with a finger, a chat that is opened begins at its head, and the way back leads to where one came from', async ({ windows }) => {
  const { ann, bob } = await talkativePair();
  const hers = await windowOf(windows, ann, { viewport: PHONE, isMobile: true, hasTouch: true });
  await openChat(hers, bob);
  await expect(hers.getByRole('heading', { name: bob.username })).toBeFocused();
  await hers.getByRole('link', { name: 'Back to chats' }).click();
  await expect(chatWith(hers, bob)).toBeFocused();
  await hers.getByRole('link', { name: 'Settings' }).click();
  await hers.getByRole('link', { name: 'Back to chats' }).click();
  await expect(hers.getByRole('link', { name: 'Settings' })).toBeFocused();
});

test('on a phone, a chat that is gone has a way back, and a long name does not stick out', async ({ windows }) => {
  const [ann, bob] = [await person('ann'), await person('bob')];
  await chatOf(ann, bob);
  const name = 'Wolfeschlegelsteinhausenbergerdorff'.repeat(2).slice(0, 64);
  await call('PATCH', '/me', { token: bob.token, body: { display_name: name } });
  const hers = await windowOf(windows, ann, { viewport: PHONE, isMobile: true, hasTouch: true });
  await chats(hers).getByTestId('chat').click();
  await expect(hers.getByText(`the beginning of your conversation with ${apart(name)}`)).toBeVisible();
  const sticksOut = (selector) => hers.locator(selector).evaluate((node) => node.scrollWidth - node.clientWidth);
  expect(await sticksOut('.log')).toBeLessThanOrEqual(0);
  await picture(hers, 'phone-long-name');
  await hers.getByRole('button', { name: 'More about this chat' }).click();
  await hers.getByRole('menuitem', { name: 'Block' }).click();
  expect(await sticksOut('dialog h2'), 'whom one blocks can be read').toBeLessThanOrEqual(0);
  await hers.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  await call('DELETE', '/me', { token: bob.token, body: { password: bob.password } });
  await expect(hers.getByText('has deleted the account')).toBeVisible();
  await picture(hers, 'phone-chat-gone');
  await hers.getByRole('link', { name: 'Back to chats' }).click();
  await expect(hers.getByLabel('Find people')).toBeVisible();
});

test('where the system chooses the colours, one still sees what is on, chosen, focused, there and read', async ({ windows }) => {
  const { ann, bob } = await talkativePair();
  const hers = await windowOf(windows, ann, { forcedColors: 'active' });
  /** Whether something looks different after something was done. */
  const changes = async (what, act) => {
    const before = await what.screenshot();
    await act();
    await hers.mouse.move(700, 5);
    await expect.poll(async () => before.equals(await what.screenshot())).toBe(false);
  };
  await expect(chatWith(hers, bob)).toBeVisible();
  // Its end has no text that could change.
  await changes(chatWith(hers, bob), async () => {
    await openChat(hers, bob);
    await field(hers).focus();
  });
  await changes(hers.locator('.composer-row'), () => field(hers).blur());
  const dot = chatWith(hers, bob).getByTestId('presence');
  await expect(dot).toHaveAttribute('data-status', 'offline');
  let his;
  await changes(dot, async () => {
    his = await windowOf(windows, bob);
    await expect(dot).toHaveAttribute('data-status', 'online');
  });
  await changes(dot, async () => {
    await his.evaluate(() => {
      Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    });
    await expect(dot).toHaveAttribute('data-status', 'away');
  });
  const boat = message(hers, 'Its sails were red');
  await expect(boat).toHaveAttribute('data-status', 'delivered');
  await changes(boat.locator('.ticks'), async () => {
    await his.evaluate(() => {
      delete document.visibilityState;
      document.dispatchEvent(new Event('visibilitychange'));
    });
    await openChat(his, ann);
    await expect(boat).toHaveAttribute('data-status', 'read');
  });
  await picture(hers, 'forced-chat');
  await hers.getByRole('link', { name: 'Settings' }).click();
  const dark = hers.getByRole('switch', { name: 'Dark mode' });
  await changes(dark, async () => {
    await dark.click();
    await dark.blur();
  });
  await picture(hers, 'forced-settings');
});

test('without motion, too, one sees to which message one was led', async ({ windows }) => {
  const { ann, bob } = await talkativePair();
  const hers = await windowOf(windows, ann, { reducedMotion: 'reduce' });
  await openChat(hers, bob);
  const boat = message(hers, 'the boat');
  const ground = () => boat.locator('.bubble').evaluate((node) => getComputedStyle(node).backgroundColor);
  await expect(boat).toBeVisible();
  const before = await ground();
  const id = await boat.getAttribute('data-message');
  // It shows for two seconds: on a slow machine, who looks for it only afterwards comes too late.
  await Promise.all([
    expect.poll(ground, { intervals: [100] }).not.toBe(before),
    hers.evaluate((message_id) => { location.hash = `${location.hash}/at/${message_id}`; }, id),
  ]);
  await expect(boat).toBeFocused();
  await expect.poll(ground).toBe(before);
});

test('the title says where one is', async ({ windows }) => {
  const { ann, bob } = await talkativePair();
  const hers = await windows.open();
  await hers.goto('/');
  await expect(hers).toHaveTitle(/Log in.* – Sentinel$/);
  await logIn(hers, ann);
  await openChat(hers, bob);
  await expect(hers).toHaveTitle(`${apart(bob.username)} – Sentinel`);
  await hers.getByRole('link', { name: 'Settings' }).click();
  await expect(hers).toHaveTitle(`${apart('Settings')} – Sentinel`);
});

test('how many people were found is said, and how much is unread below', async ({ windows }) => {
  const { ann, bob } = await talkativePair();
  const hers = await windowOf(windows, ann);
  await hers.getByLabel('Find people').fill(bob.username);
  await expect(hers.locator('[aria-live=polite]', { hasText: '1 person found' })).toBeVisible();
  await hers.getByLabel('Find people').press('Enter');
  await expect(message(hers, 'the boat')).toBeVisible();
  await expect(chats(hers).getByTestId('unread')).toHaveCount(0);
  const chat = await chatOf(ann, bob);
  for (let line = 0; line < 30; line += 1) await write(ann, chat, `line ${line}`);
  await expect(message(hers, 'line 29')).toBeInViewport();
  await log(hers).hover();
  await hers.mouse.wheel(0, -900);
  await expect(hers.getByRole('button', { name: 'Jump to the latest', exact: true })).toBeVisible();
  await write(bob, chat, 'and one of mine');
  await expect(hers.getByRole('button', { name: 'Jump to the latest 1 unread message', exact: true })).toBeVisible();
});

test('on a phone, what to do with a message that was not sent is told apart by a finger, and no connection is told', async ({ windows }) => {
  const { ann, bob } = await talkativePair();
  await call('PUT', `/users/${ann.user_id}/block`, { token: bob.token });
  const hers = await windowOf(windows, ann, { viewport: { width: 320, height: 640 }, isMobile: true, hasTouch: true });
  await openChat(hers, bob);
  await say(hers, 'are you there?');
  const failed = message(hers, 'are you there?');
  await expect(failed).toHaveAttribute('data-status', 'failed');
  const boxes = [];
  for (const name of ['Send again', 'Edit', 'Discard']) boxes.push(await failed.getByRole('button', { name, exact: true }).boundingBox());
  for (const [index, box] of boxes.entries()) {
    expect(Math.min(box.width, box.height)).toBeGreaterThanOrEqual(24);
    const next = boxes[index + 1];
    if (next) expect(next.y >= box.y + box.height || next.x - (box.x + box.width) >= 8).toBe(true);
  }
  await picture(hers, 'phone-not-sent');
  await hers.getByRole('link', { name: 'Back to chats' }).click();
  await hers.context().setOffline(true);
  await expect(hers.getByText('No connection', { exact: true })).toBeVisible();
});

test('on the smallest screen, nothing lies upon the form to log in', async ({ windows }) => {
  const page = await windows.open({ viewport: { width: 320, height: 568 }, isMobile: true, hasTouch: true });
  await page.goto('/#/register');
  const card = await page.getByRole('main').boundingBox();
  const toggle = await page.getByRole('button', { name: 'Dark mode' }).boundingBox();
  expect(toggle.y + toggle.height).toBeLessThanOrEqual(card.y);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
  await picture(page, 'phone-small-register');
});

test('on a phone, news leave the way back free', async ({ windows }) => {
  const { ann, bob } = await talkativePair();
  const hers = await windowOf(windows, ann, { viewport: PHONE, isMobile: true, hasTouch: true });
  await openChat(hers, bob);
  await hers.getByRole('button', { name: 'More about this chat' }).click();
  await hers.getByRole('menuitem', { name: 'Mute' }).click();
  await expect(hers.getByTestId('toast')).toBeVisible();
  await picture(hers, 'phone-news');
  await hers.getByRole('link', { name: 'Back to chats' }).click();
  await expect(hers.getByTestId('toast')).toBeVisible();
});

test('from right to left, names stand beside their pictures, and are written as they are', async ({ windows }) => {
  const { ann, bob } = await talkativePair();
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  await hers.evaluate(() => { document.documentElement.dir = 'rtl'; });
  /** The box of a text as it is drawn. */
  const drawn = (selector, from = 0, to = undefined) => hers.evaluate(([selector, from, to]) => {
    const range = document.createRange();
    const walker = document.createTreeWalker(document.querySelector(selector), NodeFilter.SHOW_TEXT);
    const text = walker.nextNode();
    range.setStart(text, from);
    range.setEnd(text, to ?? text.length);
    const { left, right } = range.getBoundingClientRect();
    return { left, right };
  }, [selector, from, to]);
  for (const [name, avatar] of [['.row-name', '.row .avatar'], ['.head h2', '.head .avatar']]) {
    const picture = await hers.locator(avatar).first().boundingBox();
    const gap = picture.x - (await drawn(name)).right;
    expect(gap, name).toBeGreaterThanOrEqual(0);
    expect(gap, name).toBeLessThan(24);
  }
  const at = await drawn('.head-status bdi', 0, 1);
  const whole = await hers.locator('.head-status bdi').boundingBox();
  expect(at.left - whole.x, 'the @ is before the name').toBeLessThan(2);
  await picture(hers, 'right-to-left');
});

test('who is blocked is unblocked where one would write', async ({ windows }) => {
  const { ann, bob } = await talkativePair();
  await call('PUT', `/users/${bob.user_id}/block`, { token: ann.token });
  const hers = await windowOf(windows, ann);
  await chatWith(hers, bob).click();
  await expect(hers.getByText('You have blocked this person.')).toBeVisible();
  await hers.getByRole('button', { name: 'Unblock', exact: true }).click();
  await expect(field(hers)).toBeFocused();
});

test('a block of another device is there when a message is refused, and is gone with the next connection', async ({ windows }) => {
  const { ann, bob } = await talkativePair();
  const hers = await windows.open();
  const sockets = [];
  await hers.routeWebSocket(/socket\.io/, (socket) => {
    socket.connectToServer();
    sockets.push(socket);
  });
  await logIn(hers, ann);
  await openChat(hers, bob);
  await call('PUT', `/users/${bob.user_id}/block`, { token: ann.token });
  await say(hers, 'one more thing');
  const unblock = hers.getByRole('button', { name: 'Unblock', exact: true });
  await expect(hers.locator('.composer-blocked')).toBeFocused();
  // Who was still typing unblocks nobody by it.
  await hers.keyboard.type('and then ');
  await hers.keyboard.press('Enter');
  await expect(message(hers, 'one more thing')).toHaveAttribute('data-status', 'failed');
  await expect(unblock).toBeVisible();
  expect((await call('GET', '/blocks', { token: ann.token })).blocks).toHaveLength(1);
  await picture(hers, 'blocked-elsewhere');
  await call('DELETE', `/users/${bob.user_id}/block`, { token: ann.token });
  const people = hers.getByLabel('Find people');
  await people.fill('so');
  for (const socket of sockets) await socket.close();
  await expect(field(hers)).toBeVisible();
  await expect(people, 'nobody is torn away').toBeFocused();
});
