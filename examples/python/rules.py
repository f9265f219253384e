"""The rules of a client that loses nothing, as a pure function: a state and an event in, a state and actions out.

This is the shape that clients/flutter.md recommends for an app: no sockets, no timers and no threads in here, so that
the vectors in clients/vectors test it in milliseconds. Port it, then run the same vectors. chat.py is the shell around
it. Left out, to stay short: receipts, typing, and pings of the app's own (the websockets package sends pings).

Times are milliseconds of a monotonic clock. Events and actions are dicts in the words of clients/vectors/README.md.
"""
from dataclasses import dataclass, replace

SECOND = 1000
BACKOFF_LIMIT = 30 * SECOND
STABLE = 10 * SECOND  # a socket that was live for so long makes the next failure the first one
DIAL_TIMEOUT, READY_TIMEOUT = 10 * SECOND, 15 * SECOND  # until the socket opens; from there to `connected`
ACK_TIMEOUT = 30 * SECOND
POLICY_DELAY, MAX_ASKED_DELAY = 60 * SECOND, 600 * SECOND

# Error words after which a message is never sent again. After any other word it is.
FINAL = {"bad_json", "bad_frame", "bad_text", "unknown_type", "empty_message", "too_long", "out_of_range", "wrong_role", "blocked"}
# Words for a frame of which the server may have been unable to read the client_message_id.
UNREADABLE = {"bad_json", "bad_frame", "bad_text"}
# Close codes below 3000 after which another attempt would not help.
OVER = {1000, 1002, 1003, 1007, 1010}
# HTTP statuses of a refused handshake after which another attempt may help, beside 5xx.
PASSING = {408, 425, 429}


@dataclass(frozen=True)
class State:
    endpoint: str = "chat"  # or location
    phase: str = "idle"  # then token, dialing, opening, live, waiting, over
    since: int | None = None  # the highest seq that was shown
    id: str | None = None  # the id of that message, if it is known
    queue: tuple = ()  # frames without an ack, oldest first
    in_flight: str | None = None  # the client_message_id that was sent on this socket
    send_at: int = 0
    ack_by: int = 0
    position: dict | None = None  # the newest one that is not sent
    failures: int = 0  # in a row
    refused: bool = False  # the last token was refused
    renewed: bool = False  # the token was renewed for this attempt
    renewing: bool = False  # a token was asked for, for this socket
    ref: str | None = None  # of the socket
    ready_at: int = 0
    dialed_at: int = 0
    deadline: int = 0
    asked: dict | None = None  # the reconnect frame of this socket
    told: dict | None = None  # the error frame that announced a close
    last: tuple = ()  # ref and code of the last socket, until the server knows
    retry_at: int = 0
    own_wait: bool = False  # False if the server asked for the wait


def step(state, event, now, random):
    """Returns the state after an event, and the actions to perform, in order. `random` is in [0, 1)."""
    rules = _Rules(state, now, random)
    getattr(rules, "on_" + event["type"])(event)
    rules.settle()
    return rules.s, rules.actions


def wake_at(s):
    """Returns when `step` wants the event `tick`, or None."""
    if s.phase == "waiting":
        return s.retry_at
    if s.phase in ("dialing", "opening"):
        return s.deadline
    if s.phase == "live" and s.queue:
        return s.ack_by if s.in_flight else s.send_at
    return None


