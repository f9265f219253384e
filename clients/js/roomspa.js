/** The JavaScript client of roomspa: first the rules (`step`), then a thin shell. roomspa.d.ts describes the API. */

// --- The rules

const SECOND = 1000;
const BACKOFF_BASE = SECOND, BACKOFF_LIMIT = 30 * SECOND;
const STABLE = 10 * SECOND; // a socket that was live for so long makes the next failure the first one
const DIAL_TIMEOUT = 10 * SECOND, READY_TIMEOUT = 15 * SECOND; // until the socket opens; from there to `connected`
const ACK_TIMEOUT = 30 * SECOND; // the server answers each send within 8 s
const PING_AFTER = 30 * SECOND, PONG_TIMEOUT = 10 * SECOND; // browsers hide protocol pings
const WAKE_PONG_TIMEOUT = 5 * SECOND, LATE = 2 * SECOND; // a timer that is so late says that the page was frozen
const POLICY_DELAY = 60 * SECOND, MAX_ASKED_DELAY = 600 * SECOND;
const RECEIPT_INTERVAL = SECOND, TYPING_INTERVAL = 3 * SECOND;

/** After any other error word a message is sent again. */
const FINAL = new Set(["bad_json", "bad_frame", "bad_text", "unknown_type", "empty_message", "too_long", "out_of_range",
  "wrong_role", "blocked"]);
/** Words for frames whose client_message_id the server may have been unable to read. */
const UNREADABLE = new Set(["bad_json", "bad_frame", "bad_text"]);
/** The close codes below 3000 that are final. */
const OVER = new Set([1000, 1002, 1003, 1007, 1010]);

/** The state of a client that has not started. A state is plain data, and `step` never changes one. */
export const initial = (endpoint, { since = null, id = null, queue = [], delivered = true } = {}) => ({
  endpoint, // chat, location or inbox
  phase: "idle", // then token, dialing, opening, live, waiting, over
  since, id, // the highest seq that was shown, and the id of that message; null if unknown
  queue, inFlight: null, sendAt: 0, ackBy: 0, // frames without an ack; the one that was sent on this socket
  failures: 0, // in a row
  refused: false, renewed: false, // the last token was refused; so was the one before it
  ref: null, readyAt: 0, dialedAt: 0, deadline: 0, heardAt: 0, pongBy: 0, spared: false, // of the socket
  asked: null, told: null, // the reconnect frame, and the error frame that announces a close
  last: null, // how the last socket with a ref ended, until the server knows
  retryAt: 0, ownWait: false, // of phase waiting; false if the server asked for the wait
  renewing: false, // a token was asked for, for this socket
  position: null, // location: the newest one that is not sent
  delivers: delivered, isSide: false, // receipts: support sends none
  want: { delivered: 0, read: 0 }, marked: { delivered: 0, read: 0 }, markAt: 0,
  typing: 0, peerTyping: 0, peer: null, // when typing was sent; when the peer's typing expires
});

export function step(state, event, now, random) {
  const rules = new Rules(state, now, random);
  rules[event.type](event);
  rules.settle();
  return [rules.s, rules.actions];
}

export function wakeAt(s) {
  const times = [];
  if (s.phase === "waiting") times.push(s.retryAt);
  if (s.phase === "dialing" || s.phase === "opening") times.push(s.deadline);
  if (s.phase === "live") {
    times.push(s.pongBy || s.heardAt + PING_AFTER);
    if (s.queue.length) times.push(s.inFlight ? s.ackBy : s.sendAt);
    if (nextReceipt(s)) times.push(s.markAt);
  }
  if (s.peerTyping) times.push(s.peerTyping);
  return Math.min(...times);
}

function nextReceipt({ isSide, want, marked }) {
  if (!isSide) return null;
  if (want.read > marked.read) return { type: "read", seq: want.read };
  if (want.delivered > Math.max(marked.delivered, marked.read)) return { type: "delivered", seq: want.delivered };
  return null;
}

class Rules {
  constructor(state, now, random) {
    this.s = { ...state };
    this.now = now;
    this.random = random;
    this.actions = [];
  }

  act(type, fields) { this.actions.push({ type, ...fields }); }
  send(frame) { if (frame) this.act("send", { frame }); }

  // Events of the app.

