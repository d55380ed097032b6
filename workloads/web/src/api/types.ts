// The server's types, named as the client uses them. They come from the API description.
import type { components } from './schema';

type Schemas = components['schemas'];

export type Tokens = Schemas['TokenAnswer'];
export type Account = Schemas['AccountAnswer'];
export type Profile = Schemas['ProfileAnswer'];
export type Peer = Schemas['Peer'];
export type Message = Schemas['Message'];
export type MessageStatus = Schemas['MessageStatus'];
export type MessagePage = Schemas['MessagePage'];
export type ChatEntry = Schemas['ChatEntry'];
export type ChatPage = Schemas['ChatPage'];
export type StartedChat = Schemas['StartedChat'];
export type SyncPage = Schemas['SyncPage'];
export type SyncEvent = Schemas['SyncEvent'];
export type Session = Schemas['SessionAnswer'];
export type Block = Schemas['BlockAnswer'];
export type SearchResult = Schemas['SearchResult'];
export type SearchResults = Schemas['SearchResults'];
export type Preferences = Schemas['PreferencesView'];
export type ProblemBody = Schemas['Problem'];

/** A notification as `GET /notifications` lists it. */
export interface NotificationEntry {
  notification_id: string;
  kind: string;
  header: string;
  body?: string | null;
  chat_id?: string | null;
  message_id?: string | null;
  created_at: string;
  read: boolean;
}

/** A file, as `complete` and `details` show it. The addresses are signed and good until `expires_at`. */
export interface Media {
  media_id: string;
  content_type: string;
  size: number;
  width?: number | null;
  height?: number | null;
  url: string;
  thumbnail_url?: string | null;
  filename?: string | null;
  expires_at?: string | null;
}

/** Where the bytes of a new file go. */
export interface Upload {
  media_id: string;
  upload: { method: string; url: string; headers: Record<string, string>; expires_at: string };
}
