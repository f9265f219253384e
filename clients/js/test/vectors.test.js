/** Runs the vectors in ../../vectors against the rules. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { initial, step, wakeAt } from "../roomspa.js";

/** What this client is capable of. It never sees the status of a refused handshake: browsers do not show it. */
const CAPABILITIES = new Set(["ack_timeout", "app_ping", "wake", "receipts", "typing"]);
/** Frames and events that count only in vectors that need the capability. */
const OPTIONAL = { ping: "app_ping", delivered: "receipts", read: "receipts", typing: "typing" };

class Run {
  constructor({ endpoint, given, random, needs = [] }) {
    this.state = initial(endpoint, given);
    Object.assign(this, { random, needs, tokens: given.tokens ?? ["t1"], current: 0, now: 0, done: [] });
  }

  /** advance lets time pass until `at`, with the ticks that are due before or then. */
  advance(at) {
    for (let due; (due = wakeAt(this.state)) <= at;) {
      this.now = Math.max(this.now, due);
      this.feed({ type: "tick" });
      if (this.now < at) assert.deepEqual(this.done, [], `nothing happens at ${this.now}`);
    }
    this.now = at;
  }

  feed(event) {
    const before = JSON.stringify(this.state);
    const [state, actions] = step(this.state, event, this.now, this.random);
    assert.equal(JSON.stringify(this.state), before, "step does not change the state that it is given");
    this.state = JSON.parse(JSON.stringify(state)); // a state is plain data
    for (const action of actions) this.perform(action);
  }

  perform({ type, ...action }) {
    const note = (fields) => this.done.push({ type, ...fields });
    switch (type) {
      case "token": return this.answerToken(action.refused);
      case "dial": return note({ token: action.token, ...action.query });
      case "state": return this.noteState(action);
      case "message": return note({ seq: action.frame.seq });
      case "acked": return note({ client_message_id: action.id, seq: action.ack.seq });
      case "failed": return note({ client_message_id: action.id, code: action.code });
      case "reset": return note({ last_seq: action.frame.last_seq });
      case "send": case "event": return this.noteFrame(type, action.frame);
      default: return note(action);
    }
  }

  /** The source returns a token until it is refused, and then the next one. */
  answerToken(refused) {
    if (refused) this.current++;
    const token = this.tokens[this.current];
    this.feed(token ? { type: "token", token } : { type: "noToken", final: true });
  }

  noteState({ state, delay, code }) {
    if (state === "live") this.done.push({ type: "live" });
    if (state === "waiting") this.done.push({ type: "wait", delay });
    if (state === "over") this.done.push({ type: "over", code });
  }

  noteFrame(type, frame) {
    const capability = OPTIONAL[frame.type];
    if (capability && !this.needs.includes(capability)) {
      if (type === "send" && frame.type === "ping") this.feed({ type: "frame", frame: { type: "pong" } });
    } else if (type === "send") this.done.push({ type, frame });
    else if (frame.type === "typing") this.done.push({ type: "typing", is_typing: frame.is_typing });
  }

  /** The events of the vectors in the words of `step`. */
  event({ type, ...event }) {
    const { client_message_id, message } = event;
    switch (type) {
      case "close": return { ...event, type: "closed" };
      case "send": return { type: "add", frame: { type: "chat_message", message, client_message_id } };
      case "position": return { type, frame: event.position };
      case "stop": return { type: "close" };
      default: return { type, ...event };
    }
  }
}

const dir = new URL("../../vectors/", import.meta.url);
for (const file of readdirSync(dir).filter((name) => name.endsWith(".json"))) {
  for (const vector of JSON.parse(readFileSync(new URL(file, dir)))) {
    const missing = vector.needs?.find((capability) => !CAPABILITIES.has(capability));
    test(`${file}: ${vector.name}`, { skip: missing && `needs ${missing}` }, () => {
      const run = new Run(vector);
      for (const { at, event, expect } of vector.steps) {
        run.advance(at);
        if (event) run.feed(run.event(event));
        assert.deepEqual(run.done, expect, `at ${at}`);
        run.done = [];
      }
    });
  }
}
