import './page';
import { afterEach, expect, test, vi } from 'vitest';
import { muteChat, preferences, savePreferences } from '../src/session/preferences';
import { identity } from '../src/session/state';
import { ANN, BOB, CHAT } from './sample';

let kept: Record<string, unknown>;
const put: unknown[] = [];
vi.mock('../src/api/credentials', () => ({
  call: async (method: string, _path: string, options?: { body: Record<string, unknown> }) => {
    await new Promise((done) => setTimeout(done, 5));
    if (method === 'PUT') {
      kept = options!.body;
      put.push(kept);
    }
    return kept;
  },
}));
const enter = (user_id: string) => { identity.value = { user_id, username: 'someone' }; };

afterEach(() => {
  put.length = 0;
  preferences.value = null;
});

test('of changes that are made at once none undoes another', async () => {
  kept = { show_content: false };
  enter(ANN);
  await Promise.all([
    savePreferences((now) => ({ ...now, show_content: true })),
    muteChat(CHAT, true),
    savePreferences((now) => ({ ...now, quiet_hours: { from_minute: 1, to_minute: 2 } })),
  ]);
  expect(kept).toMatchObject({ show_content: true, muted: [{ chat_id: CHAT }], quiet_hours: { from_minute: 1 } });
  expect(preferences.value).toEqual(kept);
});

test('a change that waits when its user logs out is not made for the next', async () => {
  kept = {};
  enter(ANN);
  const both = [savePreferences((now) => ({ ...now, show_content: true })), savePreferences((now) => ({ ...now, show_content: false }))];
  await both[0];
  enter(BOB);
  await both[1];
  expect(put).toEqual([{ show_content: true }]);
});

test('a change that fails does not keep later ones from being made', async () => {
  kept = {};
  enter(ANN);
  const failed = savePreferences(() => { throw new Error('no'); });
  const made = savePreferences((now) => ({ ...now, show_content: true }));
  await expect(failed).rejects.toThrow('no');
  await made;
  expect(kept).toEqual({ show_content: true });
});
