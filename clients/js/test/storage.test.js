/** Unsent messages that outlive a page. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { localQueue } from "../roomspa.js";
import { HELLO, world } from "./world.js";

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

test("the tab with the lock sends what a tab left that was opened and closed later", () => world(async ({ make, settle, sockets, clock }) => {
  const { locks, storage, area } = browser();
  const window = new EventTarget();
  const tab = () => make({ locks, storage, user: 1, window }).chat(1, 2);
  const first = tab();
  await settle();
  sockets[0].live();
  await settle();
  const second = tab();
  second.send("a", { id: "a" }).catch(() => {});
  await settle();
  second.close();
  await settle();
  assert.deepEqual([area.size, first.pending.length], [1, 0]);
  window.dispatchEvent(new Event("pageshow"));
  await settle();
  assert.deepEqual(sockets[0].sent.map((f) => f.message ?? f.type), ["ping", "a"]);
  sockets[0].hear({ type: "ack", client_message_id: "a", id: "id-6", seq: 6 });
  const third = tab();
  third.send("b", { id: "b" }).catch(() => {});
  third.close();
  sockets[0].onclose({ code: 1012, reason: "restart" });
  await clock.run(1000);
  sockets.at(-1).live({ ...HELLO, last_seq: 6 });
  await settle();
  assert.equal(area.size, 0, "nothing was stored: the third tab had no connection yet");
}));

test("a storage that fails costs persistence only", () => world(async ({ make, settle, last }) => {
  const fails = { load: () => Promise.reject(), put: () => { throw Object.assign(new Error("full"), { name: "QuotaExceededError" }); }, remove: () => Promise.reject("gone") };
  const chat = make({ locks: browser().locks, storage: fails, user: 1 }).chat(1, 2), errors = [];
  chat.on("error", ({ code, detail }) => errors.push(`${code} ${detail}`));
  const send = chat.send("a", { id: "a" });
  await settle();
  last().live();
  last().hear({ type: "ack", client_message_id: "a", id: "id-6", seq: 6 });
  assert.equal((await send).seq, 6);
  await settle();
  assert.deepEqual([...new Set(errors)].sort(), ["storage full", "storage gone", "storage undefined"]);
}));

test("localStorage that the browser denies costs persistence only", () => world(async ({ make, settle, last }) => {
  Object.defineProperty(globalThis, "localStorage", { configurable: true, get() { throw new Error("denied"); } });
  try {
    const chat = make({ locks: browser().locks, storage: localQueue(), user: 1 }).chat(1, 2), errors = [];
    chat.on("error", ({ detail }) => errors.push(detail));
    chat.send("a").catch(() => {});
    await settle();
    last().live();
    assert.deepEqual(last().sent.map((f) => f.message), ["a"]);
    assert.ok(errors.length && errors.every((e) => e === "denied"), `${errors}`);
  } finally {
    delete globalThis.localStorage;
  }
}));

test("a record that cannot be read does not hide the others", () => world(async ({ make, settle, last }) => {
  const { locks, storage, area } = browser();
  const first = make({ locks, storage, user: 1 }).chat(1, 2);
  first.send("a").catch(() => {});
  await settle();
  area.set(`${[...area.keys()][0].split("#")[0]}#broken`, "{");
  first.close();
  const second = make({ locks, storage, user: 1 }).chat(1, 2);
  await settle();
  assert.deepEqual(second.pending.map((f) => f.message), ["a"]);
}));
