/** The shell: sockets, tokens, storage, history and the platform's events, with fakes and a virtual clock. */
import assert from "node:assert/strict";
import { test } from "node:test";
import "./platform.js";
import { Roomspa, localQueue, signIn } from "../roomspa.js";
import { Clock } from "./clock.js";

const REF = "0123456789abcdef";
const HELLO = { type: "connected", ref: REF, conversation_id: "c", first_seq: 1, last_seq: 5, delivered_seq: 0, read_seq: 0, unread: 2, peer: { id: 2, online: true, delivered_seq: 4, read_seq: 3 } };
const message = (seq, more) => ({ type: "chat_message", id: `id-${seq}`, seq, sender_id: 2, sender_role: "therapist", message: `text ${seq}`, ...more });

/** A world has the fakes that a Roomspa is made of. `sockets` are those that were opened, the newest last. */
async function world(body) {
  const clock = new Clock(), sockets = [];
  class FakeSocket {
    sent = [];
    constructor(url, protocols) { Object.assign(this, { url: new URL(url), protocols }); sockets.push(this); }
    send(text) { this.sent.push(JSON.parse(text)); }
    close() { this.closed = true; }
    hear(...frames) { for (const frame of frames) this.onmessage({ data: JSON.stringify(frame) }); }
    live(hello = HELLO) { this.onopen(); this.hear(hello); }
    types() { return this.sent.map(({ type }) => type); }
  }
  const make = (options) => new Roomspa({ url: "https://chat.example.com/base/", getToken: () => "token", WebSocket: FakeSocket, now: () => clock.now, random: () => 0.5, ...options });
  clock.install();
  try {
    await body({ clock, sockets, make, settle: () => clock.run(0), last: () => sockets.at(-1) });
  } finally {
    clock.uninstall();
  }
}

test("the address and the token of a handshake", () => world(async ({ make, settle, last }) => {
  make().chat(1, 2);
  await settle();
  assert.equal(last().url.href, "wss://chat.example.com/base/ws/chat/1/2/?v=1");
  assert.deepEqual(last().protocols, ["bearer", "token"]);
}));

test("one token request at a time, shared by all sockets", () => world(async ({ make, settle, sockets, clock }) => {
  const asked = [];
  const roomspa = make({ getToken: ({ refused }) => new Promise((resolve) => { asked.push(refused); clock.after(50, () => resolve(`t${asked.length}`)); }) });
  roomspa.chat(1, 2);
  roomspa.location(1, 2);
  roomspa.inbox();
  await clock.run(100);
  assert.deepEqual([asked.length, sockets.length], [1, 3]);
  for (const socket of sockets.slice(0, 2)) socket.onclose({ code: 4001, reason: `token_expired ref=${REF}` });
  await clock.run(100);
  assert.deepEqual(asked, [undefined, "t1"]);
  assert.deepEqual(sockets.slice(3).map(({ protocols }) => protocols[1]), ["t2", "t2"]);
}));

test("the token that a socket got by auth is the one that is refused next", () => world(async ({ make, settle, last, clock }) => {
  let n = 0;
  const refusals = [];
  make({ getToken: ({ refused }) => { refusals.push(refused); return `t${++n}`; } }).chat(1, 2);
  await settle();
  last().live();
  last().hear({ type: "token_expiring", expires_in: 30 });
  await settle();
  assert.deepEqual(last().sent.at(-1), { type: "auth", token: "t2" });
  last().onclose({ code: 4001, reason: "token_expired" });
  await clock.run(1000);
  assert.deepEqual(refusals, [undefined, "t1", "t2"]);
}));

test("a token is renewed before it expires", () => world(async ({ make, settle, last, clock }) => {
  let n = 0;
  const jwt = () => `h.${btoa(JSON.stringify({ user_id: 1, iat: 1000, exp: 1300, n: ++n }))}.s`;
  const roomspa = make({ getToken: jwt });
  await roomspa.token();
  await clock.run(269_000);
  await roomspa.token();
  assert.equal(n, 1);
  await clock.run(2000);
  await roomspa.token();
  assert.equal(n, 2);
  assert.equal(roomspa.user, 1);
}));

test("a timer that is late says that the page was frozen", () => world(async ({ make, settle, last, clock }) => {
  make().chat(1, 2);
  await settle();
  last().live();
  await clock.run(30_500);
  assert.deepEqual(last().types(), ["ping"]);
  clock.freeze(60_000); // beyond the time for the answer
  await clock.run(60_000);
  assert.deepEqual(last().types(), ["ping", "ping"], "the socket has another chance");
  last().hear({ type: "pong" });
  await clock.run(20_000);
  assert.ok(!last().closed);
}));

