import { page } from './page';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import * as database from '../src/idb/database';
import { beginDrafts, drafts, endDrafts, flushDrafts, isAsSaved, setAnswering, setDraft } from '../src/session/drafts';
import { identity, reset } from '../src/session/state';
import { ANN, BOB, CHAT, message } from './sample';

const OTHER = 'dddddddd-0000-5000-8000-000000000004';
const shown = () => Object.fromEntries(drafts.value);
const kept = () => database.all<{ chat_id: string; text: string }>('drafts').then((all) => Object.fromEntries(all.map((one) => [one.chat_id, one.text])));
/** What another tab writes. */
const elsewhere = (chat_id: string, text: string) => (text === '' ? database.remove('drafts', [chat_id]) : database.put('drafts', chat_id, { chat_id, text }));

beforeEach(async () => {
  vi.useFakeTimers();
  await database.clearAll();
  endDrafts();
  reset();
  identity.value = { user_id: ANN, username: 'ann' };
  await beginDrafts();
});
afterEach(() => {
  endDrafts();
  vi.useRealTimers();
});

/** The page as it is when it is loaded anew. */
async function reloaded(who = ANN) {
  endDrafts();
  reset();
  identity.value = { user_id: who, username: 'someone' };
  await beginDrafts();
}

test('what was written is there after a reload', async () => {
  setDraft(CHAT, 'half a');
  setDraft(CHAT, 'half a sentence');
  expect(await kept()).toEqual({});
  await vi.advanceTimersByTimeAsync(500);
  await reloaded();
  expect(shown()).toEqual({ [CHAT]: 'half a sentence' });
});

test('who leaves the page at once loses nothing', async () => {
  setDraft(CHAT, 'quick');
  page.fire('pagehide');
  await reloaded();
  expect(shown()).toEqual({ [CHAT]: 'quick' });
});

test('what was sent, or taken out of the field, is not there again', async () => {
  setDraft(CHAT, 'hello');
  await flushDrafts();
  setDraft(CHAT, '');
  setDraft(OTHER, '  ');
  await flushDrafts();
  await reloaded();
  expect(shown()).toEqual({});
});

test('a tab that one comes back to shows what was written or sent in another, and keeps what was written in it', async () => {
  setDraft(CHAT, 'from here');
  await flushDrafts();
  await elsewhere(CHAT, 'from there');
  page.fire('focus');
  await vi.advanceTimersByTimeAsync(0);
  expect(shown()).toEqual({ [CHAT]: 'from there' });
  await elsewhere(CHAT, '');
  setDraft(OTHER, 'not written yet');
  page.fire('focus');
  await vi.advanceTimersByTimeAsync(0);
  expect(shown()).toEqual({ [OTHER]: 'not written yet' });
  await flushDrafts();
  expect(await kept()).toEqual({ [OTHER]: 'not written yet' });
});

test('a tab writes only what was changed in it', async () => {
  setDraft(CHAT, 'mine');
  await flushDrafts();
  await elsewhere(CHAT, 'theirs');
  setDraft(OTHER, 'else');
  page.fire('blur');
  await vi.advanceTimersByTimeAsync(500);
  expect(await kept()).toEqual({ [CHAT]: 'theirs', [OTHER]: 'else' });
});

test('nothing is written any more when the session is over', async () => {
  setDraft(CHAT, 'secret');
  endDrafts();
  await database.clearAll();
  await vi.advanceTimersByTimeAsync(500);
  page.fire('pagehide');
  await vi.advanceTimersByTimeAsync(0);
  expect(await kept()).toEqual({});
});

test('what was being read for one user is not shown to the next', async () => {
  await elsewhere(CHAT, 'secret');
  endDrafts();
  reset();
  const begun = beginDrafts();
  identity.value = { user_id: BOB, username: 'bob' };
  await begun;
  expect(shown()).toEqual({});
});

test('an edit that was gone on with while an earlier text of it was saved is no longer what was saved', () => {
  const own = message(1);
  setAnswering(CHAT, { kind: 'edit', message: own, text: 'better' });
  expect(isAsSaved(CHAT, own, 'better')).toBe(true);
  expect(isAsSaved(CHAT, { ...own, message: 'better' }, 'better')).toBe(true);
  setAnswering(CHAT, { kind: 'edit', message: own, text: 'better still' });
  expect(isAsSaved(CHAT, own, 'better')).toBe(false);
  setAnswering(CHAT, { kind: 'reply', message_id: own.message_id, message: own });
  expect(isAsSaved(CHAT, own, 'better')).toBe(false);
});
