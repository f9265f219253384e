/**
 * A WebSocket client (RFC 6455) for tests on Node 18 and 20, which have none. It has the part of the browser's
 * interface that roomspa.js uses, so that the tests need no package. Apps use the `ws` package, or Node 22.
 */
import { createHash, randomBytes } from "node:crypto";
import http from "node:http";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const TEXT = 1, CLOSE = 8, PING = 9, PONG = 10;
const CLOSE_TIMEOUT = 2000;

export class WebSocket {
  onopen = () => {};
  onmessage = () => {};
  onclose = () => {};
  onerror = () => {};
  #socket;
  #request;
  #unread = Buffer.alloc(0);
  #text = []; // fragments
  #end = { code: 1006, reason: "" };
  #ended = false;

  constructor(url, protocols = []) {
    const key = randomBytes(16).toString("base64");
    this.#request = http.get(url.replace(/^ws/, "http"), {
      agent: false,
      headers: {
        Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": 13, "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Protocol": protocols.join(", "),
      },
    });
    this.#request.on("error", () => this.#finish());
    this.#request.on("response", (response) => { response.destroy(); this.#finish(); });
    this.#request.on("upgrade", ({ headers }, socket, head) => {
      const accept = createHash("sha1").update(key + GUID).digest("base64");
      if (headers["sec-websocket-accept"] !== accept) socket.destroy();
      this.#socket = socket.setNoDelay();
      socket.on("error", () => {});
      socket.on("close", () => this.#finish());
      socket.on("end", () => socket.destroy());
      socket.on("data", (data) => this.#read(data));
      this.onopen();
      this.#read(head);
    });
  }

  send(text) { this.#write(TEXT, Buffer.from(text)); }

  close(code = 1000) {
    if (!this.#socket) return this.#request.destroy();
    const payload = Buffer.alloc(2);
    payload.writeUInt16BE(code);
    this.#write(CLOSE, payload);
    setTimeout(() => this.#socket.destroy(), CLOSE_TIMEOUT).unref();
  }

  #finish() {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#end.code === 1006) this.onerror();
    this.onclose(this.#end);
  }

  #write(opcode, payload) {
    const mask = randomBytes(4), n = payload.length;
    const head = n < 126 ? [0x80 | n] : n < 65536 ? [0xfe, n >> 8, n & 255] : [0xff, 0, 0, 0, 0, n >>> 24, (n >> 16) & 255, (n >> 8) & 255, n & 255];
    this.#socket.write(Buffer.concat([Buffer.from([0x80 | opcode, ...head]), mask, payload.map((byte, i) => byte ^ mask[i & 3])]));
  }

  #read(data) {
    this.#unread = Buffer.concat([this.#unread, data]);
    for (let frame; (frame = this.#take());) this.#handle(frame);
  }

  /** #take takes one frame from what was read, or nothing if it is not complete. A server does not mask. */
  #take() {
    const b = this.#unread;
    if (b.length < 2) return null;
    let n = b[1] & 127, at = 2;
    if (n === 126) [n, at] = [b.length < 4 ? Infinity : b.readUInt16BE(2), 4];
    else if (n === 127) [n, at] = [b.length < 10 ? Infinity : Number(b.readBigUInt64BE(2)), 10];
    if (b.length < at + n) return null;
    this.#unread = b.subarray(at + n);
    return { last: b[0] >= 128, opcode: b[0] & 15, payload: b.subarray(at, at + n) };
  }

  #handle({ last, opcode, payload }) {
    if (opcode === PING) return this.#write(PONG, payload);
    if (opcode === PONG) return;
    if (opcode === CLOSE) {
      this.#end = payload.length < 2 ? { code: 1005, reason: "" } : { code: payload.readUInt16BE(0), reason: payload.toString("utf8", 2) };
      this.#write(CLOSE, payload.subarray(0, 2));
      this.#socket.end();
      return;
    }
    this.#text.push(payload);
    if (!last) return;
    const text = Buffer.concat(this.#text).toString();
    this.#text = [];
    this.onmessage({ data: text });
  }
}
