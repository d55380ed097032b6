"""Writes to one chat without pause until standard input closes, and prints what it saw as JSON lines.

A send that is not acknowledged in time, or that the server could not take, is repeated under the same client message
id: the oracle then expects every acknowledged message exactly once.

Standard input: one line {url, token, chat_id, name, interval_ms, ack_timeout_ms, give_up_ms, transports?}, then nothing
until it closes.
Lines printed: {connected}, {disconnected}, {acked}, {received}, {refused}, {unanswered}, {done}.
"""

import json
import sys
import threading
import time

import socketio

CHAT = "/chat"

order = json.loads(sys.stdin.readline())
stopping = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stopping.set()), daemon=True).start()
printing = threading.Lock()


def say(**line):
    with printing:
        print(json.dumps(line), flush=True)


# Connecting again is done below, because the stock client does not after a close by the server or a refusal.
io = socketio.Client(reconnection=False, request_timeout=3)
io.on("connect", lambda: say(connected=io.transport()), namespace=CHAT)
io.on("disconnect", lambda reason=None: say(disconnected=reason), namespace=CHAT)
io.on("connect_error", lambda error=None: say(connect_error=error), namespace=CHAT)


@io.on("receive_message", namespace=CHAT)
def received(message):
    say(received={key: message[key] for key in ("message_id", "client_message_id", "sender_id")})


def connected():
    """Connects if need be; tells whether there is a connection now."""
    if CHAT in io.namespaces and io.connected:
        return True
    try:
        io.disconnect()
        io.connect(
            order["url"],
            auth={"token": order["token"]},
            namespaces=[CHAT],
            transports=order.get("transports"),
            wait_timeout=5,
        )
        return True
    except (socketio.exceptions.SocketIOError, ValueError) as error:
        say(connect_error=str(error))
        time.sleep(0.3)
        return False


def deliver(client_message_id):
    """Sends one message until it is acknowledged; false when that takes too long."""
    payload = {
        "chat_id": order["chat_id"],
        "message": f"from {client_message_id}",
        "client_message_id": client_message_id,
    }
    deadline = time.monotonic() + order["give_up_ms"] / 1000
    tries = 0
    while time.monotonic() < deadline:
        if not connected():
            continue
        tries += 1
        try:
            answer = io.call("send_message", payload, namespace=CHAT, timeout=order["ack_timeout_ms"] / 1000)
        except socketio.exceptions.SocketIOError:
            say(unanswered=client_message_id)
            continue
        if answer["status"] == "ok":
            acked = {"client_message_id": client_message_id, "message_id": answer["message_id"]}
            say(acked={**acked, "duplicate": answer["duplicate"], "tries": tries})
            return True
        say(refused=answer["code"], client_message_id=client_message_id)
        time.sleep(0.2)
    return False


written = 0
complete = True
while complete and not stopping.is_set():
    complete = deliver(f"{order['name']}-{written:06}")
    written += complete
    time.sleep(order["interval_ms"] / 1000)
say(done={"acked": written, "complete": complete})
io.disconnect()
sys.exit(0 if complete else 1)
