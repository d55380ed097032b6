// Calls about chats and messages.
import { call } from './credentials';
import { query } from './http';
import type { ChatEntry, ChatPage, MessagePage, SearchResults, StartedChat } from './types';

/** A part of the caller's chats, newest activity first: so many pages of a hundred, and where the next part begins. */
export async function chats(pages: number, from?: string): Promise<{ entries: ChatEntry[]; next: string | null }> {
  const entries: ChatEntry[] = [];
  let cursor = from ?? null;
  for (let page = 0; page < pages; page += 1) {
    const body = await call<ChatPage>('GET', `/users/chat${query({ limit: 100, cursor: cursor ?? undefined })}`);
    entries.push(...body.chats);
    cursor = body.next_cursor ?? null;
    if (cursor === null) break;
  }
  return { entries, next: cursor };
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