test("a hidden page, whose timers are always late, finds a dead socket too", () => world(async ({ make, settle, sockets, clock }) => {
  make().chat(1, 2);
  await settle();
  sockets[0].live();
  for (let minute = 0; minute < 4; minute++) {
    clock.freeze(60_000);
    await clock.run(60_000);
  }
  assert.ok(sockets[0].closed && sockets.length > 1, `${sockets[0].types()}`);
}));

test("online, pageshow and visibility wake all connections", () => world(async ({ make, settle, last }) => {
  const window = new EventTarget(), document = new EventTarget();
  window.document = document;
  const roomspa = make({ window });
  roomspa.chat(1, 2);
  await settle();
  last().live();
  const wakes = (target, type) => {
    const before = last().types().length;
    target.dispatchEvent(new Event(type));
    last().hear({ type: "pong" });
    return last().types().length > before;
  };
  assert.ok(wakes(window, "online") && wakes(window, "pageshow") && wakes(document, "visibilitychange"));
  document.visibilityState = "hidden";
  assert.ok(!wakes(document, "visibilitychange"));
  document.visibilityState = "visible";
  roomspa.close();
  assert.ok(!wakes(window, "online"));
}));

test("a socket that was given up is not listened to", () => world(async ({ make, settle, sockets, clock }) => {
  const chat = make().chat(1, 2), shown = [];
  chat.on("message", ({ seq }) => shown.push(seq));
  await settle();
  sockets[0].live();
  sockets[0].hear(message(7)); // a gap
  await settle();
  assert.ok(sockets[0].closed && sockets.length === 2);
  sockets[0].hear(message(6));
  sockets[0].onclose({ code: 4003, reason: "not_your_room" });
  sockets[1].live();
  sockets[1].hear(message(6), message(7));
  await clock.run(0);
  assert.deepEqual(shown, [6, 7]);
  assert.equal(chat.state, "live");
}));

test("a listener that throws does not stop the client", () => world(async ({ make, settle, last }) => {
  const chat = make().chat(1, 2), shown = [], thrown = [];
  const real = globalThis.queueMicrotask;
  globalThis.queueMicrotask = (call) => real(() => { try { call(); } catch (error) { thrown.push(error.message); } });
  chat.on("message", () => { throw new Error("of the app"); });
  chat.on("message", ({ seq }) => shown.push(seq));
  await settle();
  last().live();
  last().hear(message(6), message(7));
  await settle();
  globalThis.queueMicrotask = real;
  assert.deepEqual([shown, thrown], [[6, 7], ["of the app", "of the app"]]);
}));

test("sends: the ack, a refusal, a full queue, the same id, a closed chat", () => world(async ({ make, settle, last }) => {
  const chat = make({ maxQueue: 2 }).chat(1, 2);
  const a = chat.send("a", { id: "a", metadata: { n: 1 }, type: "image" }), b = chat.send("b", { id: "b" });
  assert.equal(chat.send("again", { id: "a" }), a);
  await assert.rejects(chat.send("c"), { name: "RoomspaError", code: "queue_full", final: true });
  await settle();
  last().live();
  assert.deepEqual(last().sent, [{ type: "chat_message", message: "a", message_type: "image", metadata: { n: 1 }, client_message_id: "a" }]);
  last().hear({ type: "ack", client_message_id: "a", id: "id-6", seq: 6 });
  assert.equal((await a).seq, 6);
  last().hear({ type: "error", code: "blocked", detail: "…", ref: REF, client_message_id: "b" });
  await assert.rejects(b, { code: "blocked", ref: REF });
  const d = chat.send("d");
  chat.close();
  await assert.rejects(d, { code: "closed" });
  await assert.rejects(chat.send("e"), { code: "closed" });
  assert.ok(last().closed);
}));

test("over: sends reject with the reason, and connect starts again", () => world(async ({ make, settle, sockets }) => {
  const chat = make().chat(1, 2), states = [];
  chat.on("state", ({ state, reason, ref }) => states.push([state, reason, ref]));
  const send = chat.send("a");
  await settle();
  sockets[0].onopen();
  sockets[0].onclose({ code: 4003, reason: `not_your_room ref=${REF}` });
  await assert.rejects(send, { code: "not_your_room", ref: REF });
  assert.deepEqual(states.at(-1), ["over", "not_your_room", REF]);
  chat.connect();
  await settle();
  assert.equal(sockets.length, 2);
}));

