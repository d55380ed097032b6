import { expect, test } from 'vitest';
import { hashOf, parse, type Route } from '../src/session/route';

test('each place has an address that leads back to it', () => {
  const places: Route[] = [
    { view: 'chats' }, { view: 'settings' }, { view: 'notifications' }, { view: 'register' }, { view: 'forgot' },
    { view: 'reset-password', token: 'abc-_1' }, { view: 'verify-email', token: 'abc' },
    { view: 'chat', chat_id: 'c', message_id: null }, { view: 'chat', chat_id: 'c', message_id: 'm' },
  ];
  for (const place of places) expect(parse(hashOf(place))).toEqual(place);
  expect(parse('#/nowhere')).toEqual({ view: 'chats' });
});
