// Calls about chats and messages.
import { call } from './credentials';
import { query } from './http';
import type { ChatEntry, ChatPage, MessagePage, SearchResults, StartedChat } from './types';

const PAGES = 10;

/** The caller's chats, newest activity first; at most a thousand. */
export async function chats(): Promise<ChatEntry[]> {
  const all: ChatEntry[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < PAGES; page += 1) {
    const body = await call<ChatPage>('GET', `/users/chat${query({ limit: 100, cursor })}`);
    all.push(...body.chats);
    if (!body.next_cursor) break;
    cursor = body.next_cursor;
  }
  return all;
}

export const startChat = (receiver_id: string) => call<StartedChat>('POST', '/users/chat', { body: { receiver_id } });

export interface Where {
  limit: number;
  before?: string;
  after?: string;
  around?: string;
}

/** A part of a chat's history, newest first. */
export const history = (chat_id: string, where: Where) =>
  call<MessagePage>('GET', `/users/chat/${chat_id}${query({ ...where })}`);

export interface Wanted {
  q: string;
  chat_id?: string;
  cursor?: string;
  limit?: number;
}

export const search = (wanted: Wanted, signal?: AbortSignal) =>
  call<SearchResults>('GET', `/search/messages${query({ ...wanted })}`, signal ? { signal } : {});
