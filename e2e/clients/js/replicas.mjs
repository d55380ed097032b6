// The stock Socket.IO client against several replicas behind a balancer that sends each request to the next of them.
// SENTINEL_REPLICAS: their base URLs, with commas between them. SENTINEL_TOKEN: an access token. SENTINEL_CHAT: a chat
// of its user. Ends with 0 when every transport works.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { io } from 'socket.io-client';

const replicas = process.env.SENTINEL_REPLICAS.split(',').map((url) => new URL(url));
const taken = replicas.map(() => 0);
let turn = 0;
const next = () => {
  const at = turn++ % replicas.length;
  taken[at] += 1;
  return { host: replicas[at].hostname, port: replicas[at].port };
};

const balancer = http.createServer((request, response) => {
  const { method, url: path, headers } = request;
  const passed = http.request({ ...next(), method, path, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  passed.on('error', () => response.destroy());
  request.pipe(passed);
});
balancer.on('upgrade', (request, client, head) => {
  const replica = net.connect(next(), () => {
    const { rawHeaders } = request;
    const lines = rawHeaders.flatMap((name, at) => (at % 2 ? [] : [`${name}: ${rawHeaders[at + 1]}`]));
    replica.write([`${request.method} ${request.url} HTTP/1.1`, ...lines, '', ''].join('\r\n'));
    replica.write(head);
    replica.pipe(client).pipe(replica);
  });
  for (const [one, other] of [[replica, client], [client, replica]]) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroy());
  }
});
await new Promise((done) => balancer.listen(0, '127.0.0.1', done));
const url = `http://127.0.0.1:${balancer.address().port}/chat`;

async function talk(transports, last) {
  const auth = { token: process.env.SENTINEL_TOKEN };
  const socket = io(url, { transports, auth, forceNew: true, reconnection: false });
  try {
    await new Promise((done, failed) => {
      socket.on('ready', done);
      socket.on('connect_error', failed);
    });
    const engine = socket.io.engine;
    if (transports.length > 1 && engine.transport.name !== last) {
      await new Promise((done, failed) => {
        engine.once('upgrade', done);
        engine.once('upgradeError', failed);
      });
    }
    assert.equal(engine.transport.name, last);
    for (let number = 0; number < 20; number += 1) {
      const message = { chat_id: process.env.SENTINEL_CHAT, message: `${transports} ${number}` };
      const answer = await socket.timeout(5000).emitWithAck('send_message', message);
      assert.equal(answer.status, 'ok');
    }
    assert.ok(socket.connected);
  } finally {
    socket.disconnect();
  }
}

const patience = setTimeout(() => {
  console.error('the client did not get through in time');
  process.exit(1);
}, 30_000);
for (let round = 0; round < 3; round += 1) {
  await talk(['polling'], 'polling');
  await talk(['polling', 'websocket'], 'websocket');
  await talk(['websocket'], 'websocket');
  // The next round begins with the other replica.
  turn += 1;
}
assert.ok(taken.every((requests) => requests > 20), `requests went to ${taken}`);
clearTimeout(patience);
balancer.close();
balancer.closeAllConnections();
