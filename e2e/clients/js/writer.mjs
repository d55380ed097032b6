// Writes to one chat without pause until standard input closes, and prints what it saw as JSON lines.
//
// A send that is not acknowledged in time, or that the server could not take, is repeated under the same client
// message id: the oracle then expects every acknowledged message exactly once.
//
// Standard input: one line {url, token, chat_id, name, interval_ms, ack_timeout_ms, give_up_ms, transports?,
// listen_only?}, then nothing until it closes. One that only listens prints what it receives.
// Lines printed: {opened}, {connected}, {upgraded}, {disconnected}, {acked}, {received}, {refused}, {unanswered}, {done}.
import { createInterface } from 'node:readline';
import { io } from 'socket.io-client';

const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

const lines = createInterface({ input: process.stdin });
let stopping = false;
const order = await new Promise((done) => lines.once('line', (line) => done(JSON.parse(line))));
lines.once('close', () => {
  stopping = true;
});

const socket = io(`${order.url}/chat`, {
  auth: (give) => give({ token: order.token }),
  ...(order.transports ? { transports: order.transports } : {}),
  reconnectionDelay: 100,
  reconnectionDelayMax: 1000,
  timeout: 3000,
});
socket.io.on('open', () => {
  const { engine } = socket.io;
  print({ opened: engine.transport.name });
  engine.once('upgrade', () => print({ upgraded: engine.transport.name }));
});
socket.on('connect', () => print({ connected: socket.io.engine.transport.name }));
socket.on('disconnect', (reason) => {
  print({ disconnected: reason });
  // The stock client does not come back by itself after a close by the server; a chat client must.
  if (reason === 'io server disconnect' && !stopping) setTimeout(() => socket.connect(), 200);
});
socket.on('connect_error', (error) => {
  print({ connect_error: error.message, code: error.data?.code ?? null });
  // After CONNECT_ERROR the stock client does not try again either.
  if (!socket.active && !stopping) setTimeout(() => socket.connect(), 500);
});
socket.on('receive_message', ({ message_id, client_message_id, sender_id }) => {
  print({ received: { message_id, client_message_id, sender_id } });
});

/** Sends one message until it is acknowledged; false when that takes too long. */
async function deliver(client_message_id) {
  const payload = { chat_id: order.chat_id, message: `from ${client_message_id}`, client_message_id };
  const deadline = Date.now() + order.give_up_ms;
  for (let tries = 1; Date.now() < deadline; tries += 1) {
    if (!socket.connected) {
      await sleep(50);
      continue;
    }
    const answer = await socket.timeout(order.ack_timeout_ms).emitWithAck('send_message', payload).catch(() => undefined);
    if (answer?.status === 'ok') {
      const { message_id, duplicate } = answer;
      print({ acked: { client_message_id, message_id, duplicate, tries } });
      return true;
    }
    if (answer) {
      print({ refused: answer.code, client_message_id });
      await sleep(200);
    } else {
      print({ unanswered: client_message_id });
    }
  }
  return false;
}

let written = 0;
let complete = true;
while (!stopping && order.listen_only) await sleep(100);
while (!stopping && complete) {
  complete = await deliver(`${order.name}-${String(written).padStart(6, '0')}`);
  written += complete ? 1 : 0;
  await sleep(order.interval_ms);
}
print({ done: { acked: written, complete } });
socket.disconnect();
process.exitCode = complete ? 0 : 1;
