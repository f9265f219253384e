// A chat in the terminal: node example.mjs https://chat.example.com customer1@example.com PASSWORD 1 2
import { createInterface } from "node:readline";
import { Roomspa, signIn } from "./roomspa.js";

const [url, identifier, password, customer, therapist] = process.argv.slice(2);
const { getToken } = await signIn({ url, identifier, password });
const roomspa = new Roomspa({ url, getToken });
const chat = roomspa.chat(Number(customer), Number(therapist));

const print = ({ seq, sender_role, message }) => console.log(`${seq} ${sender_role}: ${message}`);
const early = []; // messages that come while the history is read
let show = (message) => early.push(message);
chat.on("message", (message) => show(message));
chat.on("reset", () => console.log("— the server was restored; this is what it has —"));

const past = [];
for await (const message of chat.history()) past.unshift(message);
[...past, ...early].forEach(print);
show = print;
chat.markRead();

const input = createInterface({ input: process.stdin });
input.on("line", (text) => chat.send(text).catch((error) => console.error(error.message)));
input.on("close", () => roomspa.close());
