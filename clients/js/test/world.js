/** The fakes of the tests of the shell: a virtual clock, sockets, and what is said on them. */
import "./platform.js";
import { Roomspa } from "../roomspa.js";
import { Clock } from "./clock.js";

export const REF = "0123456789abcdef";
export const HELLO = { type: "connected", ref: REF, conversation_id: "c", first_seq: 1, last_seq: 5, delivered_seq: 0, read_seq: 0, unread: 2, peer: { id: 2, online: true, delivered_seq: 4, read_seq: 3 } };
export const message = (seq, more) => ({ type: "chat_message", id: `id-${seq}`, seq, sender_id: 2, sender_role: "therapist", message: `text ${seq}`, ...more });

/** A world has the fakes that a Roomspa is made of. `sockets` are those that were opened, the newest last. */
export async function world(body) {
  const clock = new Clock(), sockets = [], made = [];
  class FakeSocket {
    sent = [];
    constructor(url, protocols) { Object.assign(this, { url: new URL(url), protocols }); sockets.push(this); }
    send(text) { this.sent.push(JSON.parse(text)); }
    close() { this.closed = true; }
    hear(...frames) { for (const frame of frames) this.onmessage({ data: JSON.stringify(frame) }); }
    live(hello = HELLO) { this.onopen(); this.hear(hello); }
    types() { return this.sent.map(({ type }) => type); }
  }
  const make = (options) => {
    made.push(new Roomspa({ url: "https://chat.example.com/base/", getToken: () => "token", WebSocket: FakeSocket, now: () => clock.now, random: () => 0.5, ...options }));
    return made.at(-1);
  };
  clock.install();
  try {
    await body({ clock, sockets, make, settle: () => clock.run(0), last: () => sockets.at(-1) });
  } finally {
    for (const roomspa of made) roomspa.close();
    await clock.run(0);
    clock.uninstall();
  }
}
