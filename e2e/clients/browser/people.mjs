// People with accounts, and windows in which they chat.
import { randomBytes } from 'node:crypto';
import { test as base, expect } from '@playwright/test';
import { output } from './playwright.config.mjs';
import { shake } from './shake.mjs';

export { expect };

export const DESKTOP = { width: 1200, height: 800 };
export const PHONE = { width: 390, height: 844 };

/** A name that no earlier run has taken. */
export const freshName = (prefix) => `${prefix}_${randomBytes(5).toString('hex')}`;

/** A name as it stands in a sentence of the page. */
export const apart = (name) => `\u2068${name}\u2069`;

/** Calls the API; for what a test needs and does not test. */
export async function call(method, path, { token, body } = {}) {
  const response = await fetch(process.env.SENTINEL_URL + path, {
    method,
    headers: {
      ...(token && { authorization: `Bearer ${token}` }),
      ...(body && { 'content-type': 'application/json' }),
    },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}

/** Skips the rest of a test unless it can be done here, and says why. */
export function only(possible, otherwise) {
  if (!possible) console.log(`skipped: ${otherwise}`);
  test.skip(!possible, otherwise);
}

/** Skips the rest of a test where the server has no such route. */
export async function needs(path) {
  const { paths } = await call('GET', '/openapi.json');
  only(path in paths, `this server has no ${path}`);
}

/** A person with an account. */
export async function person(prefix) {
  const username = freshName(prefix);
  const password = `pass-${randomBytes(6).toString('hex')}`;
  const account = await call('POST', '/register', { body: { username, password, email: `${username}@example.com` } });
  return { username, password, user_id: account.user_id, token: account.access_token };
}

/** The id of the chat of two people. */
export async function chatOf(one, other) {
  return (await call('POST', '/users/chat', { token: one.token, body: { receiver_id: other.user_id } })).chat_id;
}

/** Writes a message without a window. */
export const write = (author, chat, message, more = {}) =>
  call('POST', `/users/chat/${chat}/messages`, { token: author.token, body: { message, ...more } });

export const test = base.extend({
  /** Opens windows, each as if on a device of its own, and sees to it that nothing went wrong behind them. */
  windows: async ({ browser }, use) => {
    const contexts = [];
    const faults = [];
    const open = async (options = {}) => {
      const context = await browser.newContext({ baseURL: process.env.SENTINEL_URL, viewport: DESKTOP, ...options });
      contexts.push(context);
      if (process.env.SENTINEL_SHAKEN) await shake(context);
      const page = await context.newPage();
      page.on('pageerror', (error) => faults.push(`uncaught: ${error.stack ?? error}`));
      page.on('console', (message) => {
        const text = message.text();
        if (/content security policy|refused to/i.test(text)) faults.push(text);
      });
      return page;
    };
    await use({ open });
    for (const context of contexts) {
      // What is still on its way needs nobody any more. Some tests have closed theirs already.
      if (process.env.SENTINEL_SHAKEN) await context.unrouteAll({ behavior: 'ignoreErrors' }).catch(() => undefined);
      await context.close();
    }
    expect(faults, 'what the pages complained of').toEqual([]);
  },
});

/** Keeps a picture of the window for people to look at. */
export const picture = (page, name) => page.screenshot({ path: `${output}/${name}.png` });

/** Logs in by the form. */
export async function logIn(page, { username, password }) {
  await page.goto('/');
  await page.getByLabel('Username', { exact: true }).fill(username);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Log in', exact: true }).click();
  await expect(chats(page)).toBeAttached();
}

/** A window in which somebody is logged in. */
export async function windowOf(windows, someone, options) {
  const page = await windows.open(options);
  await logIn(page, someone);
  return page;
}

export const chats = (page) => page.getByRole('list', { name: 'Chats', exact: true });
export const chatWith = (page, { username }) => chats(page).getByTestId('chat').filter({ hasText: username });
export const log = (page) => page.getByRole('log');
export const message = (page, text) => page.getByTestId('message').filter({ hasText: text });
export const field = (page) => page.getByRole('textbox', { name: 'Message', exact: true });

/** Opens the chat with somebody who is in the list already. */
export async function openChat(page, someone) {
  await chatWith(page, someone).click();
  await expect(field(page)).toBeVisible();
}

/** Finds somebody by the beginning of the name and opens a chat. */
export async function findPerson(page, { username }) {
  await page.getByLabel('Find people').fill(username.slice(0, -2));
  await page.getByTestId('person').filter({ hasText: username }).click();
  await expect(field(page)).toBeVisible();
}

/** Writes and sends. */
export async function say(page, text) {
  await field(page).fill(text);
  await page.getByRole('button', { name: 'Send', exact: true }).click();
}

/** Waits until the page would open without a network; skips the rest of a test where browsers do not allow that. */
export async function opensOffline(page) {
  only(await page.evaluate(() => isSecureContext), 'a page opens without a network only over HTTPS, or from this machine');
  await page.waitForFunction(async () => navigator.serviceWorker.controller !== null && (await caches.match(`${location.origin}/`)) !== undefined);
}

/** What the service worker of a page does with pushes, as the browser has it. */
export async function pushes(page) {
  const session = await page.context().newCDPSession(page);
  const registered = new Promise((resolve) => {
    session.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
      const one = registrations.find(({ isDeleted, scopeURL }) => !isDeleted && page.url().startsWith(scopeURL));
      if (one) resolve(one.registrationId);
    });
  });
  await session.send('ServiceWorker.enable');
  const registrationId = await registered;
  const origin = new URL(page.url()).origin;
  return {
    push: (data) => session.send('ServiceWorker.deliverPushMessage', { origin, registrationId, data: JSON.stringify(data) }),
    /** What stands among the notifications of the system. */
    shown: () => page.evaluate(async () => {
      const worker = await navigator.serviceWorker.ready;
      return (await worker.getNotifications()).map(({ tag, silent }) => ({ tag, silent }));
    }),
  };
}
