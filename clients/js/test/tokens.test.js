/** Where tokens come from, and when they are asked for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { signIn } from "../roomspa.js";
import { REF, world } from "./world.js";

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

test("whatever getToken does, the next attempt follows", () => world(async ({ make, settle, sockets, clock }) => {
  const unhandled = [], note = (reason) => unhandled.push(reason);
  process.on("unhandledRejection", note);
  const ways = [() => { throw new Error("sync"); }, () => Promise.reject(), () => Promise.reject("a text"), () => new Promise(() => {}), () => "token"];
  const states = [];
  make({ getToken: () => ways.shift()() }).chat(1, 2).on("state", ({ state, reason, detail }) => states.push(`${state} ${reason ?? ""} ${detail ?? ""}`.trim()));
  await clock.run(29_000);
  assert.deepEqual([ways.length, sockets.length], [1, 0], "the request without an answer has 30 s");
  await clock.run(60_000, () => sockets.length > 0);
  assert.equal(sockets.length, 1, `${states.join("; ")}`);
  assert.deepEqual(states.filter((s) => s.startsWith("waiting")).map((s) => s.slice(8)), ["no_token sync", "no_token", "no_token a text", "no_token timeout"]);
  process.off("unhandledRejection", note);
  assert.deepEqual(unhandled, []);
}));

test("no token, or the refused one again: the user must sign in", () => world(async ({ make, settle, last, clock }) => {
  for (const token of [null, undefined, ""]) {
    const chat = make({ getToken: () => token }).chat(1, 2);
    await settle();
    assert.equal(chat.state, "over");
  }
  const chat = make({ getToken: () => "one" }).chat(1, 2), send = chat.send("a");
  await settle();
  last().onclose({ code: 4001, reason: "token_invalid" });
  await assert.rejects(Promise.all([send, clock.run(1000)]), { code: "no_token" });
}));

test("a token that cannot be renewed for now is renewed by the next socket", () => world(async ({ make, settle, last, clock, sockets }) => {
  const answers = ["t1", null, "t2"];
  make({ getToken: async () => answers.shift() ?? Promise.reject(new Error("offline")) }).chat(1, 2);
  await settle();
  last().live();
  last().hear({ type: "token_expiring" });
  await settle();
  assert.deepEqual(last().types(), [], "no auth");
  last().onclose({ code: 4001, reason: "token_expired" });
  await clock.run(1000);
  assert.deepEqual(sockets.map(({ protocols }) => protocols[1]), ["t1", "t2"]);
}));

test("two sockets whose token expires at different times ask once", () => world(async ({ make, settle, sockets, clock }) => {
  let n = 0;
  const roomspa = make({ getToken: async () => `t${++n}` });
  roomspa.chat(1, 2);
  roomspa.location(1, 2);
  await settle();
  for (const socket of sockets) socket.live();
  sockets[0].hear({ type: "token_expiring" });
  await settle();
  sockets[1].hear({ type: "token_expiring" });
  await settle();
  assert.deepEqual(sockets.map(({ sent }) => sent.at(-1)), [{ type: "auth", token: "t2" }, { type: "auth", token: "t2" }]);
}));
