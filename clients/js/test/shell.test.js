/** The shell: sockets, events, history and the platform's events. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { REF, message, world } from "./world.js";

test("the address and the token of a handshake", () => world(async ({ make, settle, last }) => {
  make().chat(1, 2);
  await settle();
  assert.equal(last().url.href, "wss://chat.example.com/base/ws/chat/1/2/?v=1");
  assert.deepEqual(last().protocols, ["bearer", "token"]);
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
  assert.ok(wakes(window, "online"), "a hidden page is online again too");
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