  start() {
    if (this.s.phase !== "idle" && this.s.phase !== "over") return;
    Object.assign(this.s, { failures: 0, renewed: false, refused: false });
    this.dial();
  }

  close() {
    if (this.s.phase === "over") return;
    if (!["idle", "token", "waiting"].includes(this.s.phase)) this.act("close");
    this.over({ code: 1000, reason: "closed" });
  }

  add({ frame }) { this.s.queue = [...this.s.queue, frame]; }

  restore({ frames }) {
    const known = new Set(this.s.queue.map((f) => f.client_message_id));
    this.s.queue = [...frames.filter((f) => !known.has(f.client_message_id)), ...this.s.queue];
  }

  position({ frame }) { this.s.position = frame; }

  mark({ read = 0, delivered = 0 }) {
    const { want } = this.s;
    this.s.want = { read: Math.max(want.read, read), delivered: Math.max(want.delivered, delivered, read) };
  }

  type({ active }) {
    const { s, now } = this;
    if (s.phase !== "live" || (active ? s.typing && now < s.typing + TYPING_INTERVAL : !s.typing)) return;
    s.typing = active ? now : 0;
    this.send({ type: "typing", is_typing: active });
  }

  // Events of time and of the platform.

  /** A late tick says that the page was frozen, so that a pong may be overdue. Once: timers of hidden pages are always late. */
  tick() {
    if (this.s.spared || this.now <= wakeAt(this.s) + LATE) return;
    this.s.spared = true;
    this.wake();
  }

  wake() {
    const { s, now } = this;
    if (s.phase === "waiting" && s.ownWait) s.retryAt = Math.min(s.retryAt, Math.max(now, s.dialedAt + SECOND));
    if (s.phase === "live" && s.pongBy <= now) this.ping(WAKE_PONG_TIMEOUT);
  }

  ping(timeout) {
    this.s.pongBy = this.now + timeout;
    this.send({ type: "ping" });
  }

  dial() {
    this.s.phase = "token";
    this.act("state", { state: "connecting" });
    this.act("token", { refused: this.s.refused });
  }

  token({ token }) {
    const { s, now } = this;
    if (s.phase === "token") {
      Object.assign(s, {
        phase: "dialing", dialedAt: now, deadline: now + DIAL_TIMEOUT,
        refused: false, ref: null, readyAt: 0, asked: null, told: null,
      });
      const query = s.endpoint === "chat" && s.since !== null ? { since: s.since, ...(s.id && { id: s.id }) } : {};
      this.act("dial", { query: { ...query, ...s.last }, token });
    } else if (s.phase === "live" && s.renewing) {
      s.renewing = false;
      this.send({ type: "auth", token });
    }
  }

  noToken({ final, detail }) {
    const { s } = this;
    const why = { code: 4001, reason: "no_token", detail };
    s.renewing = false;
    if (s.phase !== "token") return;
    if (final) this.over(why);
    else this.wait(this.backoff(), true, why);
  }

  open() {
    if (this.s.phase !== "dialing") return;
    Object.assign(this.s, { phase: "opening", deadline: this.now + READY_TIMEOUT, heardAt: this.now });
  }

  connected(f) {
    const { s, now } = this;
    Object.assign(s, {
      phase: "live", ref: f.ref, readyAt: now, renewed: false, inFlight: null, sendAt: 0, pongBy: 0, markAt: 0,
      renewing: false, typing: 0, last: null,
    });
    if (s.endpoint === "chat") {
      s.since ??= f.last_seq;
      if (s.since < f.first_seq - 1) Object.assign(s, { since: f.first_seq - 1, id: null }); // deleted by age
      s.isSide = f.delivered_seq !== undefined;
      s.marked = { delivered: f.delivered_seq ?? 0, read: f.read_seq ?? 0 };
      s.peer = f.peer?.id ?? null;
    }
    this.act("state", { state: "live", connected: f });
  }

  closed({ code, reason = "" }) {
    const [word, ref] = reason.split(" ref=");
    this.ended({ code, reason: word, ref: ref ?? this.s.ref });
  }

  drop(why) {
    this.act("close");
    this.ended({ ref: this.s.ref, ...why });
  }

