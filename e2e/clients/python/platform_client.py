"""The stock Python clients (requests, python-socketio), with every wait bounded and every event kept in order."""

import os
import queue
import secrets
import time

import requests
import socketio

BASE = os.environ.get("SENTINEL_URL", "").rstrip("/")
# Whether the server shares its cores with all of its stores, and so may have to say that one is busy.
BUSY = "SENTINEL_PATIENCE_MS" in os.environ
# How long something may take, in seconds.
PATIENCE = int(os.environ.get("SENTINEL_PATIENCE_MS", 5000)) / 1000


def call(method, path, token=None, **options):
    """One HTTP call. Being told to slow down is obeyed, because all tests share one address, and so is being told to come
    back when a store was busy."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    deadline = time.monotonic() + 120
    while True:
        answer = requests.request(method, BASE + path, headers=headers, timeout=15, **options)
        later = answer.status_code == 429 or (answer.status_code == 503 and BUSY)
        if not later or time.monotonic() > deadline:
            return answer
        time.sleep(min(int(answer.headers.get("retry-after", "1")), 65))


def until_able(ask):
    """What `ask` is answered in the end: it asks again as long as a store is busy where that may be."""
    deadline = time.monotonic() + PATIENCE * 2
    while True:
        answer = ask()
        if not BUSY or answer.get("code") != "unavailable" or time.monotonic() > deadline:
            return answer
        time.sleep(answer["retry_after"])


def post(user, chat, message):
    """Writes a message through HTTP and returns it. With an id of its own it is one message, however often it had to be
    sent."""
    body = {"message": message, "client_message_id": secrets.token_hex(8)}
    answer = call("POST", f"/users/chat/{chat}/messages", user.token, json=body)
    assert answer.status_code == 201 or (BUSY and answer.status_code == 200), answer.text
    return answer.json()


class User:
    """A freshly registered account."""

    def __init__(self, prefix):
        self.username = f"{prefix}_{secrets.token_hex(6)}"
        self.password = f"pass-{secrets.token_hex(8)}"
        self.email = f"{self.username}@example.com"
        body = {"username": self.username, "password": self.password, "email": self.email}
        answer = call("POST", "/register", json=body)
        assert answer.status_code == 201, answer.text
        self.id = answer.json()["user_id"]
        self.token = answer.json()["access_token"]
        self.refresh_token = answer.json()["refresh_token"]


class Client:
    """A socket of namespace /chat. `transports` as python-socketio takes them; None is polling first."""

    def __init__(self, token, transports=None, namespace="/chat"):
        self.namespace = namespace
        self.events = []
        self.incoming = queue.Queue()
        self.io = socketio.Client(reconnection=False, request_timeout=PATIENCE)
        self.io.on("*", self._any, namespace=namespace)
        for event in ("connect_error", "disconnect"):
            self.io.on(event, lambda *args, event=event: self._any(event, *args), namespace=namespace)
        self.io.connect(
            BASE, auth={"token": token}, namespaces=[namespace], transports=transports, wait_timeout=PATIENCE
        )
        self.ready = self.next("ready")

    def _any(self, event, *args):
        self.incoming.put((event, args[0] if args else None))

    def next(self, event, match=lambda _: True, patience=PATIENCE):
        """The first event of this name, not yet taken, for which `match` holds."""
        deadline = time.monotonic() + patience
        while True:
            for at, (name, payload) in enumerate(self.events):
                if name == event and match(payload):
                    del self.events[at]
                    return payload
            left = deadline - time.monotonic()
            try:
                self.events.append(self.incoming.get(timeout=max(left, 0.001)))
            except queue.Empty:
                names = [name for name, _ in self.events]
                raise AssertionError(f"no {event} within {patience} s; got {names}") from None

    def ask(self, event, payload):
        """Sends an event and returns its acknowledgement."""
        answer = self.io.call(event, payload, namespace=self.namespace, timeout=PATIENCE * 2)
        assert isinstance(answer, dict), answer
        assert answer["status"] in ("ok", "error"), answer
        return answer

    def must(self, event, payload):
        """Like `ask`, for what must succeed."""
        answer = until_able(lambda: self.ask(event, payload))
        assert answer["status"] == "ok", answer
        return answer

    def refused(self, event, payload, code=None):
        """Like `ask`, for what must be refused."""
        answer = until_able(lambda: self.ask(event, payload))
        assert answer["status"] == "error" and answer["code"] and answer["detail"], answer
        if code is not None:
            assert answer["code"] == code, answer
        return answer

    def send(self, chat, message, **extra):
        """Sends a message and returns the acknowledgement. It is one message, however often it had to be sent."""
        payload = {"chat_id": chat, "message": message, "client_message_id": secrets.token_hex(8), **extra}
        return self.must("send_message", payload)

    def close(self):
        self.io.disconnect()
