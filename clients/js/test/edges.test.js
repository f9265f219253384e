/** What apps and networks do that they should not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { REF, message, world } from "./world.js";

test("a chat that is closed before it has connected stays closed", () => world(async ({ make, settle, sockets }) => {
  const roomspa = make();
  roomspa.chat(1, 2).close();
  await settle();
  assert.equal(sockets.length, 0);
  roomspa.chat(1, 2); // as a component does that is mounted twice
  await settle();
  assert.equal(sockets.length, 1);
  roomspa.chat(3, 4);
  roomspa.close();
  await settle();
  assert.equal(sockets.length, 1);
}));

test("a closed chat that connects again belongs to its Roomspa", () => world(async ({ make, settle, sockets }) => {
  const roomspa = make(), chat = roomspa.chat(1, 2);
  await settle();
  chat.close();
  chat.connect();
  await settle();
  assert.equal(roomspa.chat(1, 2), chat);
  roomspa.close();
  assert.ok(sockets.every((s) => s.closed), "all sockets end");
}));

test("closing a chat twice does not forget the one that came after it", () => world(async ({ make, settle, sockets }) => {
  const roomspa = make(), old = roomspa.chat(1, 2);
  await settle();
  old.close();
  const next = roomspa.chat(1, 2);
  await settle();
  old.close();
  assert.equal(roomspa.chat(1, 2), next);
  await settle();
  assert.equal(sockets.length, 2);
}));

test("what an app passes in the wrong type never costs the message in flight", () => world(async ({ make, settle, last, clock }) => {
  const chat = make().chat("1", "2");
  chat.send("a").catch(() => {});
  await clock.run(10);
  last().live();
  chat.typing("a text");
  chat.typing({});
  chat.markRead(NaN);
  chat.markRead("4");
  await settle();
  assert.deepEqual(last().sent.slice(1), [{ type: "typing", is_typing: true }, { type: "read", seq: 4 }]);
}));

test("since as a text counts as a number", () => world(async ({ make, settle, last }) => {
  const chat = make().chat(1, 2, { since: "4", id: "i" }), shown = [];
  chat.on("message", ({ seq }) => shown.push(seq));
  await settle();
  assert.equal(last().url.search, "?v=1&since=4&id=i");
  last().live();
  last().hear(message(7));
  assert.ok(last().closed && !shown.length, "7 is a gap");
}));

test("frames that are no JSON object, and types of tomorrow, stop nothing", () => world(async ({ make, settle, last }) => {
  const chat = make().chat(1, 2), shown = [];
  chat.on("message", ({ seq }) => shown.push(seq));
  await settle();
  last().live();
  for (const data of ["", "null", "7", "<html>", new ArrayBuffer(2)]) last().onmessage({ data });
  last().hear({ type: "constructor" }, { type: "__proto__" }, { type: "toString" }, { no: "type" }, message(6));
  assert.deepEqual(shown, [6]);
}));

test("history ends with the chat", () => world(async ({ make, settle, last }) => {
  const chat = make().chat(1, 2);
  await settle();
  last().onopen();
  last().onclose({ code: 4003, reason: `not_your_room ref=${REF}` });
  await assert.rejects(chat.history().next(), { name: "RoomspaError" });
  const other = make().chat(3, 4), waiting = other.history().next();
  other.close();
  await assert.rejects(waiting, { code: "closed" });
}));

test("messages that are read from history count as delivered", () => world(async ({ make, settle, last, clock }) => {
  const fetch = async () => new Response(JSON.stringify({ messages: [message(4), message(5)], has_more: false }));
  for (const delivered of [true, false]) {
    const chat = make({ fetch }).chat(1, 2, { delivered });
    await settle();
    last().live();
    for await (const _ of chat.history()) { /* all */ }
    await clock.run(1000);
    assert.deepEqual(last().sent, delivered ? [{ type: "delivered", seq: 5 }] : []);
  }
}));

test("a page of history is asked for again after a while, and at once when the device is online", () => world(async ({ make, settle, last, clock }) => {
  let asked = 0;
  const fetch = (_, { signal }) => new Promise((resolve, reject) => {
    if (++asked === 1) signal.addEventListener("abort", () => reject(signal.reason)); // no answer
    else if (asked < 7) reject(new TypeError("offline"));
    else resolve(new Response(JSON.stringify({ messages: [message(5)], has_more: false })));
  });
  const window = new EventTarget(), chat = make({ fetch, window }).chat(1, 2), reading = chat.history().next();
  await settle();
  last().live();
  await clock.run(70_000);
  assert.ok(asked > 1 && asked < 7, `${asked} requests`);
  while (asked < 7) {
    window.dispatchEvent(new Event("online"));
    const before = asked;
    await settle();
    assert.equal(asked, before + 1);
  }
  assert.equal((await reading).value.seq, 5);
}));
