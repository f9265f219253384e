/**
 * The client against a model of the server while everything breaks at random. Afterwards nothing may be lost, shown twice
 * or out of order. SEED=17 repeats one run, RUNS=10000 makes more of them.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import "./platform.js";
import { Roomspa } from "../roomspa.js";
import { Clock, random } from "./clock.js";
import { Model } from "./model.js";

const FAULTS_FOR = 240_000, QUIET_FOR = 900_000;

async function play(seed) {
  const clock = new Clock(), rng = random(seed), model = new Model(clock, rng);
  for (let i = 0; i < 5; i++) model.store(2, `before ${i}`);
  clock.install();
  try {
    const roomspa = new Roomspa({ url: "http://model", getToken: () => model.getToken(), WebSocket: model.WebSocket, now: () => clock.now, random: rng });
    const chat = roomspa.chat(1, 2), shown = [], sent = [];
    let begin = null;
    chat.on("state", ({ connected }) => { begin ??= connected?.last_seq ?? null; });
    chat.on("message", ({ seq, message }) => shown.push({ seq, message }));
    const say = (kind) => {
      const one = { message: `${kind} ${sent.length}`, kind };
      sent.push(one);
      chat.send(one.message).then((ack) => { one.ack = ack; }, (error) => { one.error = error; });
    };
    const life = () => {
      if (!model.faulty) return;
      const dice = rng();
      if (dice < 0.45) for (let n = rng() < 0.1 ? 10 : 1; n > 0; n--) say("text");
      else if (dice < 0.5) say("blocked");
      else if (dice < 0.52) say("large");
      else if (dice < 0.75) model.store(2, "of the peer");
      else if (dice < 0.85) model.breakSome();
      else if (dice < 0.88) {
        if (rng() < 0.5) model.breakSome();
        clock.freeze(rng() * 120_000);
        if (rng() < 0.5) clock.after(clock.frozenUntil - clock.now, () => roomspa.wake());
      } else if (dice < 0.92) roomspa.wake();
      clock.after(rng() * 5000, life, true);
    };
    life();
    await clock.run(FAULTS_FOR);
    model.faulty = false;
    say("text"); // the last one: a lost frame shows only with the next one
    const settled = () => sent.every((one) => one.ack || one.error) && shown.at(-1)?.seq === model.messages.length;
    await clock.run(QUIET_FOR, settled);
    check({ model, begin, shown, sent });
    assert.equal(model.mostAsking, 1, "one token request at a time");
    roomspa.close();
    return model;
  } finally {
    clock.uninstall();
  }
}

function check({ model, begin, shown, sent }) {
  const stored = model.messages.filter((m) => m.sender_id === 1).map((m) => m.message);
  const texts = sent.filter(({ kind }) => kind === "text").map(({ message }) => message);
  assert.deepEqual(stored, texts, "every text is stored once, in the order of the calls");
  for (const { message, kind, ack, error } of sent) {
    const word = { text: undefined, blocked: "blocked", large: "too_large" }[kind];
    assert.equal(error?.code, word, `${message} ends as it should`);
    assert.equal(ack && model.messages[ack.seq - 1].message, word ? undefined : message, `${message} has its ack`);
  }
  assert.deepEqual(shown.map(({ seq }) => seq), model.messages.slice(begin).map(({ seq }) => seq), "every message is shown once, in order");
}

const { SEED, RUNS = 150 } = process.env;
test("nothing is lost, repeated or out of order, whatever breaks", async () => {
  let handshakes = 0, messages = 0;
  const seeds = SEED ? [Number(SEED)] : Array.from({ length: Number(RUNS) }, (_, i) => i + 1);
  for (const seed of seeds) {
    const model = await play(seed).catch((error) => { throw new Error(`SEED=${seed}: ${error.message}`, { cause: error }); });
    handshakes += model.handshakes;
    messages += model.messages.length;
  }
  assert.ok(handshakes > 5 * seeds.length && messages > 20 * seeds.length, `${handshakes} handshakes, ${messages} messages: too little happened`);
});
