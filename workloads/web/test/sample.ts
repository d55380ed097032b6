// Messages and chats for tests.
import type { ChatEntry, Message } from '../src/api/types';

export const ANN = 'aaaaaaaa-0000-4000-8000-000000000001';
export const BOB = 'bbbbbbbb-0000-4000-8000-000000000002';
export const CHAT = 'cccccccc-0000-5000-8000-000000000003';
const START = Date.UTC(2026, 0, 5, 12, 0, 0);

/** The id of the message of second `n`. */
export function idAt(n: number): string {
  const time = (START + n * 1000).toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-000000000000`;
}

export function message(n: number, fields: Partial<Message> = {}): Message {
  return {
    message_id: idAt(n), chat_id: CHAT, sender_id: BOB, type: 'text', message: `text ${n}`, content: `text ${n}`,
    attachments: [], reply_to: null, timestamp: new Date(START + n * 1000).toISOString(), edited_at: null, deleted: false,
    status: 'sent', seen_at: null, client_message_id: null, ...fields,
  };
}

export const entry = (fields: Partial<ChatEntry> = {}): ChatEntry => ({
  chat_id: CHAT, peer: { user_id: BOB, username: 'bob', display_name: 'Bob' }, last_message: null, unread: 0,
  delivered_up_to: null, read_up_to: null, muted: false, ...fields,
});

export const ids = (messages: readonly Message[]): string[] => messages.map((one) => one.message_id);
