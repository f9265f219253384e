/**
 * A model of the server, with one room, and of a bad network. It does what docs/protocol.md promises, and breaks what
 * may break: sockets, frames that are lost or come twice, acks, tokens that expire, stores that are away.
 */
const TOKEN_LIFE = 90_000;
const REF = "0123456789abcdef";

/** How sockets end while the client should come back: by code and reason. */
const CLOSES = [
  [1001, ""], [1005, ""], [1006, ""], [1008, "message_timeout"], [1011, "database_unavailable"], [1011, "internal"], [1012, "restart"],
  [1012, "rebalance"], [1012, "max_age"], [1013, "slow_consumer"], [1013, "busy"], [1013, "pong_timeout"],
];

export class Model {
  messages = []; // what is stored, in order
  faulty = true;
  handshakes = 0;
  asking = 0; // token requests at the same time
  mostAsking = 0;
  #sockets = new Set();
  #tokens = 0;

  constructor(clock, random) {
    Object.assign(this, { clock, random });
    const model = this;
    this.WebSocket = class extends ModelSocket {
      constructor(url, protocols) { super(model, new URL(url), protocols[1]); }
    };
  }

  chance(p) { return this.faulty && this.random() < p; }
  latency() { return this.random() * (this.chance(0.05) ? 3000 : 60); }
  pick(list) { return list[Math.floor(this.random() * list.length)]; }

  /** getToken is the app's source of tokens. It fails sometimes, and is never asked twice at a time. */
  async getToken() {
    this.mostAsking = Math.max(this.mostAsking, ++this.asking);
    await new Promise((resolve) => this.clock.after(this.latency(), resolve));
    this.asking--;
    if (this.chance(0.1)) throw new Error("the sign-in is away");
    return `token-${++this.#tokens}-${this.clock.now + TOKEN_LIFE}`;
  }

  /** store stores a message once, and tells all sockets. */
  store(sender_id, message, client_message_id) {
    const known = this.messages.find((m) => client_message_id && m.client_message_id === client_message_id);
    if (known) return [known, true];
    const seq = this.messages.length + 1;
    const stored = { type: "chat_message", id: `id-${seq}`, conversation_id: "c", seq, sender_id, sender_role: sender_id === 1 ? "customer" : "therapist", message, client_message_id };
    this.messages.push(stored);
    for (const socket of this.#sockets) socket.deliver(stored);
    return [stored, false];
  }

  enter(socket) { this.#sockets.add(socket); }
  leave(socket) { this.#sockets.delete(socket); }

  /** breakSome breaks sockets: with a close, or silently, so that they only look open. */
  breakSome() {
    for (const socket of this.#sockets) {
      if (this.random() < 0.3) socket.vanish();
      else socket.end(...this.pick(CLOSES));
    }
  }
}

class ModelSocket {
  #model;
  #query;
  #expires;
  #silent = false; // nothing passes any more, and nobody says so
  #closed = false;
  #arrival = { up: 0, down: 0 }; // of the last frame: frames do not overtake

  constructor(model, url, token) {
    this.#model = model;
    this.#query = url.searchParams;
    this.#expires = Number(token.split("-")[2]);
    model.handshakes++;
    if (!model.chance(0.05)) this.#pass("up", () => this.#enter()); // else nobody answers
  }

  /** #pass lets something arrive at the other side. A frozen page gets it when it thaws. */
  #pass(way, arrive) {
    const { clock } = this.#model;
    const at = (this.#arrival[way] = Math.max(this.#arrival[way], clock.now + this.#model.latency()));
    clock.after(at - clock.now, () => { if (!this.#closed && !this.#silent) arrive(); }, way === "down");
  }

  #tell(frame) {
    const model = this.#model;
    if (model.chance(0.01)) return;
    for (let n = model.chance(0.02) ? 2 : 1; n > 0; n--) this.#pass("down", () => this.onmessage({ data: JSON.stringify(frame) }));
  }

  #enter() {
    const model = this.#model, { clock } = model;
    if (model.chance(0.1)) return this.#pass("down", () => this.#finish(1006, ""));
    this.#pass("down", () => this.onopen());
    if (model.chance(0.05)) return; // no connected frame
    if (clock.now > this.#expires) return this.#refuse(4001, "token_expired");
    if (model.chance(0.1)) return this.end(...model.pick(CLOSES));
    const last = model.messages.length;
    this.#tell({ type: "connected", ref: REF, conversation_id: "c", first_seq: 1, last_seq: last, delivered_seq: 0, read_seq: 0, unread: 0, peer: { id: 2, delivered_seq: 0, read_seq: 0 } });
    const since = this.#query.get("since");
    if (since !== null) {
      for (const message of model.messages.slice(Number(since))) this.#tell(message);
      this.#tell({ type: "resumed", from_seq: Number(since) + 1, to_seq: last, first_seq: 1, last_seq: last });
    }
    model.enter(this);
    this.#watchToken();
  }

  #watchToken() {
    const { clock } = this.#model, expires = this.#expires;
    clock.after(expires - 30_000 - clock.now, () => this.#tell({ type: "token_expiring", expires_in: 30 }));
    clock.after(expires - clock.now, () => { if (expires === this.#expires) this.#refuse(4001, "token_expired"); });
  }

  #refuse(code, reason) {
    this.#tell({ type: "error", code: reason, ref: REF, close: code });
    this.end(code, reason);
  }

  deliver(message) { this.#tell(message); }

  vanish() {
    this.#silent = true;
    this.#model.leave(this);
  }

  end(code, reason) {
    this.#model.leave(this);
    if (code === 1012 || code === 1013) this.#tell({ type: "reconnect", after_ms: Math.floor(this.#model.random() * 4000), reason, ref: REF });
    this.#pass("down", () => this.#finish(code, reason && `${reason} ref=${REF}`));
  }

  #finish(code, reason) {
    this.#model.leave(this);
    this.#closed = true;
    this.onclose({ code, reason });
  }

  // The client's side.

  close() {
    this.#model.leave(this);
    this.#closed = true;
  }

  send(text) {
    if (this.#closed) return;
    this.#pass("up", () => this.#receive(JSON.parse(text)));
  }

  #receive(frame) {
    const model = this.#model;
    if (frame.type === "ping") return this.#tell({ type: "pong" });
    if (frame.type === "auth") {
      this.#expires = Number(frame.token.split("-")[2]);
      return this.#watchToken();
    }
    if (frame.type !== "chat_message") return;
    const { message, client_message_id } = frame;
    const refuse = (code) => this.#tell({ type: "error", code, ref: REF, client_message_id });
    if (message.startsWith("blocked")) return refuse("blocked");
    if (message.startsWith("large")) return this.end(1009, "too_large");
    if (model.chance(0.1)) return refuse(model.pick(["database_unavailable", "internal", "a_word_of_tomorrow"]));
    if (model.chance(0.05)) return this.end(...model.pick(CLOSES));
    const [stored, duplicate] = model.store(1, message, client_message_id);
    if (model.chance(0.1)) return model.random() < 0.5 ? this.vanish() : this.end(...model.pick(CLOSES)); // the ack is lost
    this.#tell({ type: "ack", client_message_id, id: stored.id, seq: stored.seq, duplicate });
  }
}