class _Rules:
    def __init__(self, state, now, random):
        self.s, self.now, self.random, self.actions = state, now, random, []

    def set(self, **changes):
        self.s = replace(self.s, **changes)

    def act(self, type, **fields):
        self.actions.append({"type": type, **fields})

    # Events of the app and of its timers.

    def on_start(self, _):
        if self.s.phase in ("idle", "over"):
            self.set(failures=0, renewed=False, refused=False)
            self.dial()

    def on_stop(self, _):
        if self.s.phase == "over":
            return
        if self.s.phase not in ("idle", "token", "waiting"):
            self.act("close")
        self.over(1000, "closed")

    def on_send(self, e):
        frame = {"type": "chat_message", "message": e["message"], "client_message_id": e["client_message_id"]}
        self.set(queue=(*self.s.queue, frame))

    def on_position(self, e):
        self.set(position=e["position"])

    def on_tick(self, _):
        pass

    def on_wake(self, _):
        if self.s.phase == "waiting" and self.s.own_wait:
            self.set(retry_at=min(self.s.retry_at, max(self.now, self.s.dialed_at + SECOND)))

    def on_token(self, e):
        s = self.s
        if s.phase == "token":
            self.set(phase="dialing", dialed_at=self.now, deadline=self.now + DIAL_TIMEOUT, refused=False,
                     ref=None, ready_at=0, asked=None, told=None)
            query = {}
            if s.endpoint == "chat" and s.since is not None:
                query["since"] = s.since
                if s.id:
                    query["id"] = s.id
            if s.last:
                query["last_ref"], query["last_code"] = s.last
            self.act("dial", token=e["token"], **query)
        elif s.phase == "live" and s.renewing:
            self.set(renewing=False)
            self.act("send", frame={"type": "auth", "token": e["token"]})

    def on_no_token(self, _):
        """There is no other token: the user has to sign in."""
        self.set(renewing=False)
        if self.s.phase == "token":
            self.over(4001, "no_token")

    # Events of the socket.

    def on_open(self, _):
        if self.s.phase == "dialing":
            self.set(phase="opening", deadline=self.now + READY_TIMEOUT)

    def on_status(self, e):
        if self.s.phase != "dialing":
            return
        if e["status"] < 500 and e["status"] not in PASSING:
            return self.over(e["status"], "http_status")
        self.wait(self.backoff() + e.get("retry_after", 0) * SECOND, own=False)

    def on_close(self, e):
        word, _, ref = e.get("reason", "").partition(" ref=")
        self.ended(e["code"], word, ref)

    def on_frame(self, e):
        f = e["frame"]
        if self.s.phase == "opening" and f["type"] == "connected":
            self.connected(f)
        elif self.s.phase in ("opening", "live"):
            handler = getattr(self, "frame_" + f["type"], None)
            if handler:
                handler(f)

    def connected(self, f):
        s = self.s
        self.set(phase="live", ref=f["ref"], ready_at=self.now, renewed=False, in_flight=None, send_at=0, renewing=False, last=())
        if s.endpoint == "chat":
            if s.since is None:
                self.set(since=f["last_seq"])
            elif s.since < f["first_seq"] - 1:  # deleted because of their age
                self.set(since=f["first_seq"] - 1, id=None)
        self.act("live")

    def frame_chat_message(self, f):
        if f["seq"] > self.s.since + 1:
            self.drop(0, "gap")
        elif f["seq"] == self.s.since + 1:
            self.set(since=f["seq"], id=f["id"])
            self.act("message", seq=f["seq"], frame=f)

    def frame_resumed(self, f):
        if f.get("reset"):
            self.set(since=f["last_seq"], id=None)
            self.act("reset", last_seq=f["last_seq"])
        elif f["to_seq"] > self.s.since:
            self.drop(0, "gap")

    def frame_ack(self, f):
        if self.remove(f["client_message_id"]):
            self.act("acked", client_message_id=f["client_message_id"], seq=f["seq"])

    def frame_error(self, f):
        if f.get("close"):
            self.set(told=f)
        id = f.get("client_message_id") or (self.s.in_flight if f["code"] in UNREADABLE else None)
        if id and f["code"] in FINAL:
            if self.remove(id):
                self.act("failed", client_message_id=id, code=f["code"])
        elif id and id == self.s.in_flight:
            self.set(in_flight=None, send_at=self.now + SECOND / 2 + SECOND * self.random)

    def frame_reconnect(self, f):
        self.set(asked=f)

    def frame_token_expiring(self, _):
        self.set(renewing=True)
        self.act("token", refused=True)

    # The way on.

    def dial(self):
        self.set(phase="token")
        self.act("token", refused=self.s.refused)

    def drop(self, code, word):
        """The client gives the socket up."""
        self.act("close")
        self.ended(code, word, self.s.ref)

    def ended(self, code, word, ref):
        s = self.s
        if s.phase in ("idle", "over"):
            return
        if s.ready_at and self.now - s.ready_at >= STABLE:
            self.set(failures=0)
        ref = ref or s.ref or (s.told or s.asked or {}).get("ref")
        if ref and code:
            self.set(last=(ref, code))
        if code == 1006 and s.told:  # the close was lost, but it was announced
            code, word = s.told["close"], s.told["code"]
        elif code == 1006 and s.asked:
            code, word = 1012, s.asked["reason"]
        self.decide(code, word)
        self.set(in_flight=None)

    def decide(self, code, word):
        """The table of close codes."""
        s = self.s
        code -= 3000 if code in (4012, 4013) else 0
        asked = min(s.asked.get("after_ms", 0), MAX_ASKED_DELAY) if s.asked else 0
        if code == 4001:
            if s.renewed or word == "user_inactive":
                return self.over(code, word)
            self.set(renewed=True, refused=True)
            return self.wait(self.backoff() if s.failures else 0)
        self.set(renewed=False)
        if code in OVER or code >= 3000:
            return self.over(code, word)
        if code == 1012 and s.asked and (asked or not s.failures):
            return self.wait(asked, own=False)
        if code == 1013:
            return self.wait(max(asked, self.backoff()), own=False)
        if code == 1008:
            return self.wait(POLICY_DELAY, own=False)
        if code == 1009 and self.remove(s.in_flight):
            self.act("failed", client_message_id=s.in_flight, code="too_large")
        self.wait(0 if word == "gap" and not s.failures else self.backoff())

    def backoff(self):
        """Full jitter, up to a limit that doubles with each failure in a row."""
        return int(self.random * min(SECOND * 2 ** self.s.failures, BACKOFF_LIMIT))

    def wait(self, delay, own=True):
        self.set(phase="waiting", retry_at=self.now + delay, own_wait=own, failures=self.s.failures + 1)
        self.act("wait", delay=delay)

    def over(self, code, word):
        queue = self.s.queue
        self.set(phase="over", queue=(), in_flight=None)
        self.act("over", code=code)
        for frame in queue:
            self.act("failed", client_message_id=frame["client_message_id"], code=word)

    def remove(self, id):
        """Takes a frame off the queue, and says whether it was there."""
        kept = tuple(f for f in self.s.queue if f["client_message_id"] != id)
        found = len(kept) < len(self.s.queue)
        self.set(queue=kept, in_flight=None if found and id == self.s.in_flight else self.s.in_flight)
        return found

    def settle(self):
        """Does what is due by now, whatever the event was."""
        if self.s.phase in ("dialing", "opening") and self.now >= self.s.deadline:
            self.drop(1006, "not_ready")
        if self.s.phase == "live":
            if self.s.in_flight and self.now >= self.s.ack_by:
                self.set(in_flight=None)  # the id makes it harmless to send it again
            if self.s.queue and not self.s.in_flight and self.now >= self.s.send_at:
                frame = self.s.queue[0]
                self.set(in_flight=frame["client_message_id"], ack_by=self.now + ACK_TIMEOUT)
                self.act("send", frame=frame)
            if self.s.position:
                self.act("send", frame=self.s.position)
                self.set(position=None)
        if self.s.phase == "waiting" and self.now >= self.s.retry_at:
            self.dial()
