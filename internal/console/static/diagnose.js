/** The browser's part of a diagnosis. It stops at the first thing that is wrong. */
import { config } from "./config.js";
import { $, decode, duration, h, server, socketURL } from "./dom.js";
import { cure, explainClose, explainWord } from "./words.js";

const TIMEOUT = 10_000;

class Fault extends Error {
  constructor(text, advice = "") {
    super(text);
    this.advice = advice;
  }
}

/** A WebSocket with promises. */
class Line {
  #Socket;
  #frames = [];
  #waiting = [];

  constructor(Socket, path, query, protocols) {
    this.began = performance.now();
    this.socket = new Socket(socketURL(path, query), protocols);
    this.opened = new Promise((resolve, reject) => {
      this.socket.addEventListener("open", () => { this.openedAfter = performance.now() - this.began; resolve(this); });
      this.socket.addEventListener("close", (event) => { this.closed = event; reject(event); this.#settle(); });
      setTimeout(() => reject(new Fault(`The WebSocket did not open within ${duration(TIMEOUT)}.`)), TIMEOUT);
    });
    this.opened.catch(() => {});
    this.socket.addEventListener("message", ({ data }) => { this.#frames.push(data); this.#settle(); });
  }

  #settle() { for (const check of [...this.#waiting]) check(); }

  /** The first frame for which `wanted` returns something. */
  next(wanted) {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => done(() => reject(new Fault(`Nothing came back within ${duration(TIMEOUT)}.`))), TIMEOUT);
      const done = (settle) => { clearTimeout(late); this.#waiting = this.#waiting.filter((c) => c !== check); settle(); };
      const check = () => {
        const found = this.#frames.map(wanted).find(Boolean);
        if (found) done(() => resolve(found));
        else if (this.closed) done(() => reject(this.closed));
      };
      this.#waiting.push(check);
      check();
    });
  }

  close() { this.socket.close(1000); }
}

const json = (type) => (data) => { try { const f = JSON.parse(data); return f.type === type ? f : null; } catch { return null; } };

const STEPS = [
  ["HTTP", async () => {
    const began = performance.now();
    let response;
    try {
      response = await fetch(`${server}/console/config.js`, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT) });
    } catch (error) {
      throw new Fault(`The server does not answer: ${error.message}.`, navigator.onLine ? cure("connection_refused") : "This device is offline.");
    }
    if (!response.ok) throw new Fault(`The server answers ${response.status}.`, "Something in front of roomspa answers in its place, or the console was switched off.");
    return `The server answers in ${duration(performance.now() - began)}.`;
  }],
  ["WebSocket", async (d) => {
    const line = await d.open("/ws/test/");
    const text = `roomspa ${Math.random()}`, began = performance.now();
    line.socket.send(text);
    await line.next((data) => data === text);
    line.close();
    return `Opened in ${duration(line.openedAfter)}; an echo takes ${duration(performance.now() - began)}.`;
  }],
  ["Greeting", async (d) => {
    const line = await d.open("/ws/test/", { greet: 1 });
    const before = Date.now() - (performance.now() - line.began) + line.openedAfter, { replica, time, ref } = await line.next(json("greeting"));
    line.close();
    d.skew = new Date(time) - (before + Date.now()) / 2;
    return `Replica ${replica} answers, reference ${ref}.`;
  }],
  ["Clock", async (d) => {
    const ahead = Math.round(d.skew), text = `The server's clock is ${Math.abs(ahead) < 1000 ? "within a second of" : `${duration(Math.abs(ahead))} ${ahead > 0 ? "ahead of" : "behind"}`} this device's.`;
    return Math.abs(ahead) > 5000 ? { warn: `${text} Tokens are judged by the server's clock.` } : text;
  }],
  ["Subprotocol", async (d) => {
    const line = await d.open("/ws/test/", {}, ["bearer", "roomspa"]);
    line.close();
    if (line.socket.protocol !== "bearer") throw new Fault(`The server chose ${JSON.stringify(line.socket.protocol)}, not "bearer".`, "A proxy changes Sec-WebSocket-Protocol. Configure it to forward the header unchanged in both directions.");
    return "The subprotocol bearer came back, so a token can travel outside of the URL.";
  }],
  ["Token", async (d) => {
    if (!d.session) throw new Fault("No side is signed in.", "Sign in, or paste a token, to go on.");
    d.token = await d.session.getToken();
    const head = decode(d.token, 0), claims = decode(d.token);
    if (!head || !claims) throw new Fault("The token is not a JWT.", cure("malformed"));
    const left = claims.exp * 1000 - Date.now() - d.skew;
    if (claims.token_type && claims.token_type !== "access") throw new Fault(`The token is of the type ${claims.token_type}.`, cure("wrong_type"));
    if (!claims.exp) throw new Fault("The token has no exp.", cure("missing_exp"));
    if (left < -5000) throw new Fault(`The token expired ${duration(-left)} ago, by the server's clock.`, cure("token_expired"));
    return `${head.alg}, user ${claims.user_id}, ${duration(left)} left. Only the server can verify the signature.`;
  }],
  ["Handshake", async (d) => {
    const { customer, therapist } = d.room;
    if (!customer || !therapist) throw new Fault("The room has no ids.", "Give the ids of the customer and the therapist above.");
    const line = (d.line = await d.open(`/ws/chat/${customer}/${therapist}/`, {}, ["bearer", d.token]));
    const { ref, last_seq: last } = await line.next(json("connected"));
    return `Connected to room ${customer}/${therapist} in ${duration(performance.now() - line.began)}, reference ${ref}, last message ${last}.`;
  }],
  ["There and back", async (d) => {
    const id = `console-${Math.random().toString(36).slice(2)}`, began = performance.now();
    d.line.socket.send(JSON.stringify({ type: "probe", id }));
    await d.line.next((data) => data.includes(id) && json("probe")(data));
    const took = performance.now() - began;
    d.line.close();
    return took > 1000 ? { warn: `A probe took ${duration(took)} through Redis and back. Expect messages to be as slow.` } : `A probe came back through Redis in ${duration(took)}. Nothing was stored.`;
  }],
];

