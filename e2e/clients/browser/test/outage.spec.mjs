// Windows that lose the server, and find it again.
import { execSync } from 'node:child_process';
import { call, chatOf, chatWith, expect, field, message, only, openChat, opensOffline, person, picture, say, test, windowOf, write } from '../people.mjs';

test('what is written offline is sent once when the network is back', async ({ windows }) => {
  const [ann, bob] = [await person('ann'), await person('bob')];
  const chat = await chatOf(ann, bob);
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  await hers.context().setOffline(true);
  await say(hers, 'written in a tunnel');
  await expect(message(hers, 'written in a tunnel')).toHaveAttribute('data-status', 'pending');
  await picture(hers, 'offline-pending');
  await write(bob, chat, 'sent meanwhile');
  await hers.context().setOffline(false);
  await expect(message(hers, 'written in a tunnel')).toHaveAttribute('data-status', /sent|delivered/, { timeout: 60_000 });
  await expect(message(hers, 'sent meanwhile')).toHaveCount(1);
  const { messages } = await call('GET', `/users/chat/${chat}`, { token: bob.token });
  expect(messages.filter(({ message: text }) => text === 'written in a tunnel')).toHaveLength(1);
});

test('what waits for the network can be changed or discarded, and is not sent then, by another tab neither', async ({ windows }) => {
  const [ann, bob] = [await person('ann'), await person('bob')];
  const chat = await chatOf(ann, bob);
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  await opensOffline(hers);
  await hers.context().setOffline(true);
  for (const text of ['too hasty', 'never mind', 'this one stays']) {
    await say(hers, text);
    await expect(message(hers, text)).toHaveAttribute('data-status', 'pending');
  }
  const other = await hers.context().newPage();
  await other.goto(hers.url());
  await expect(message(other, 'never mind')).toHaveAttribute('data-status', 'pending');
  await message(hers, 'never mind').hover();
  await picture(hers, 'offline-acts');
  await message(hers, 'never mind').getByRole('button', { name: 'Discard', exact: true }).click();
  await expect(message(hers, 'never mind')).toHaveCount(0);
  await expect(message(other, 'never mind')).toHaveCount(0);
  await expect(field(hers)).toBeFocused();
  await message(hers, 'too hasty').hover();
  await message(hers, 'too hasty').getByRole('button', { name: 'Edit', exact: true }).click();
  await expect(field(hers)).toHaveValue('too hasty');
  await expect(message(other, 'too hasty')).toHaveCount(0);
  await say(hers, 'thought over');
  await hers.context().setOffline(false);
  for (const text of ['this one stays', 'thought over']) await expect(message(hers, text)).toHaveAttribute('data-status', /sent|delivered/, { timeout: 60_000 });
  await expect(message(other, 'this one stays')).toHaveAttribute('data-status', /sent|delivered/, { timeout: 60_000 });
  const { messages } = await call('GET', `/users/chat/${chat}`, { token: bob.token });
  expect(messages.map(({ message: text }) => text).reverse()).toEqual(['this one stays', 'thought over']);
});

test('the page opens without a network, with what is known and what was being written, and goes on when it is back', async ({ windows }) => {
  const [ann, bob] = [await person('ann'), await person('bob')];
  await write(bob, await chatOf(ann, bob), 'said before the tunnel');
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  await expect(message(hers, 'said before the tunnel')).toBeVisible();
  await field(hers).fill('not finished yet');
  await opensOffline(hers);
  // What is seen is kept a moment later.
  await expect.poll(() => hers.evaluate(() => new Promise((resolve) => {
    indexedDB.open('sentinel').onsuccess = ({ target: { result: store } }) => {
      store.transaction('messages').objectStore('messages').count().onsuccess = ({ target }) => {
        store.close();
        resolve(target.result);
      };
    };
  }))).toBe(1);
  await hers.context().setOffline(true);
  await hers.reload();
  await expect(hers.getByTestId('offline')).toBeVisible();
  await expect(message(hers, 'said before the tunnel')).toBeVisible();
  await expect(field(hers)).toHaveValue('not finished yet');
  await picture(hers, 'opened-offline');
  await hers.goto('/');
  await expect(chatWith(hers, bob)).toContainText('Draft: not finished yet');
  await openChat(hers, bob);
  await say(hers, 'finished in the tunnel');
  await expect(message(hers, 'finished in the tunnel')).toHaveAttribute('data-status', 'pending');
  await hers.context().setOffline(false);
  await expect(message(hers, 'finished in the tunnel')).toHaveAttribute('data-status', /sent|delivered/, { timeout: 60_000 });
  await expect(hers.getByTestId('offline')).toHaveCount(0);
});

test('nothing of an account is in what is kept for opening the page', async ({ windows }) => {
  const [ann, bob] = [await person('ann'), await person('bob')];
  await write(bob, await chatOf(ann, bob), 'between us');
  const hers = await windowOf(windows, ann);
  await openChat(hers, bob);
  await expect(message(hers, 'between us')).toBeVisible();
  await opensOffline(hers);
  await hers.reload();
  await expect(message(hers, 'between us')).toBeVisible();
  const kept = await hers.evaluate(async () => {
    const stores = await Promise.all((await caches.keys()).map((name) => caches.open(name)));
    const requests = (await Promise.all(stores.map((store) => store.keys()))).flat();
    return requests.map(({ url }) => new URL(url).pathname);
  });
  expect(kept.filter((path) => !/^\/(assets\/[^/]+|reload\.js|icon\.svg|manifest\.webmanifest)?$/.test(path))).toEqual([]);
});

// SENTINEL_RESTART: a command that restarts what browsers are connected to.
test('two windows survive a restart of the gateway', async ({ windows }) => {
  only(process.env.SENTINEL_RESTART, 'SENTINEL_RESTART names no command that restarts the gateway');
  const [ann, bob] = [await person('ann'), await person('bob')];
  await chatOf(ann, bob);
  const [hers, his] = [await windowOf(windows, ann), await windowOf(windows, bob)];
  await openChat(hers, bob);
  await openChat(his, ann);
  await say(hers, 'before');
  await expect(message(his, 'before')).toBeVisible();
  execSync(process.env.SENTINEL_RESTART, { stdio: 'inherit', timeout: 90_000 });
  await say(hers, 'after');
  await expect(message(hers, 'after')).toHaveAttribute('data-status', /sent|delivered|read/, { timeout: 60_000 });
  await expect(message(his, 'after')).toHaveCount(1, { timeout: 60_000 });
  await say(his, 'still here');
  await expect(message(hers, 'still here')).toHaveCount(1, { timeout: 60_000 });
  await expect(message(hers, 'before')).toHaveCount(1);
  await picture(hers, 'after-restart');
});
