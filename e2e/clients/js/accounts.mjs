// Accounts for tests. Hashing a password is slow on purpose, so tests share accounts where they can.
import { randomBytes, randomUUID } from 'node:crypto';
import { BUSY, call, ok } from './http.mjs';

/** A name that no earlier run has taken. */
export function freshName(prefix = 'u') {
  return `${prefix}_${randomBytes(6).toString('hex')}`;
}

/** Registers an account and returns it with its password and tokens. */
export async function newUser(prefix = 'u') {
  const username = freshName(prefix);
  const password = `pass-${randomBytes(8).toString('hex')}`;
  const email = `${username}@example.com`;
  const tokens = ok(await call('POST', '/register', { body: { username, password, email } }), 201);
  return { ...tokens, password, email, token: tokens.access_token };
}

/** Logs in again: another device of the same account. */
export async function login(user) {
  const tokens = ok(await call('POST', '/login', { body: { username: user.username, password: user.password } }));
  return { ...user, ...tokens, token: tokens.access_token };
}

/** Two accounts with a chat between them. */
export async function newPair() {
  const [ann, bob] = [await newUser('ann'), await newUser('bob')];
  return { ann, bob, chat: await newChat(ann, bob) };
}

/** The id of the chat between two accounts. */
export async function newChat(from, to) {
  const answer = await call('POST', '/users/chat', { token: from.token, body: { receiver_id: to.user_id } });
  return ok(answer, answer.status === 200 ? 200 : 201).chat_id;
}

/** Writes a message through HTTP and returns it. With an id of its own it is one message, however often it had to be sent. */
export async function post(user, chat, message, extra = {}) {
  const body = { message, client_message_id: randomUUID(), ...extra };
  const answer = await call('POST', `/users/chat/${chat}/messages`, { token: user.token, body });
  return ok(answer, BUSY && answer.status === 200 ? 200 : 201);
}

/** The claims of an access token. */
export function claims(token) {
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
}
