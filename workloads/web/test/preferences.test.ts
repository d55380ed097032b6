import './page';
import { afterEach, expect, test, vi } from 'vitest';
import type { Call } from '../src/api/http';
import { ApiError } from '../src/api/problem';
import { loadPreferences, muteChat, preferences, savePreferences } from '../src/session/preferences';
import { chats, identity } from '../src/session/state';
import { loaded } from '../src/store/chats';
import { ANN, BOB, CHAT, entry } from './sample';

let kept: Record<string, unknown>;
const put: unknown[] = [];
/** What another device changes between the reading and the writing of this one. */
const others: Record<string, unknown>[] = [];
vi.mock('../src/api/credentials', () => ({
  call: async (method: string, _path: string, options?: Call) => {
    const before = kept;
    await new Promise((done) => setTimeout(done, 5));
    if (method === 'GET' && late) {
      await late;
      return before;
    }
    const version = () => JSON.stringify(kept);
    if (method === 'PUT') {
      const other = others.shift();
      if (other) kept = { ...kept, ...other };
      if (options?.version !== version()) throw new ApiError(412, 'preferences_changed', '');
      kept = options.body as Record<string, unknown>;
      put.push(kept);
    }
    options?.versioned?.(version());
    return kept;
  },
}));
let late: Promise<void> | null = null;
const enter = (user_id: string) => { identity.value = { user_id, username: 'someone' }; };

afterEach(() => {
  put.length = 0;
  others.length = 0;
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

test('a chat that both have is not muted for the next user because of who has left', async () => {
  kept = {};
  enter(ANN);
  const changed = muteChat(CHAT, true);
  enter(BOB);
  chats.value = loaded(new Map(), [entry()], BOB, Date.now());
  await changed;
  expect(chats.value.get(CHAT)!.muted).toBe(false);
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

test('a change is made anew to what another device has changed meanwhile', async () => {
  kept = { show_content: false };
  others.push({ muted: [{ chat_id: CHAT, until: '2040-01-01T00:00:00Z' }] });
  enter(ANN);
  await savePreferences((now) => ({ ...now, show_content: true }));
  expect(kept).toEqual({ show_content: true, muted: [{ chat_id: CHAT, until: '2040-01-01T00:00:00Z' }] });
  expect(put).toHaveLength(1);
});

test('a change that never fits is given up', async () => {
  kept = {};
  others.push(...Array.from({ length: 9 }, (_, number) => ({ number })));
  enter(ANN);
  await expect(savePreferences((now) => ({ ...now, show_content: true }))).rejects.toMatchObject({ status: 412 });
  expect(others).toHaveLength(4);
});

test('a change is not undone by what was asked for before it', async () => {
  kept = { show_content: false };
  enter(ANN);
  let come = () => undefined as void;
  late = new Promise((resolve) => { come = resolve; });
  const loading = loadPreferences();
  await new Promise((done) => setTimeout(done, 10));
  late = null;
  await savePreferences((now) => ({ ...now, show_content: true }));
  come();
  await loading;
  expect(preferences.value).toEqual({ show_content: true });
});
