# python chat.py URL NAME PASSWORD PEER TEXT: sends the text, shows what was said before and what comes until it is stopped.
import requests, socketio, sys, uuid
url, username, password, peer, text = sys.argv[1:]
account = {"username": username, "password": password, "email": f"{username}@example.com"}
answers = (requests.post(f"{url}/{way}", json=account) for way in ("login", "register"))
token = next(answer for answer in answers if answer.ok).json()["access_token"]
found = requests.get(f"{url}/users/username/{peer}", headers={"authorization": f"Bearer {token}"})
chat, since, shown = socketio.SimpleClient(), None, {}
chat.connect(url, namespace="/chat", auth={"token": token})
chat_id = chat.call("start_private_chat", {"receiver_id": found.json()["user_id"]})["chat_id"]
print(chat.call("send_message", {"chat_id": chat_id, "message": text, "client_message_id": str(uuid.uuid4())}), flush=True)
while True:
    event, data = chat.receive()
    events, more = [{"event": event, "data": data}], event == "ready"  # at each connect: what was missed
    while more:
        page = chat.call("sync", {"since": since})
        since, more, events = page["next"], page["more"], events + page["events"]
    for it in events:  # a message may come both live and by sync
        if it["event"] == "receive_message" and shown.setdefault(it["data"]["message_id"], it) is it:
            print(it["data"]["sender_id"], it["data"]["message"], flush=True)