  ended(why) {
    const { s, now } = this;
    if (s.phase === "idle" || s.phase === "over") return;
    if (s.readyAt && now - s.readyAt >= STABLE) s.failures = 0;
    const { code } = why, ref = why.ref ?? s.told?.ref ?? s.asked?.ref ?? null;
    if (ref && code) s.last = { last_ref: ref, last_code: code };
    if (code === 1006 && s.told) why = { ...why, code: s.told.close, reason: s.told.code }; // the close was lost
    else if (code === 1006 && s.asked) why = { ...why, code: 1012, reason: s.asked.reason };
    this.decide({ ...why, ref, detail: s.told?.detail });
    s.inFlight = null;
  }

  /** The table of close codes. */
  decide(why) {
    const { s } = this;
    const code = why.code === 4012 || why.code === 4013 ? why.code - 3000 : why.code;
    const after = Math.min(s.asked?.after_ms ?? 0, MAX_ASKED_DELAY);
    if (code === 4001) {
      if (s.renewed || why.reason === "user_inactive") return this.over(why);
      s.renewed = s.refused = true;
      return this.wait(s.failures ? this.backoff() : 0, true, why);
    }
    s.renewed = false; // a token that nobody looked at may expire like another
    if (OVER.has(code) || code >= 3000) return this.over(why);
    if (code === 1012 && s.asked && (after > 0 || s.failures === 0)) return this.wait(after, false, why);
    if (code === 1013) return this.wait(Math.max(after, this.backoff()), false, why);
    if (code === 1008) return this.wait(POLICY_DELAY, false, why);
    if (code === 1009 && s.inFlight) this.remove(s.inFlight, { code: "too_large", ref: why.ref });
    if (why.reason === "gap" && s.failures === 0) return this.wait(0, true, why);
    return this.wait(this.backoff(), true, why);
  }

  backoff() {
    return Math.floor(this.random * Math.min(BACKOFF_BASE * 2 ** this.s.failures, BACKOFF_LIMIT));
  }

  wait(delay, ownWait, why) {
    Object.assign(this.s, { phase: "waiting", retryAt: this.now + delay, ownWait, failures: this.s.failures + 1 });
    this.act("state", { state: "waiting", delay, ...why });
  }

  over(why) {
    const { queue } = this.s;
    Object.assign(this.s, { phase: "over", queue: [], inFlight: null, peerTyping: 0 });
    this.act("state", { state: "over", ...why });
    for (const f of queue) this.act("failed", { id: f.client_message_id, frame: f, ...why, code: why.reason });
  }

  frame({ frame: f }) {
    const { s, now } = this;
    if (s.phase !== "opening" && s.phase !== "live") return;
    Object.assign(s, { heardAt: now, pongBy: 0, spared: false });
    if (s.phase === "opening" && f.type === "connected") return this.connected(f);
    switch (f.type) {
      case "chat_message": return this.message(f);
      case "resumed": return this.resumed(f);
      case "ack": return this.acked(f);
      case "error": return this.error(f);
      case "reconnect": s.asked = f; return;
      case "token_expiring":
        s.renewing = true;
        return this.act("token", { refused: true });
      case "pong": return;
      case "typing":
        s.peerTyping = f.is_typing ? now + (f.expires_in_ms ?? 6 * SECOND) : 0;
        return this.act("event", { frame: f });
      case "delivered": case "read":
        if (s.endpoint === "chat" && f.user_id !== s.peer) s.marked = { ...s.marked, [f.type]: Math.max(s.marked[f.type], f.seq) };
        return this.act("event", { frame: f });
      default: return this.act("event", { frame: f });
    }
  }

  message(f) {
    const { s } = this;
    if (f.seq <= s.since) return;
    if (f.seq > s.since + 1) return this.drop({ reason: "gap" });
    Object.assign(s, { since: f.seq, id: f.id });
    this.act("message", { frame: f });
    if (s.delivers && (f.sender_id === s.peer || f.sender_role === "support")) this.mark({ delivered: f.seq });
  }

  resumed(f) {
    const { s } = this;
    if (f.reset) {
      Object.assign(s, {
        since: f.last_seq, id: null, want: { delivered: 0, read: 0 }, marked: { delivered: 0, read: 0 },
      });
      this.act("reset", { frame: f });
    } else if (f.to_seq > s.since) this.drop({ reason: "gap" });
    else this.act("event", { frame: f });
  }

