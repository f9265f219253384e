/** What the sockets of the page did: every frame and every close, as the browser saw them. */
const LIMIT = 2000;

const parse = (data) => {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
};

/** A frame without what must not be shown. */
const clean = (frame) => (frame?.type === "auth" ? { ...frame, token: "…" } : frame);

export class Journal extends EventTarget {
  entries = []; // oldest first
  sockets = [];
  #count = 0;

  add(entry) {
    entry.at = Date.now();
    this.entries.push(entry);
    if (this.entries.length > LIMIT) this.entries.shift();
    this.dispatchEvent(new CustomEvent("entry", { detail: entry }));
  }

  clear() { this.entries = []; }

  /** A WebSocket class whose sockets write into the journal. */
  watched(side) {
    const journal = this;
    return class extends WebSocket {
      constructor(address, protocols) {
        super(address, protocols);
        const { pathname, searchParams } = new URL(address);
        const path = pathname.slice(pathname.lastIndexOf("/ws/"));
        const socket = {
          id: ++journal.#count, side, path, query: searchParams, dialed: performance.now(), at: Date.now(), opened: null, ready: null, ended: null,
          ref: null, code: null, reason: "", told: null, resumed: null, sent: 0, received: 0,
        };
        this.record = socket;
        journal.sockets.unshift(socket);
        journal.sockets.length = Math.min(journal.sockets.length, 40);
        journal.add({ kind: "dial", type: "open", side, socket, query: searchParams });
        this.addEventListener("open", () => {
          socket.opened = performance.now();
          journal.add({ kind: "open", type: "open", side, socket });
        });
        this.addEventListener("message", ({ data }) => {
          const frame = parse(data);
          socket.received++;
          if (frame?.type === "connected" || frame?.type === "greeting") Object.assign(socket, { ready: performance.now(), ref: frame.ref });
          if (frame?.type === "error" && frame.close) Object.assign(socket, { told: frame, ref: frame.ref });
          if (frame?.type === "reconnect") Object.assign(socket, { told: frame, ref: frame.ref });
          if (frame?.type === "resumed") socket.resumed = frame;
          journal.add({ kind: "received", type: frame?.type ?? "other", side, socket, frame, raw: data });
        });
        this.addEventListener("close", ({ code, reason, wasClean }) => {
          Object.assign(socket, { ended: performance.now(), code, reason, clean: wasClean });
          socket.ref ??= reason.split(" ref=")[1] ?? null;
          journal.add({ kind: "close", type: "close", side, socket, code, reason, clean: wasClean });
        });
      }

      send(data) {
        const frame = clean(parse(data));
        this.record.sent++;
        journal.add({ kind: "sent", type: frame?.type ?? (frame?.message !== undefined ? "chat_message" : "other"), side, socket: this.record, frame });
        super.send(data);
      }
    };
  }
}