test("connected tells receipts and presence", () => world(async ({ make, settle, last }) => {
  const chat = make().chat(1, 2), told = [];
  chat.on("receipt", ({ type, user_id, seq }) => told.push(`${type} ${user_id} ${seq}`));
  chat.on("presence", ({ user_id, online }) => told.push(`presence ${user_id} ${online}`));
  await settle();
  last().live();
  last().hear({ type: "read", user_id: 2, seq: 5 }, { type: "delivered", user_id: 1, seq: 5 });
  assert.deepEqual(told, ["delivered 2 4", "read 2 3", "presence 2 true", "read 2 5", "delivered 1 5"]);
  assert.deepEqual(chat.peer, { id: 2, online: true, last_seen: undefined, delivered_seq: 5, read_seq: 5 });
  assert.deepEqual(chat.own, { delivered_seq: 5, read_seq: 0, unread: 2 });
}));

test("history comes newest first, page by page, and ends where the events begin", () => world(async ({ make, settle, last, clock }) => {
  const asked = [];
  const statuses = [503, 401, 200, 200];
  const fetch = async (url, { headers }) => {
    const { pathname, searchParams } = new URL(url), status = statuses.shift();
    asked.push(`${pathname} ${searchParams.get("before_seq")} ${headers.Authorization}`);
    const before = Number(searchParams.get("before_seq")), from = Math.max(1, before - 3);
    const messages = Array.from({ length: before - from }, (_, i) => message(from + i));
    return new Response(JSON.stringify(status === 200 ? { messages, has_more: from > 1 } : { code: "busy" }), { status });
  };
  let n = 0;
  const chat = make({ fetch, getToken: () => `t${++n}` }).chat(1, 2), seen = [];
  const reading = (async () => { for await (const { seq } of chat.history()) seen.push(seq); })();
  await settle();
  last().live();
  last().hear(message(6));
  await clock.run(5000);
  await reading;
  assert.deepEqual(seen, [5, 4, 3, 2, 1]);
  const path = "/base/api/conversations/c/messages/";
  assert.deepEqual(asked, [`${path} 6 Bearer t1`, `${path} 6 Bearer t1`, `${path} 6 Bearer t2`, `${path} 3 Bearer t2`]);
}));

test("a reset ends history, and the next one begins before the new events", () => world(async ({ make, settle, last }) => {
  const fetch = async (url) => {
    const before = Number(new URL(url).searchParams.get("before_seq"));
    return new Response(JSON.stringify({ messages: [message(before - 1)], has_more: before > 2 }));
  };
  const chat = make({ fetch }).chat(1, 2), seen = [];
  await settle();
  last().live();
  for await (const { seq } of chat.history()) {
    seen.push(seq);
    last().hear({ type: "resumed", reset: true, from_seq: 3, to_seq: 2, first_seq: 1, last_seq: 2 });
  }
  assert.deepEqual(seen, [5]);
  for await (const { seq } of chat.history()) seen.push(seq);
  assert.deepEqual(seen, [5, 2, 1]);
}));

/** Locks and an area as browsers have them, which the tabs of an origin share. */
function browser() {
  const held = new Map(), area = new Map();
  return {
    locks: {
      request(name, { signal }, call) {
        const turn = (held.get(name) ?? Promise.resolve()).then(() => (signal.aborted ? undefined : call()));
        held.set(name, turn.catch(() => {}));
        return turn;
      },
    },
    area,
    storage: localQueue(new Proxy({}, {
      get: (_, name) => ({ getItem: (k) => area.get(k), setItem: (k, v) => area.set(k, v), removeItem: (k) => area.delete(k) })[name],
      ownKeys: () => [...area.keys()],
      getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }),
    })),
  };
}

