// The Socket.IO connection: keeps itself open, renews its token, and asks with acknowledgements.
import { Manager, type Socket } from 'socket.io-client';
import { base } from '../api/http';
import { ApiError } from '../api/problem';
import { token } from '../api/credentials';
import { spread } from '../store/waits';

export interface Ready {
  user_id: string;
  session_id: string;
  sync_token: string;
  limits: { message_bytes: number; message_retention_seconds?: number | null };
}

export interface Listeners {
  ready(ready: Ready): void;
  lost(): void;
  event(name: string, data: unknown): void;
  /** The namespace `/notifications` said something. */
  notification(name: string, data: unknown): void;
  /** Whether `/notifications` is there. */
  notifying(on: boolean): void;
}

const ANSWER_MS = 10_000;
const RETRY_MS = 5_000;
/** Refusals after which a new token helps. */
const RENEWABLE = new Set(['token_expired', 'invalid_token', 'missing_token']);

let chat: Socket | null = null;
let notifications: Socket | null = null;
let stale = false;

/** Connects until `close` is called. */
export function open(listeners: Listeners): void {
  close();
  // One link carries both namespaces.
  const manager = new Manager(base.origin, {
    path: `${base.pathname}socket.io/`,
    transports: ['websocket', 'polling'],
    tryAllTransports: true,
    reconnectionDelay: 500,
    reconnectionDelayMax: 10_000,
    autoConnect: false,
  });
  const auth = (give: (payload: object) => void): void => {
    // Without a token there is nothing to send: the server refuses, and we come back when there is a network.
    token(stale).then((value) => { stale = false; give({ token: value }); }, () => give({}));
  };
  const socket = manager.socket('/chat', { auth });
  chat = socket;
  socket.on('ready', (ready: Ready) => listeners.ready(ready));
  socket.on('connect_error', (error: Error & { data?: { code?: string } }) => {
    listeners.lost();
    if (socket.active) return;
    const code = error.data?.code;
    if (code && RENEWABLE.has(code)) stale = true;
    if (code === 'session_ended') void token(true).catch(() => undefined);
    again(socket);
  });
  socket.on('disconnect', (reason) => {
    listeners.lost();
    // The server ended it: the session may be over, which the next token tells.
    if (reason === 'io server disconnect') {
      stale = true;
      again(socket, 200);
    }
  });
  socket.onAny((name: string, data: unknown) => listeners.event(name, data));

  const second = manager.socket('/notifications', { auth });
  notifications = second;
  second.on('connect', () => listeners.notifying(true));
  second.on('disconnect', (reason) => {
    listeners.notifying(false);
    if (reason === 'io server disconnect') again(second);
  });
  second.on('connect_error', (error: Error & { data?: { code?: string } }) => {
    listeners.notifying(false);
    const code = error.data?.code;
    // Without a code it is the namespace that is not there.
    if (!second.active && code) again(second);
  });
  second.onAny((name: string, data: unknown) => listeners.notification(name, data));
  for (const one of [socket, second]) {
    // Each namespace has a token of its own.
    one.on('token_expiring', () => {
      token(true)
        .then((value) => request(one, 'reauthenticate', { token: value }))
        .catch((error: unknown) => console.warn('the socket kept its old token', error));
    });
    one.connect();
  }
}

/** A stock client does not come back by itself once the server refused it. */
function again(socket: Socket, delay = RETRY_MS): void {
  setTimeout(() => {
    if ((socket === chat || socket === notifications) && !socket.connected) socket.connect();
  }, spread(delay));
}

export function close(): void {
  for (const socket of [chat, notifications]) {
    socket?.removeAllListeners();
    socket?.offAny();
    socket?.disconnect();
  }
  chat = null;
  notifications = null;
}

/** The network is back: no need to wait for the next try. */
export function hurry(): void {
  if (!chat || chat.connected) return;
  const all = [chat, notifications].filter((socket) => socket !== null);
  // A link that waits for its next try is given up: the new one does not wait.
  for (const socket of all) socket.disconnect();
  for (const socket of all) socket.connect();
}

export const connected = (): boolean => chat?.connected ?? false;

/** Emits an event and gives its acknowledgement; a refusal, a lost connection or no answer is an `ApiError`. */
export function ask<T = object>(event: string, payload: object): Promise<T> {
  return request(chat, event, payload);
}

async function request<T = object>(socket: Socket | null, event: string, payload: object): Promise<T> {
  if (!socket?.connected) throw new ApiError(0, 'not_connected', '');
  let answer: { status: string; code?: string; detail?: string; retry_after?: number };
  try {
    answer = await socket.timeout(ANSWER_MS).emitWithAck(event, payload);
  } catch {
    throw new ApiError(0, 'timeout', '');
  }
  if (answer.status !== 'ok') throw new ApiError(400, answer.code ?? 'error', answer.detail ?? '', {}, answer.retry_after ?? null);
  return answer as T;
}

/** Emits what may get lost. */
export function tell(event: string, payload: object): void {
  if (chat?.connected) chat.emit(event, payload, () => undefined);
}