  acked(f) { this.remove(f.client_message_id, null, f); }

  error(f) {
    const { s } = this;
    if (f.close) s.told = f;
    const id = f.client_message_id ?? (UNREADABLE.has(f.code) ? s.inFlight : null);
    if (id && FINAL.has(f.code)) return this.remove(id, { code: f.code, detail: f.detail, ref: f.ref });
    if (id && id === s.inFlight) Object.assign(s, { inFlight: null, sendAt: this.now + SECOND / 2 + SECOND * this.random });
    this.act("event", { frame: f });
  }

  remove(id, failure, ack) {
    const { s } = this;
    const frame = s.queue.find((f) => f.client_message_id === id);
    if (!frame) return;
    s.queue = s.queue.filter((f) => f !== frame);
    if (s.inFlight === id) Object.assign(s, { inFlight: null, typing: 0 });
    if (failure) this.act("failed", { id, frame, ...failure });
    else this.act("acked", { id, ack });
  }

  settle() {
    const { s, now } = this;
    if (s.peerTyping && now >= s.peerTyping) {
      s.peerTyping = 0;
      this.act("event", { frame: { type: "typing", user_id: s.peer, is_typing: false } });
    }
    if ((s.phase === "dialing" || s.phase === "opening") && now >= s.deadline) this.drop({ code: 1006, reason: "not_ready" });
    if (s.phase === "live") this.settleLive();
    if (s.phase === "waiting" && now >= s.retryAt) this.dial();
  }

  settleLive() {
    const { s, now } = this;
    if (s.pongBy && now >= s.pongBy) return this.drop({ code: 1006, reason: "pong_timeout" });
    if (s.inFlight && now >= s.ackBy) s.inFlight = null; // the id makes it harmless to send it again
    if (s.queue.length && !s.inFlight && now >= s.sendAt) {
      Object.assign(s, { inFlight: s.queue[0].client_message_id, ackBy: now + ACK_TIMEOUT });
      this.send(s.queue[0]);
    }
    if (s.position) {
      this.send(s.position);
      s.position = null;
    }
    const receipt = now >= s.markAt && nextReceipt(s);
    if (receipt) {
      s.marked = { ...s.marked, [receipt.type]: receipt.seq };
      s.markAt = now + RECEIPT_INTERVAL;
      this.send(receipt);
    }
    if (!s.pongBy && now >= s.heardAt + PING_AFTER) this.ping(PONG_TIMEOUT);
  }
}

// --- The shell

export class RoomspaError extends Error {
  constructor({ code, detail, ref, status, retryAfter, final = true }) {
    super(detail ? `${code}: ${detail}` : code);
    Object.assign(this, { name: "RoomspaError", code, detail, ref, status, retryAfter, final });
  }
}

class Emitter {
  #listeners = { __proto__: null };

  on(type, listener) {
    const set = (this.#listeners[type] ??= new Set()).add(listener);
    return () => set.delete(listener);
  }

  emit(type, event) {
    for (const listener of this.#listeners[type] ?? []) {
      try {
        listener(event);
      } catch (error) {
        queueMicrotask(() => { throw error; }); // a fault of the app must not stop the client
      }
    }
  }
}

const EVENTS = { __proto__: null, delivered: "receipt", read: "receipt", location_update: "position", inbox_complete: "complete" };

class Connection extends Emitter {
  #state;
  #events = [];
  #running = false;
  #timer;
  #socket = null;
  #token; // of the socket

  constructor(roomspa, endpoint, path, options, query) {
    super();
    Object.assign(this, { roomspa, path, query });
    this.#state = initial(endpoint, options);
  }

  get state() {
    const { phase } = this.#state;
    return ["token", "dialing", "opening"].includes(phase) ? "connecting" : phase;
  }

