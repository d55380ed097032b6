// Windows that lose the server, and find it again.
import { execSync } from 'node:child_process';
import { call, chatOf, expect, message, only, openChat, person, picture, say, test, windowOf, write } from '../people.mjs';

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
