"""Runs the vectors of clients/vectors against rules.py: python3 vectors.py [DIRECTORY]"""
import json
import sys
from pathlib import Path

from rules import State, step, wake_at

CAPABILITIES = {"http_status", "ack_timeout", "wake"}
OPTIONAL = {"ping": "app_ping", "delivered": "receipts", "read": "receipts", "typing": "typing"}  # frames that only count where needed


class Run:
    def __init__(self, vector):
        given = vector["given"]
        queue = tuple({"type": "chat_message", **frame} for frame in given.get("queue", ()))
        self.state = State(endpoint=vector["endpoint"], since=given.get("since"), id=given.get("id"), queue=queue)
        self.random, self.tokens, self.now, self.done = vector["random"], list(given.get("tokens", ["t1"])), 0, []

    def advance(self, at):
        """Lets time pass, timer by timer."""
        while (due := wake_at(self.state)) is not None and due <= at:
            self.now = max(self.now, due)
            self.feed({"type": "tick"})
            if self.now < at and self.done:
                raise AssertionError(f"at {self.now}: {self.done} was not expected")
        self.now = at

    def feed(self, event):
        self.state, actions = step(self.state, event, self.now, self.random)
        for action in actions:
            if action["type"] == "token":
                if action["refused"]:
                    self.tokens.pop(0)
                self.feed({"type": "token", "token": self.tokens[0]} if self.tokens else {"type": "no_token"})
            elif action["type"] == "message":
                self.done.append({"type": "message", "seq": action["seq"]})
            elif action.get("frame", {}).get("type") not in OPTIONAL:
                self.done.append(action)


def check(vector):
    run = Run(vector)
    for step_ in vector["steps"]:
        run.advance(step_["at"])
        if "event" in step_:
            run.feed(step_["event"])
        if run.done != step_["expect"]:
            raise AssertionError(f"at {step_['at']}: {json.dumps(run.done)}, want {json.dumps(step_['expect'])}")
        run.done = []


def main(directory):
    passed, skipped, failed = 0, 0, 0
    for file in sorted(Path(directory).glob("*.json")):
        for vector in json.loads(file.read_text()):
            missing = set(vector.get("needs", ())) - CAPABILITIES
            if missing:
                skipped += 1
                print(f"skip {file.name}: {vector['name']}: needs {', '.join(sorted(missing))}")
                continue
            try:
                check(vector)
                passed += 1
            except Exception as error:
                failed += 1
                print(f"FAIL {file.name}: {vector['name']}: {error!r}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return failed or not passed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / "clients" / "vectors"))
