import './page';
import { h } from 'preact';
import { beforeEach, expect, test } from 'vitest';
import { draftOf, setDraft } from '../src/session/drafts';
import { reset, setTimeline, timelineOf, typing, isTyping } from '../src/session/state';
import { useOf } from '../src/views/useOf';
import { drawn } from './drawn';
import { CHAT, message } from './sample';

const OTHER = 'dddddddd-0000-5000-8000-000000000004';
const drawing = () => new Promise((resolve) => setTimeout(resolve, 20));

beforeEach(reset);

test.each<[string, (chat_id: string) => unknown, (chat_id: string) => void]>([
  ['a key typed', draftOf, (chat_id) => setDraft(chat_id, 'h')],
  ['a message', timelineOf, (chat_id) => setTimeline(chat_id, { messages: [message(1)], older: false, newer: false })],
  ['somebody who types', isTyping, (chat_id) => { typing.value = new Set(typing.value).add(chat_id); }],
])('%s in one chat has nothing of another drawn anew', async (_, read, happens) => {
  let draws = 0;
  drawn(({ chat_id }: { chat_id: string }) => {
    draws += 1;
    return h('p', null, String(useOf(chat_id, read)));
  }, { chat_id: CHAT });
  await drawing();
  expect(draws).toBe(1);
  happens(OTHER);
  await drawing();
  expect(draws).toBe(1);
  happens(CHAT);
  await drawing();
  expect(draws).toBe(2);
});
