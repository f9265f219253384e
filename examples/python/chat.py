"""A chat in the terminal: python3 chat.py http://127.0.0.1:8000 customer1@example.com PASSWORD 1 2

It needs Python 3.10 or later and the package websockets 10 or later: pip install websockets, or on Debian
apt-get install python3-websockets. The rules are in rules.py; this is the shell with sockets, timers and tokens.
"""
import argparse
import asyncio
import json
import random
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import websockets

from rules import State, step, wake_at


class Tokens:
    """The access token of one user. One object owns it, since a refresh token must not be used twice."""

    def __init__(self, url, identifier, password):
        self.url = url
        self.session = self.post("/login/", identifier=identifier, password=password)

    def post(self, path, **body):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def get(self, refused):
        """Returns a token, or None if the user has to sign in again."""
        while refused:
            try:
                self.session |= self.post("/token/refresh/", refresh_token=self.session["refresh_token"])
                break
            except urllib.error.HTTPError as error:
                if error.code < 500 and error.code != 429:
                    return None
            except OSError:
                pass  # no server at the moment
            time.sleep(1)
        return self.session["access_token"]


class Chat:
    def __init__(self, url, tokens, customer, therapist, since, show):
        self.url = "ws" + url.removeprefix("http") + f"/ws/chat/{customer}/{therapist}/"
        self.tokens, self.show, self.state = tokens, show, State(since=since)
        self.events = asyncio.Queue()  # (number of the socket or None, event)
        self.socket, self.number, self.tasks = None, 0, set()

    def send(self, text):
        self.events.put_nowait((None, {"type": "send", "message": text, "client_message_id": str(uuid.uuid4())}))

    def stop(self):
        self.events.put_nowait((None, {"type": "stop"}))

    async def run(self):
        self.events.put_nowait((None, {"type": "start"}))
        while self.state.phase != "over":
            due = wake_at(self.state)
            timeout = None if due is None else max(0, due - now()) / 1000
            try:
                number, event = await asyncio.wait_for(self.events.get(), timeout)
            except asyncio.TimeoutError:
                number, event = None, {"type": "tick"}
            if number in (None, self.number):  # an older socket has nothing to say
                self.state, actions = step(self.state, event, now(), random.random())
                for action in actions:
                    await self.perform(action)

    async def perform(self, action):
        match action["type"]:
            case "token":
                self.start(self.ask(action["refused"]))
            case "dial":
                self.number += 1
                query = {k: v for k, v in action.items() if k not in ("type", "token")}
                self.start(self.dial(self.number, action["token"], {"v": 1, **query}))
            case "send":
                try:
                    await self.socket.send(json.dumps(action["frame"]))
                except websockets.ConnectionClosed:
                    pass  # the event `close` follows
            case "close":
                self.number += 1
                if self.socket:
                    self.start(self.socket.close())
            case _:
                self.show(action)

    def start(self, work):
        task = asyncio.ensure_future(work)
        self.tasks.add(task)  # else it may be collected while it runs
        task.add_done_callback(self.tasks.discard)

    async def ask(self, refused):
        token = await asyncio.to_thread(self.tokens.get, refused)
        self.events.put_nowait((None, {"type": "token", "token": token} if token else {"type": "no_token"}))

    async def dial(self, number, token, query):
        """Opens one socket and turns what happens to it into events."""
        def tell(type, **fields):
            self.events.put_nowait((number, {"type": type, **fields}))
        try:
            socket = await websockets.connect(f"{self.url}?{urllib.parse.urlencode(query)}", subprotocols=["bearer", token],
                                              ping_interval=25, ping_timeout=10, close_timeout=2, max_size=None)
        except (websockets.InvalidHandshake, OSError, asyncio.TimeoutError) as error:
            status = getattr(getattr(error, "response", error), "status_code", None)
            return tell("status", status=status) if status else tell("close", code=1006)
        if number != self.number:
            return await socket.close()
        self.socket = socket
        tell("open")
        try:
            async for text in socket:
                tell("frame", frame=json.loads(text))
        except websockets.ConnectionClosed:
            pass
        tell("close", code=socket.close_code or 1006, reason=socket.close_reason or "")


def now():
    return int(time.monotonic() * 1000)


def show(action):
    """Messages go to standard output, what happens to the connection to standard error."""
    if action["type"] == "message":
        frame = action["frame"]
        print(frame["seq"], f"{frame['sender_role']}:", frame["message"], flush=True)
    elif action["type"] != "acked":
        print(json.dumps(action), file=sys.stderr, flush=True)


async def main():
    parser = argparse.ArgumentParser(description="A chat in the terminal.")
    for name in ("url", "identifier", "password", "customer", "therapist"):
        parser.add_argument(name)
    parser.add_argument("--since", type=int, help="show what follows this message; 0 shows all (default: only new messages)")
    args = parser.parse_args()
    tokens = Tokens(args.url, args.identifier, args.password)
    chat = Chat(args.url, tokens, args.customer, args.therapist, args.since, show)
    running = asyncio.ensure_future(chat.run())
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while (line := await reader.readline()) and not running.done():
        chat.send(line.decode().rstrip("\n"))
    while chat.state.queue and not running.done():  # until all are acknowledged
        await asyncio.sleep(0.05)
    chat.stop()
    await running


if __name__ == "__main__":
    asyncio.run(main())