test("what a closed tab has left is sent by one other tab, in order, and once", () => world(async ({ make, settle, sockets, clock }) => {
  const { locks, storage, area } = browser();
  const tab = () => make({ locks, storage, user: 1 }).chat(1, 2);
  const first = tab();
  for (const text of ["a", "b"]) first.send(text, { id: text }).catch(() => {});
  await settle();
  assert.equal(area.size, 2);
  const second = tab(), third = tab();
  third.send("c", { id: "c" }).catch(() => {});
  await settle();
  const [one, two, three] = sockets;
  two.live();
  three.live();
  await clock.run(0);
  assert.deepEqual(two.sent, [], "the first tab holds the lock");
  first.close();
  await clock.run(0);
  assert.deepEqual(two.sent.map((f) => f.message), ["a"]);
  two.hear({ type: "ack", client_message_id: "a", id: "id-6", seq: 6 });
  two.hear({ type: "error", code: "blocked", client_message_id: "b" });
  three.hear({ type: "ack", client_message_id: "c", id: "id-7", seq: 7 });
  await clock.run(0);
  assert.deepEqual(three.sent.map((f) => f.message), ["c"], "a tab sends its own messages");
  assert.equal(second.pending.length, 1, "c, which the second tab found too");
  two.hear({ type: "ack", client_message_id: "c", id: "id-7", seq: 7, duplicate: true });
  await clock.run(0);
  assert.equal(area.size, 0);
  assert.ok(one.closed);
}));

test("nothing is stored without Web Locks, or under the key of another user", () => world(async ({ make, settle, last }) => {
  const { locks, storage, area } = browser();
  make({ locks: undefined, storage, user: 1 }).chat(1, 2).send("a").catch(() => {});
  await settle();
  assert.equal(area.size, 0);
  make({ locks, storage, user: 1 }).chat(1, 2).send("b").catch(() => {});
  await settle();
  assert.equal(area.size, 1);
  const other = make({ locks, storage, user: 2 }).chat(1, 2);
  await settle();
  last().live();
  assert.equal(other.pending.length, 0);
}));

test("the inbox keeps conversations, and forgets those that are not told again", () => world(async ({ make, settle, last, clock }) => {
  const inbox = make().inbox({ text: true });
  await settle();
  assert.equal(last().url.search, "?v=1&text=1");
  const conversation = (id, unread) => ({ type: "conversation", conversation_id: id, customer_id: 1, therapist_id: 2, last_seq: 3, unread });
  last().live({ type: "connected", ref: REF });
  last().hear(conversation("a", 1), conversation("b", 2), { type: "inbox_complete" }, { type: "presence", conversation_id: "a", user_id: 1, online: true });
  assert.deepEqual([...inbox.conversations.values()].map((c) => [c.conversation_id, c.unread, c.online]), [["a", 1, true], ["b", 2, undefined]]);
  last().onclose({ code: 1006 });
  await clock.run(1000);
  last().live({ type: "connected", ref: REF });
  last().hear(conversation("a", 0), { type: "inbox_complete" });
  assert.deepEqual([...inbox.conversations.keys()], ["a"]);
}));

test("a location takes what the browser gives", () => world(async ({ make, settle, last }) => {
  const location = make().location(1, 2), seen = [];
  location.on("position", ({ latitude }) => seen.push(latitude));
  await settle();
  last().live({ type: "connected", ref: REF });
  location.send({ coords: { latitude: 52, longitude: 13, accuracy: 5, heading: null, speed: null }, timestamp: 0 });
  assert.deepEqual(last().sent, [{ latitude: 52, longitude: 13, accuracy: 5, heading: null, speed: null, recorded_at: "1970-01-01T00:00:00.000Z" }]);
  last().hear({ type: "location_update", user_id: 2, latitude: 53, longitude: 13 });
  assert.deepEqual(seen, [53]);
}));

test("signIn renews its tokens, and says when that is final", async () => {
  const answers = [[200, { access_token: "a1", refresh_token: "r1", user: { id: 1 } }], [200, { access_token: "a2", refresh_token: "r2" }], [401, { code: "token_revoked" }]];
  const asked = [];
  const fetch = async (url, { body }) => {
    asked.push(`${new URL(url).pathname} ${body}`);
    const [status, answer] = answers.shift();
    return new Response(JSON.stringify(answer), { status });
  };
  const { user, getToken } = await signIn({ url: "https://chat.example.com", identifier: "i", password: "p", fetch });
  assert.equal(user.id, 1);
  assert.equal(await getToken({}), "a1");
  assert.equal(await getToken({ refused: "a1" }), "a2");
  await assert.rejects(getToken({ refused: "a2" }), { code: "token_revoked", final: true });
  assert.deepEqual(asked.slice(1), ['/token/refresh/ {"refresh_token":"r1"}', '/token/refresh/ {"refresh_token":"r2"}']);
});