export function showDiagnosis(journal, sides, room) {
  const list = $("steps"), verdict = $("verdict"), button = $("diagnose"), copy = $("copy-diagnosis");
  let report = "";
  button.addEventListener("click", async () => {
    button.disabled = true;
    copy.hidden = true;
    list.replaceChildren();
    verdict.textContent = "Diagnosing…";
    const began = performance.now();
    const fault = await run(journal, { room: room(), session: (sides.find((s) => s.session && s.active) ?? sides.find((s) => s.session))?.session }, list);
    verdict.textContent = fault ?? `All ${STEPS.length} steps passed in ${duration(performance.now() - began)}.`;
    verdict.className = fault ? "fault" : "fine";
    report = [`roomspa console ${config.version}, ${new Date().toISOString()}, ${navigator.userAgent}`, server, ...[...list.children].map((li) => li.textContent), verdict.textContent].join("\n");
    copy.hidden = !navigator.clipboard;
    button.disabled = false;
  });
  copy.addEventListener("click", () => navigator.clipboard.writeText(report).then(() => { copy.textContent = "Copied"; }));
}

/** Runs the steps, and returns what is wrong, or null. */
async function run(journal, d, list) {
  const Socket = journal.watched(null);
  d.open = (...args) => open(Socket, ...args);
  for (const [name, step] of STEPS) {
    const item = h("li", { class: "running" }, h("strong", { text: name }), " ", h("span", { text: "…" }));
    list.append(item);
    const began = performance.now();
    const settle = (kind, text) => {
      item.className = kind;
      item.replaceChildren(h("strong", { text: name }), " ", h("span", { class: "took", text: duration(performance.now() - began) }), " ", text);
    };
    try {
      const result = await step(d);
      settle(result.warn ? "warn" : "ok", result.warn ?? result);
    } catch (error) {
      const fault = toFault(error);
      settle("bad", fault.message);
      d.line?.close();
      return `${name}: ${fault.message} ${fault.advice ?? ""}`;
    }
  }
  return null;
}

/** Opens a WebSocket. If it does not open, an ordinary request tells why. */
async function open(Socket, path, query, protocols) {
  const line = new Line(Socket, path, query, protocols);
  try {
    return await line.opened;
  } catch (event) {
    if (event instanceof Fault || event.code !== 1006) throw event;
    throw await askWhy(path);
  }
}

async function askWhy(path) {
  let response, problem;
  try {
    response = await fetch(server + path, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT) });
    problem = await response.json().catch(() => ({}));
  } catch (error) {
    return new Fault(`The handshake failed, and so did an ordinary request: ${error.message}.`, cure("connection_refused"));
  }
  if (response.status === 426) return new Fault("The WebSocket handshake failed, although ordinary requests arrive.",
    `${cure("upgrade_stripped")} If it does, the origin ${location.origin} may be refused: ${cure("origin_refused")}`);
  return new Fault(`The handshake failed. An ordinary request is answered with ${response.status} ${problem.code ?? ""}: ${problem.detail ?? "not by roomspa"}`,
    cure(problem.code) || cure({ 502: "bad_gateway", 503: "no_ready_replica", 504: "gateway_timeout", 404: "wrong_path_prefix" }[response.status]));
}

function toFault(error) {
  if (error instanceof CloseEvent) {
    const c = explainClose(error.code, error.reason);
    return new Fault(`Closed with ${error.code} ${c.word}: ${c.means}${c.ref ? ` Reference ${c.ref}.` : ""}`, cure(c.word) || c.client);
  }
  if (error instanceof Fault) return error;
  return new Fault(error.code ? `${error.code}: ${error.detail ?? explainWord(error.code)}` : error.message, cure(error.code));
}
