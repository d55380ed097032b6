import './page';
import { beforeEach, expect, test } from 'vitest';
import { setAnswering, setDraft } from '../src/session/drafts';
import { identity, outbox, reset } from '../src/session/state';
import { unsent } from '../src/session/unsent';
import { giveBack } from '../src/session/uploads';
import type { Outgoing } from '../src/store/outbox';
import { ANN, CHAT, message } from './sample';

const OTHER = 'dddddddd-0000-5000-8000-000000000004';
const own = message(1, { sender_id: ANN, chat_id: OTHER });

beforeEach(() => {
  reset();
  identity.value = { user_id: ANN, username: 'ann' };
});

test('what was not sent is what waits or failed, and what is being written, once for each chat', () => {
  expect(unsent.value).toBe(0);
  setDraft(CHAT, ' \n');
  expect(unsent.value).toBe(0);
  setDraft(CHAT, 'half a sentence');
  giveBack(CHAT, ['a-file']);
  expect(unsent.value).toBe(1);
  giveBack(OTHER, ['a-file']);
  expect(unsent.value).toBe(2);
  outbox.value = ['pending', 'failed'].map((state) => ({ client_message_id: state, chat_id: CHAT, state }) as Outgoing);
  expect(unsent.value).toBe(4);
});

test('an edit counts when something was changed', () => {
  setAnswering(OTHER, { kind: 'edit', message: own, text: own.message });
  expect(unsent.value).toBe(0);
  setAnswering(OTHER, { kind: 'edit', message: own, text: 'better' });
  expect(unsent.value).toBe(1);
  reset();
  expect(unsent.value).toBe(0);
});