  get rules() { return this.#state; }

  connect() {
    this.roomspa.connections.add(this);
    this.feed({ type: "start" });
  }

  close() {
    this.feed({ type: "close" });
    this.roomspa.connections.delete(this);
  }

  wake() { this.feed({ type: "wake" }); }

  feed(event) {
    this.#events.push(event);
    if (this.#running) return;
    this.#running = true;
    try {
      for (let next; (next = this.#events.shift());) {
        const [state, actions] = step(this.#state, next, this.roomspa.now(), this.roomspa.random());
        this.#state = state;
        for (const action of actions) this.perform(action);
      }
    } finally {
      this.#running = false;
      clearTimeout(this.#timer);
      const at = wakeAt(this.#state);
      if (at < Infinity) this.#timer = setTimeout(() => this.feed({ type: "tick" }), Math.max(0, Math.ceil(at - this.roomspa.now())));
    }
  }

  perform({ type, ...action }) {
    switch (type) {
      case "token": return this.#askToken(action.refused);
      case "dial": return this.#dial(action);
      case "send": return this.#send(action.frame);
      case "close": return this.#release();
      case "event": return this.emit(EVENTS[action.frame.type] ?? action.frame.type, action.frame);
      case "message": case "reset": return this.emit(type, action.frame);
      default: return this.emit(type, action);
    }
  }

  async #askToken(refused) {
    try {
      this.feed({ type: "token", token: await this.roomspa.token(refused ? this.#token : undefined) });
    } catch (error) {
      this.feed({ type: "noToken", final: error?.final, detail: error?.message ?? error });
    }
  }

  #dial({ query, token }) {
    this.#token = token;
    const { WebSocket, url } = this.roomspa;
    const address = new URL(url + this.path);
    address.protocol = address.protocol.replace("http", "ws");
    address.search = new URLSearchParams({ v: 1, ...this.query, ...query });
    let socket;
    try {
      socket = new WebSocket(address.href, ["bearer", token]);
    } catch (error) { // a token or an address that the platform refuses
      return this.feed({ type: "closed", code: 4000, reason: error.message });
    }
    const feed = (event) => { if (socket === this.#socket) this.feed(event); };
    this.#socket = socket;
    socket.onopen = () => feed({ type: "open" });
    socket.onmessage = ({ data }) => {
      const frame = parse(data);
      if (!frame || socket !== this.#socket) return;
      this.emit("frame", { sent: false, frame });
      feed({ type: "frame", frame });
    };
    socket.onclose = ({ code, reason }) => feed({ type: "closed", code, reason });
    socket.onerror = () => {}; // a close follows
  }

  #send(frame) {
    const auth = frame.type === "auth";
    if (auth) this.#token = frame.token;
    this.emit("frame", { sent: true, frame: auth ? { ...frame, token: "…" } : frame });
    this.#socket?.send(JSON.stringify(frame));
  }

  #release() {
    const socket = this.#socket;
    this.#socket = null; // what it says from now on is ignored
    socket?.close(1000);
  }
}

class Chat extends Connection {
  #room;
  #sends = new Map(); // promises by client_message_id
  #begin; // the seq after which messages are events; what is before is history
  #epoch = 0; // counts resets
  #key = null; // of this room in the storage; null while nothing is stored
  #stored = Promise.resolve(); // the calls of the storage, one after the other
  #unlock;
  #flush; // while this tab holds the lock
  conversation = null;
  own = { delivered_seq: 0, read_seq: 0, unread: 0 };
  peer = { delivered_seq: 0, read_seq: 0 };

  constructor(roomspa, customer, therapist, { since = null, id = null, delivered = true } = {}) {
    if (since !== null) since = +since;
    super(roomspa, "chat", `/ws/chat/${customer}/${therapist}/`, { since, id, delivered });
    this.#room = [+customer, +therapist];
    this.#begin = since;
  }

  get pending() { return this.rules.queue; }

  get position() { return { since: this.rules.since, id: this.rules.id }; }

  send(message, { metadata, type, id = newID() } = {}) {
    if (this.#sends.has(id)) return this.#sends.get(id).promise;
    const refused = this.state === "over" ? "closed" : this.pending.length >= this.roomspa.maxQueue && "queue_full";
    if (refused) return Promise.reject(new RoomspaError({ code: refused }));
    const frame = parse(JSON.stringify({ type: "chat_message", message, message_type: type, metadata, client_message_id: id }));
    const send = resolvers();
    this.#sends.set(id, send);
    this.#store("put", record(frame));
    this.feed({ type: "add", frame });
    return send.promise;
  }

  markRead(seq = this.rules.since) { this.feed({ type: "mark", read: Math.floor(seq) || 0 }); }

  typing(active = true) { this.feed({ type: "type", active: !!active }); }

  async *history({ before, limit = 50 } = {}) {
    await this.#known();
    const epoch = this.#epoch;
    for (let next = before ?? this.#begin + 1; next > 1;) {
      const path = `/api/conversations/${this.conversation}/messages/?before_seq=${next}&limit=${limit}`;
      const page = await this.roomspa.retry("GET", path, undefined, () => this.state === "over");
      for (const message of page.messages.reverse()) {
        if (epoch !== this.#epoch) return;
        if (this.rules.delivers) this.feed({ type: "mark", delivered: message.seq });
        yield message;
        next = message.seq;
      }
      if (!page.has_more) return;
    }
  }

  async #known() {
    while (!this.conversation) {
      if (this.state === "over") throw new RoomspaError({ code: "closed" });
      const { promise, resolve } = resolvers();
      const off = this.on("state", resolve);
      const why = await promise;
      off();
      if (why.state === "over") throw new RoomspaError({ ...why, code: why.reason });
    }
  }

  perform(action) {
    const { type, id, frame } = action, send = this.#sends.get(id);
    if (type === "token" || type === "dial") this.#persist(); // the user may be known now
    if (type === "event") this.#count(frame);
    if (type === "reset") this.#reset(frame);
    if (type === "state" && action.connected) {
      this.#begin ??= this.rules.since;
      this.conversation = action.connected.conversation_id;
    }
    if (type === "acked" || type === "failed") {
      this.#sends.delete(id);
      this.#store("remove", id);
    }
    if (type === "acked" && send) send.resolve(action.ack);
    if (type === "failed" && send) return send.reject(new RoomspaError(action));
    super.perform(action);
    if (type === "state" && action.connected) {
      this.#catchUp(action.connected);
      this.#flush?.();
    }
    if (type === "state" && action.state === "over") this.#forget();
  }

  /** What has changed while there was no socket. */
  #catchUp({ delivered_seq, read_seq, unread, peer }) {
    if (!peer) return; // support
    this.own.unread = unread;
    this.peer.id = peer.id;
    const tell = (type, user_id, seq, before) => seq > before && super.perform({ type: "event", frame: this.#count({ type, user_id, seq }) });
    const me = this.#room.find((user) => user !== peer.id);
    tell("delivered", me, delivered_seq, this.own.delivered_seq);
    tell("read", me, read_seq, this.own.read_seq);
    tell("delivered", peer.id, peer.delivered_seq, this.peer.delivered_seq);
    tell("read", peer.id, peer.read_seq, this.peer.read_seq);
    const { online, last_seen } = peer;
    if (online !== undefined) super.perform({ type: "event", frame: this.#count({ type: "presence", user_id: peer.id, online, last_seen }) });
  }

  #count(frame) {
    const { type, user_id, seq } = frame, of = user_id === this.peer.id ? this.peer : this.own;
    if (type === "read") Object.assign(of, { read_seq: seq, delivered_seq: Math.max(seq, of.delivered_seq) });
    if (type === "delivered") of.delivered_seq = seq;
    if (type === "presence") Object.assign(this.peer, { online: frame.online, last_seen: frame.last_seen });
    return frame;
  }

  #reset({ last_seq }) {
    this.#epoch++;
    this.#begin = last_seq;
    for (const of of [this.own, this.peer]) Object.assign(of, { delivered_seq: 0, read_seq: 0 });
  }

  // Each tab stores what it sends. The one that holds the lock also sends what closed tabs have left.

  wake() {
    super.wake();
    this.#flush?.(); // another tab may have been closed
  }

  #persist() {
    const { storage, locks, user, url } = this.roomspa;
    if (!storage || !locks || user === undefined || this.#key) return;
    const key = `roomspa:${url}:${user}:${this.#room.join("/")}`;
    const { promise, resolve } = resolvers(), waiting = new AbortController();
    this.#key = key;
    this.#unlock = () => { resolve(); waiting.abort(); };
    for (const frame of this.pending) this.#store("put", record(frame));
    locks.request(key, { signal: waiting.signal }, () => {
      this.#flush = async () => {
        const records = await this.#store("load");
        if (this.#key && records) this.feed({ type: "restore", frames: records.sort((a, b) => a.at - b.at).map(({ frame }) => frame) });
      };
      this.#flush();
      return promise;
    }).catch(() => {}); // aborted
  }

  #store(method, value) {
    const { storage } = this.roomspa, key = this.#key;
    if (!key) return;
    return (this.#stored = this.#stored.then(() => storage[method](key, value)).catch((error) => {
      this.emit("error", { code: "storage", detail: error?.message ?? error });
    }));
  }

  /** After the end: what is stored is for a later page. */
  #forget() {
    this.#unlock?.();
    this.#key = this.#flush = null;
  }
}

class Location extends Connection {
  constructor(roomspa, customer, therapist) {
    super(roomspa, "location", `/ws/location/${customer}/${therapist}/`);
  }

  send({ coords, timestamp, ...position }) {
    if (coords) {
      const { latitude, longitude, accuracy, heading, speed } = coords;
      position = { latitude, longitude, accuracy, heading, speed, recorded_at: new Date(timestamp).toISOString() };
    }
    this.feed({ type: "position", frame: position });
  }
}

class Inbox extends Connection {
  #told = new Set(); // since the socket opened
  conversations = new Map(); // by conversation_id

  constructor(roomspa, { text = false } = {}) {
    super(roomspa, "inbox", "/ws/inbox/", {}, text && { text: 1 });
  }

  markRead(conversation, seq = this.conversations.get(conversation).last_seq) {
    return this.roomspa.receipts(conversation, { read_seq: seq });
  }

  perform(action) {
    if (action.type === "state") this.#told = new Set();
    if (action.type === "event") this.#keep(action.frame);
    super.perform(action);
  }

  #keep({ type, ...frame }) {
    const { conversation_id: id } = frame, known = this.conversations.get(id);
    if (type === "conversation") this.#told.add(id);
    if (type === "conversation" || (type === "presence" && known)) this.conversations.set(id, { ...known, ...frame });
    if (type !== "inbox_complete") return;
    for (const id of this.conversations.keys()) if (!this.#told.has(id)) this.conversations.delete(id);
    this.#told = new Set();
  }
}

export class Roomspa {
  connections = new Set();
  #naps = new Set(); // ends of waits
  #getToken;
  #token;
  #tokenUntil = 0;
  #asking = null;
  #closed = new AbortController();

  constructor({ url, getToken, storage, user, maxQueue = 1000, window = globalThis, WebSocket = window.WebSocket,
    fetch = window.fetch, locks = window.navigator?.locks, now = () => performance.now(), random = Math.random }) {
    if (!WebSocket) throw new TypeError("This platform has no WebSocket: pass one as the option WebSocket");
    Object.assign(this, { url: baseURL(url), storage, user, maxQueue, WebSocket, fetch, locks, now, random });
    this.#getToken = getToken;
    const { document } = window, { signal } = this.#closed;
    const wake = ({ type }) => (type[0] !== "v" || document.visibilityState !== "hidden") && this.wake();
    for (const [target, type] of [[window, "online"], [window, "pageshow"], [document, "visibilitychange"]]) {
      target?.addEventListener?.(type, wake, { signal });
    }
  }

  chat(customer, therapist, options) { return this.#open(Chat, [customer, therapist, options]); }
  location(customer, therapist) { return this.#open(Location, [customer, therapist]); }
  inbox(options) { return this.#open(Inbox, [options]); }

  #open(Kind, args) {
    const connection = new Kind(this, ...args), known = [...this.connections].find(({ path }) => path === connection.path);
    if (known) return known;
    this.connections.add(connection);
    queueMicrotask(() => connection.state === "idle" && connection.connect()); // the app adds its listeners first
    return connection;
  }

  wake() {
    for (const connection of this.connections) connection.wake();
    for (const end of this.#naps) end();
  }

  close() {
    this.#closed.abort();
    for (const connection of this.connections) connection.close();
  }

  /** One request at a time: who comes meanwhile waits for it. */
  async token(refused) {
    for (let asked = false; ; ) {
      if (this.#token && this.#token !== refused && this.now() < this.#tokenUntil) return this.#token;
      if (asked) throw new RoomspaError({ code: "no_token", detail: "getToken returned the refused token again" });
      asked = !this.#asking;
      await (this.#asking ??= this.#ask(refused ?? this.#token).finally(() => { this.#asking = null; }));
    }
  }

  async #ask(refused) {
    const signal = AbortSignal.timeout(30 * SECOND);
    const token = await Promise.race([
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
      (async () => this.#getToken({ refused, signal }))(),
    ]);
    if (!token) throw new RoomspaError({ code: "no_token", detail: "getToken returned no token" });
    const { exp, iat, user_id } = claims(token), lifetime = (exp - iat) * SECOND;
    this.#token = token;
    this.#tokenUntil = lifetime > 0 ? this.now() + lifetime - Math.min(30 * SECOND, lifetime / 3) : Infinity;
    this.user ??= user_id;
  }

  async api(method, path, body) {
    for (let refused; ; ) {
      const token = await this.token(refused);
      try {
        return await request(this.fetch, method, this.url + path, body, token);
      } catch (error) {
        if (error.status !== 401 || refused) throw error;
        refused = token;
      }
    }
  }

  async retry(method, path, body, stopped = () => this.#closed.signal.aborted) {
    for (let failures = 0; ; failures++) {
      try {
        return await this.api(method, path, body);
      } catch (error) {
        if (error.final || stopped()) throw error;
        const delay = this.random() * Math.min(BACKOFF_BASE * 2 ** failures, BACKOFF_LIMIT), { promise, resolve } = resolvers();
        setTimeout(resolve, (error.retryAfter ?? 0) * SECOND + delay);
        if (!error.retryAfter) this.#naps.add(resolve); // what the server asks for is waited for
        await promise;
        this.#naps.delete(resolve);
      }
    }
  }

  receipts(conversation, { delivered_seq, read_seq }) {
    return this.retry("POST", `/api/conversations/${conversation}/receipts/`, { delivered_seq, read_seq });
  }
}

export async function signIn({ url, identifier, password, fetch = globalThis.fetch }) {
  const post = (path, body) => request(fetch, "POST", baseURL(url) + path, body);
  let tokens = await post("/login/", { identifier, password });
  return {
    user: tokens.user,
    async getToken({ refused } = {}) {
      if (tokens.access_token === refused) tokens = await post("/token/refresh/", { refresh_token: tokens.refresh_token });
      return tokens.access_token;
    },
    signOut: ({ everywhere = false } = {}) => post("/logout/", { refresh_token: tokens.refresh_token, everywhere }),
  };
}

export const localQueue = (area) => {
  const of = () => area ?? localStorage; // the browser may deny it
  return {
    load: (key) => Object.keys(of()).filter((k) => k.startsWith(`${key}#`)).map((k) => parse(of().getItem(k))).filter(Boolean),
    put: (key, record) => of().setItem(`${key}#${record.id}`, JSON.stringify(record)),
    remove: (key, id) => of().removeItem(`${key}#${id}`),
  };
};

// --- Helpers

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {} // undefined
}

function resolvers() {
  const r = {};
  r.promise = new Promise((resolve, reject) => Object.assign(r, { resolve, reject }));
  return r;
}

const newID = () => [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");

let lastAt = 0;

/** What is stored of a message. `at` orders the messages of a tab, also if the clock is set back. */
function record(frame) {
  lastAt = Math.max(lastAt + 1, Date.now());
  return { id: frame.client_message_id, at: lastAt, frame };
}

function baseURL(url) {
  const { protocol, host, pathname } = new URL(url, globalThis.location?.href);
  return `${protocol.replace("ws", "http")}//${host}${pathname.replace(/\/+$/, "")}`;
}

function claims(token) {
  try {
    return JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")));
  } catch {
    return {};
  }
}

async function request(fetch, method, url, body, token) {
  const response = await fetch(url, {
    method,
    headers: { ...(token && { Authorization: `Bearer ${token}` }), ...(body && { "Content-Type": "application/json" }) },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(60 * SECOND),
  });
  const { ok, status, headers } = response;
  const answer = status === 204 ? undefined : await response.json().catch(() => ({}));
  if (ok) return answer;
  const final = status < 500 && ![408, 425, 429].includes(status);
  throw new RoomspaError({ code: `http_${status}`, ...answer, status, final, retryAfter: Number(headers.get("Retry-After")) || 0 });
}
