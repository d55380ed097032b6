"""The core of the contract with the stock Python client."""

import itertools
import queue
import threading
import time

import pytest
import requests
import socketio

from platform_client import BASE, BUSY, PATIENCE, Client, User, call, post, until_able

NOBODY = "0192f3a1-7c5e-7b1a-9f00-3d2c5a7e9b10"


@pytest.fixture(scope="session", autouse=True)
def running():
    assert BASE, "SENTINEL_URL must be the base URL of a running Sentinel"


@pytest.fixture(scope="session")
def people(running):
    return User("ann"), User("bob")


@pytest.fixture(scope="session")
def chat(people):
    ann, bob = people
    answer = call("POST", "/users/chat", ann.token, json={"receiver_id": bob.id})
    assert answer.status_code in (200, 201), answer.text
    return answer.json()["chat_id"]


@pytest.fixture
def dial():
    clients = []

    def connect(user, transports=None):
        clients.append(Client(user.token, transports))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def of(message_id):
    return lambda event: event["message_id"] == message_id


def history(user, chat, **query):
    answer = call("GET", f"/users/chat/{chat}", user.token, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["messages"]


def test_register_login_refresh_logout():
    eve = User("eve")
    answer = call("POST", "/login", json={"username": eve.email, "password": eve.password})
    assert answer.status_code == 200, answer.text
    tokens = answer.json()
    assert tokens["user_id"] == eve.id and tokens["token_type"] == "Bearer"
    wrong = call("POST", "/login", json={"username": eve.username, "password": "not the one"})
    assert wrong.status_code == 401
    assert wrong.headers["content-type"].startswith("application/problem+json")
    assert wrong.json()["code"] == "invalid_credentials"
    fresh = call("POST", "/token/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert fresh.status_code == 200 and fresh.json()["refresh_token"] != tokens["refresh_token"]
    token = fresh.json()["access_token"]
    assert call("GET", "/me", token).json()["email"] == eve.email
    assert call("POST", "/logout", token).status_code == 204
    gone = call("GET", "/me", token)
    assert gone.status_code == 401 and gone.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "mine, theirs", list(itertools.product([None, ["websocket"], ["polling"]], repeat=2))
)
def test_messages_pass_between_all_transports(people, chat, dial, mine, theirs):
    ann, bob = dial(people[0], mine), dial(people[1], theirs)
    sent = ann.send(chat, "hello")
    got = bob.next("receive_message", of(sent["message_id"]))
    assert got["message"] == got["content"] == "hello"
    assert got["sender_id"] == people[0].id and got["chat_id"] == chat and got["timestamp"] == sent["timestamp"]
    back = bob.send(chat, "and back", reply_to=sent["message_id"])
    assert back["message_id"] > sent["message_id"]
    assert ann.next("receive_message", of(back["message_id"]))["reply_to"] == sent["message_id"]


def test_start_chat_from_both_sides_is_one_chat(people, chat, dial):
    ann, bob = dial(people[0]), dial(people[1])
    mine = ann.must("start_private_chat", {"receiver_id": people[1].id, "sender_id": people[0].id})
    theirs = bob.must("start_private_chat", {"receiver_id": people[0].id})
    assert mine["chat_id"] == theirs["chat_id"] == chat
    assert mine["created"] is False
    assert ann.next("private_chat_room_created") == chat
    ann.refused("start_private_chat", {"receiver_id": NOBODY}, "not_found")


def test_a_repeated_client_message_id_is_one_message(people, chat, dial):
    ann, bob = dial(people[0]), dial(people[1])
    payload = {"chat_id": chat, "message": "once", "client_message_id": f"py-{id(ann)}"}
    first = ann.must("send_message", payload)
    again = ann.must("send_message", payload)
    # A busy store may have taken the first one without an answer in time.
    assert (first["duplicate"] is False or BUSY) and again["duplicate"] is True
    assert first["message_id"] == again["message_id"]
    marker = ann.send(chat, "marker")
    bob.next("receive_message", of(marker["message_id"]))
    copies = [payload for name, payload in bob.events if name == "receive_message"]
    assert [copy["message_id"] for copy in copies] == [first["message_id"]]


def test_receipts_and_typing(people, chat, dial):
    ann, bob = dial(people[0]), dial(people[1])
    sent = ann.send(chat, "read me")["message_id"]
    bob.must("message_delivered", {"chat_id": chat, "message_id": sent})
    receipt = ann.next("receipt", lambda event: event["delivered_up_to"] == sent)
    assert receipt["chat_id"] == chat and receipt["user_id"] == people[1].id and receipt["read_up_to"] != sent
    bob.must("message_read", {"chat_id": chat, "message_id": sent})
    ann.next("receipt", lambda event: event["read_up_to"] == sent)
    assert history(people[0], chat, limit=1)[0]["status"] == "read"
    bob.must("typing", {"chat_id": chat, "typing": True})
    typing = ann.next("typing")
    assert typing["typing"] is True and typing["user_id"] == people[1].id and typing["expires_in"] > 0


def test_what_was_missed_comes_by_sync(people, chat, dial):
    away = dial(people[1])
    since = away.ready["sync_token"]
    away.close()
    ann = dial(people[0])
    sent = [ann.send(chat, f"missed {n}")["message_id"] for n in range(7)]
    back = dial(people[1])
    got, more = [], True
    while more:
        page = back.must("sync", {"since": since, "limit": 3})
        assert page["reset"] is False and len(page["events"]) <= 3
        got += [event["data"]["message_id"] for event in page["events"] if event["event"] == "receive_message"]
        since, more = page["next"], page["more"]
    assert got == sent
    over_http = call("GET", "/sync", people[1].token, params={"since": since}).json()
    assert over_http["events"] == [] and over_http["more"] is False


def test_history_both_ways(people, chat, dial):
    ann = dial(people[0])
    sent = [ann.send(chat, f"line {n}")["message_id"] for n in range(9)]
    older, before = [], None
    while len(older) < 9:
        query = {"limit": 4} | ({"before": before} if before else {})
        page = [message["message_id"] for message in history(people[1], chat, **query)]
        older += page
        before = page[-1]
    assert older[:9] == sent[::-1]
    newer = [sent[0]]
    while page := history(people[1], chat, limit=4, after=newer[-1]):
        newer += [message["message_id"] for message in reversed(page)]
    assert newer == sent


def test_payloads_that_python_makes_wrong_are_error_acknowledgements(people, chat, dial):
    ann = dial(people[0])
    good = {"chat_id": chat, "message": "x"}
    for payload in [(good, good), ("a", "b"), [good], [], "text", 5, True, b"bytes", {"chat_id": chat, "message": b"x"}]:
        ann.refused("send_message", payload)
    ann.refused("send_message", None)
    ann.refused("no_such_event", {}, "unknown_event")
    ann.refused("send_message", {"chat_id": chat, "message": "x" * (17 * 1024)}, "message_too_large")
    ann.refused("send_message", {**good, "sender_id": people[1].id}, "forbidden")
    ann.refused("send_message", {"chat_id": NOBODY, "message": "x"}, "not_found")
    # What Python has for nothing is no id: this one alone may be there twice, when it had to be sent again.
    ann.must("send_message", {**good, "client_message_id": None})


@pytest.mark.parametrize("token", [None, "", "garbage", 5, "e30.e30."])
def test_a_refused_connect_carries_a_code(token):
    io = socketio.Client(reconnection=False)
    errors = []
    io.on("connect_error", errors.append, namespace="/chat")
    with pytest.raises(socketio.exceptions.ConnectionError):
        io.connect(BASE, auth={"token": token}, namespaces=["/chat"], wait_timeout=PATIENCE)
    io.disconnect()
    assert errors and errors[0]["data"]["code"], errors
    assert isinstance(errors[0]["message"], str)


def test_an_unknown_namespace_is_refused_quickly(people):
    io = socketio.Client(reconnection=False)
    errors = []
    io.on("connect_error", errors.append, namespace="/nowhere")
    with pytest.raises(socketio.exceptions.ConnectionError):
        io.connect(BASE, auth={"token": people[0].token}, namespaces=["/nowhere"], wait_timeout=PATIENCE)
    io.disconnect()
    assert len(errors) == 1, errors


def test_logout_closes_the_socket(dial):
    eve = User("eve")
    client = dial(eve)
    assert call("POST", "/logout", eve.token).status_code == 204
    client.next("disconnect", patience=PATIENCE if BUSY else 2)


def test_a_client_made_as_the_guide_says_comes_back_when_the_server_ends_its_socket():
    eve = User("eve")
    tokens, ready, over = [eve.token], queue.Queue(), threading.Event()
    io = socketio.Client()
    io.on("ready", ready.put, namespace="/chat")

    def stay():
        while not over.is_set():
            try:
                io.connect(BASE, namespaces=["/chat"], auth=lambda: {"token": tokens[-1]}, wait_timeout=PATIENCE)
                io.wait()
            except socketio.exceptions.ConnectionError:
                time.sleep(0.2)
            body = {"username": eve.username, "password": eve.password}
            tokens.append(call("POST", "/login", json=body).json()["access_token"])

    thread = threading.Thread(target=stay, daemon=True)
    thread.start()
    first = ready.get(timeout=PATIENCE)
    assert call("DELETE", f"/sessions/{first['session_id']}", eve.token).status_code == 204
    second = ready.get(timeout=PATIENCE * 2)
    assert second["session_id"] != first["session_id"]
    beat = until_able(lambda: io.call("heartbeat", {}, namespace="/chat", timeout=PATIENCE))
    assert beat["status"] == "ok", beat
    over.set()
    io.disconnect()
    thread.join(timeout=PATIENCE * 2)
    assert not thread.is_alive()


def test_ids_of_other_peoples_chats_tell_nothing(people, chat):
    eve = User("eve")
    theirs, unknown = (call("GET", f"/users/chat/{id}", eve.token) for id in (chat, NOBODY))
    assert theirs.status_code == unknown.status_code == 404

    def stripped(answer, id):
        return answer.text.replace(answer.json()["request_id"], "").replace(id, "")

    assert stripped(theirs, chat) == stripped(unknown, NOBODY)


def test_the_description_is_served():
    answer = requests.get(f"{BASE}/openapi.json", timeout=10)
    assert answer.json()["openapi"].startswith("3.1")


def until(look, right, patience=PATIENCE * 4):
    """Looks again and again until what is seen is right: search and notifications follow a moment after a message."""
    deadline = time.monotonic() + patience
    while not right(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.1)
    return seen


def test_a_message_is_found_by_its_members_as_it_is_now(people, chat):
    ann, bob = people
    message = post(ann, chat, "😀 pangolín sighted at noon")

    def found(user, q):
        answer = call("GET", "/search/messages", user.token, params={"q": q})
        assert answer.status_code == 200, answer.text
        return [(hit["message"]["message_id"], hit["highlights"]) for hit in answer.json()["hits"]]

    id = message["message_id"]
    # The emoji has two UTF-16 code units.
    assert until(lambda: found(bob, "PANGOLIN noo"), bool) == [(id, [[3, 11], [23, 26]])]
    assert found(ann, '"sighted at"') == [(id, [[12, 22]])]
    assert found(User("eve"), "pangolin") == []
    edit = call("PATCH", f"/users/chat/{chat}/messages/{id}", ann.token, json={"message": "armadillo"})
    assert edit.status_code == 200, edit.text
    assert found(bob, "pangolin") == []
    until(lambda: found(bob, "armadillo"), bool)


def test_the_recipient_is_told_and_reading_the_chat_reads_it(people, chat):
    ann, bob = people
    message = post(ann, chat, "told")

    def seen():
        answer = call("GET", "/notifications", bob.token)
        assert answer.status_code == 200, answer.text
        mine = [one for one in answer.json()["notifications"] if one.get("message_id") == message["message_id"]]
        return mine[0]["read"] if mine else None

    until(seen, lambda read: read is False)
    body = {"message_id": message["message_id"]}
    assert call("POST", f"/users/chat/{chat}/read", bob.token, json=body).status_code == 204
    until(seen, lambda read: read is True)
