// The stock Socket.IO client with everything it receives kept in order, so that no event is lost between two awaits.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { io } from 'socket.io-client';
import { BUSY, base, sleep } from './http.mjs';

/** How long something may take; more where the server shares its cores with all of its stores. */
export const PATIENCE_MS = Number(process.env.SENTINEL_PATIENCE_MS ?? 5000);
const opened = new Set();

/** A socket of one namespace and all that it received. */
export class Client {
  constructor(socket) {
    this.socket = socket;
    this.log = [];
    this.waiting = [];
    this.consumed = new Set();
    socket.onAny((event, ...args) => this.#record(event, args));
    for (const event of ['connect', 'connect_error', 'disconnect']) {
      socket.on(event, (...args) => this.#record(event, args));
    }
    opened.add(this);
  }

  #record(event, args) {
    this.log.push({ event, args, at: Date.now() });
    this.waiting.splice(0).forEach((look) => look());
  }

  /** The first event of this name not yet taken for which `match` holds; bounded. */
  async next(event, match = () => true, patience = PATIENCE_MS) {
    const find = () =>
      this.log.findIndex((entry, at) => entry.event === event && !this.consumed.has(at) && match(...entry.args));
    const deadline = Date.now() + patience;
    for (let at = find(); ; at = find()) {
      if (at >= 0) {
        this.consumed.add(at);
        return this.log[at].args[0];
      }
      const left = deadline - Date.now();
      if (left <= 0) {
        throw new assert.AssertionError({
          message: `no ${event} within ${patience} ms; got ${JSON.stringify(this.log.map((entry) => entry.event))}`,
        });
      }
      await new Promise((done) => {
        const timer = setTimeout(done, left);
        this.waiting.push(() => {
          clearTimeout(timer);
          done();
        });
      });
    }
  }

  /** All received events of this name, taken or not. */
  all(event) {
    return this.log.filter((entry) => entry.event === event).map((entry) => entry.args[0]);
  }

  /** Sends an event and returns its acknowledgement, which must be one object with a status. */
  async ask(event, ...args) {
    const answers = await this.askRaw(event, ...args);
    assert.equal(answers.length, 1, `${event}: an acknowledgement is one object, got ${JSON.stringify(answers)}`);
    const [answer] = answers;
    assert.ok(answer !== null && typeof answer === 'object' && !Array.isArray(answer), `${event}: ${answer}`);
    assert.ok(['ok', 'error'].includes(answer.status), `${event}: ${JSON.stringify(answer)}`);
    if (answer.status === 'error') {
      assert.match(answer.code, /^[a-z][a-z0-9_]*$/, JSON.stringify(answer));
      assert.equal(typeof answer.detail, 'string', JSON.stringify(answer));
    }
    return answer;
  }

  /** Sends an event and returns the arguments of its acknowledgement. */
  askRaw(event, ...args) {
    return new Promise((done, fail) => {
      const timer = setTimeout(
        () => fail(new assert.AssertionError({ message: `${event}: no acknowledgement` })),
        PATIENCE_MS * 2,
      );
      this.socket.emit(event, ...args, (...answers) => {
        clearTimeout(timer);
        done(answers);
      });
    });
  }

  /** Like `ask`, and again as long as a store is busy where that may be. */
  async askUntilAble(event, ...args) {
    const deadline = Date.now() + PATIENCE_MS * 2;
    for (;;) {
      const answer = await this.ask(event, ...args);
      if (!BUSY || answer.code !== 'unavailable' || Date.now() > deadline) return answer;
      await sleep(1000 * answer.retry_after);
    }
  }

  /** Like `ask`, for what must succeed. */
  async must(event, payload) {
    const answer = await this.askUntilAble(event, payload);
    assert.equal(answer.status, 'ok', `${event}: ${JSON.stringify(answer)}`);
    return answer;
  }

  /** Like `ask`, for what must be refused with one of these codes. */
  async refused(codes, event, ...args) {
    const answer = await this.askUntilAble(event, ...args);
    assert.equal(answer.status, 'error', `${event}: ${JSON.stringify(answer)}`);
    if (codes) assert.ok([codes].flat().includes(answer.code), `${event}: ${JSON.stringify(answer)}, wanted ${codes}`);
    return answer;
  }

  /** Sends a message and returns the acknowledgement. It is one message, however often it had to be sent. */
  send(chat, message, extra = {}) {
    return this.must('send_message', { chat_id: chat, message, client_message_id: randomUUID(), ...extra });
  }

  get transport() {
    return this.socket.io.engine?.transport?.name;
  }

  close() {
    this.socket.disconnect();
    opened.delete(this);
  }
}

/** Begins to connect; does not wait. `auth` replaces the CONNECT payload. */
export function dial(token, { namespace = '/chat', auth = { token }, ...options } = {}) {
  return new Client(io(base + namespace, { forceNew: true, reconnection: false, auth, timeout: PATIENCE_MS, ...options }));
}

/** Connects and waits for `ready`, whose payload is `client.ready`. */
export async function connect(user, options) {
  const client = dial(user.token, options);
  client.ready = await client.next('ready');
  return client;
}

/**
 * Asserts that this took less time than is promised. Where the server shares its cores with all of its stores, the time is
 * only printed.
 */
export function promptly(what, ms, promised) {
  if (BUSY) console.log(`${what} after ${ms} ms`);
  else assert.ok(ms < promised, `${what} after ${ms} ms`);
}

/** Connects, must be refused, and returns the error with the milliseconds that it took. */
export async function refusedConnect(auth, options = {}) {
  const began = Date.now();
  // A transport that breaks before the answer is no refusal: clients try again.
  const client = dial(undefined, { auth, reconnection: true, reconnectionDelay: 100, ...options });
  const error = await client.next('connect_error', (error) => error.type !== 'TransportError');
  client.close();
  assert.equal(client.all('ready').length, 0);
  return { error, ms: Date.now() - began };
}

/** Closes whatever a test left open, so that the test process can end. */
export function closeAll() {
  for (const client of [...opened]) client.close();
}
