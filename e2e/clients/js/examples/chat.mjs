// node chat.mjs URL NAME PASSWORD PEER TEXT: sends the text, shows what was said before and what comes until it is stopped.
import { io } from "socket.io-client";
const [url, username, password, peer, text] = process.argv.slice(2);
const account = JSON.stringify({ username, password, email: `${username}@example.com` });
const call = (path, options) => fetch(url + path, options).then((answer) => (answer.ok ? answer.json() : null));
const enter = (path) => call(path, { method: "POST", body: account, headers: { "content-type": "application/json" } });
const { access_token: token } = (await enter("/login")) ?? (await enter("/register"));
const { user_id: receiver_id } = await call(`/users/username/${peer}`, { headers: { authorization: `Bearer ${token}` } });
const socket = io(`${url}/chat`, { auth: { token }, ackTimeout: 10_000, retries: 9 }); // no answer in time: the same again
let page = {}, shown = new Set(); // a message may come both live and by sync
const show = (it) => shown.size < shown.add(it.message_id).size && console.log(`${it.sender_id}: ${it.message}`);
async function sync() {
  page = await socket.emitWithAck("sync", { since: page.next });
  page.events.filter((it) => it.event === "receive_message").forEach((it) => show(it.data));
  if (page.more) await sync();
}
socket.on("receive_message", show);
socket.on("ready", sync); // at each connect: what was missed
const { chat_id } = await socket.emitWithAck("start_private_chat", { receiver_id });
console.log(await socket.emitWithAck("send_message", { chat_id, message: text, client_message_id: crypto.randomUUID() }));
