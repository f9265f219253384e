/**
 * The client as a process, for tests in other languages: `node lines.js '{"url", "token", "customer", "therapist"}'`.
 * It takes commands as JSON lines ({"do": "send", "id", "text"}, read, delivered, typing, close), and prints what the app
 * is told as JSON lines. It is impatient: waits are a tenth, and every 3 s it acts as if the user looked at the page.
 */
import { webcrypto } from "node:crypto";
import { createInterface } from "node:readline";
import { Roomspa } from "../roomspa.js";
import { WebSocket } from "./websocket.js";

globalThis.crypto ??= webcrypto; // Node 18
const { url, token, customer, therapist } = JSON.parse(process.argv[2]);
const roomspa = new Roomspa({ url, WebSocket, getToken: () => token, random: () => Math.random() / 10 });
const chat = roomspa.chat(customer, therapist);
const say = (event, more) => process.stdout.write(`${JSON.stringify({ event, at: Math.round((performance.timeOrigin + performance.now()) * 1000), ...more })}\n`);

let since = null, ref = null;
chat.on("state", ({ state, code, reason, detail, connected }) => {
  if (state === "connecting") since = chat.position.since; // what the handshake asks for
  if (connected) say("connected", { ref: (ref = connected.ref), since, frame: connected });
  if (state === "waiting" || state === "over") {
    if (ref) say("closed", { ref, code });
    ref = null;
  }
  if (state === "over") say("over", { code, detail: [reason, detail].filter(Boolean).join(": ") });
});
for (const type of ["message", "resumed", "reset", "receipt", "typing", "presence", "error"]) {
  chat.on(type, (frame) => say(type, { ref, frame }));
}

const commands = {
  send: ({ id, text }) => chat.send(text, { id }).then(
    (frame) => say("acked", { ref, id, frame }),
    ({ code, detail }) => say("failed", { ref, id, detail: `${code}: ${detail}` }),
  ),
  read: ({ seq }) => chat.markRead(seq),
  delivered: ({ seq }) => chat.feed({ type: "mark", delivered: seq }),
  typing: ({ active }) => chat.typing(active),
  close() {
    clearInterval(looking);
    roomspa.close();
    setTimeout(() => process.exit(), 100); // the Close frame first
  },
};
const looking = setInterval(() => roomspa.wake(), 3000);
createInterface({ input: process.stdin })
  .on("line", (line) => { const command = JSON.parse(line); commands[command.do](command); })
  .on("close", commands.close);
