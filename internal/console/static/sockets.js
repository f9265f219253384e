/** The story of each socket of the page, as far as a client sees it, as a timeline. */
import { words } from "./config.js";
import { $, clock, duration, h } from "./dom.js";
import { explainClose, cure } from "./words.js";

const SHOWN = 12;

export function showSockets(journal) {
  const list = $("timelines");
  let due = false;
  const draw = () => {
    due = false;
    const open = new Set([...list.querySelectorAll("details[open]")].map((d) => d.dataset.id));
    list.replaceChildren(...journal.sockets.slice(0, SHOWN).map((socket, i) => timeline(socket, open.has(String(socket.id)) || (i === 0 && !open.size))));
    if (!list.childElementCount) list.append(h("p", { class: "hint", text: "No socket yet." }));
  };
  journal.addEventListener("entry", ({ detail: { kind, type } }) => {
    if (due || !["dial", "open", "close"].includes(kind) && !["connected", "greeting", "resumed", "error", "reconnect"].includes(type)) return;
    due = true;
    setTimeout(draw, 200);
  });
  draw();
}

function timeline(socket, open) {
  const { id, side, path, at, dialed, opened, ready, ended, ref, code, reason } = socket;
  const state = ended ? `closed with ${code}` : ready ? "open" : "opening";
  const took = (from, to) => (to ? duration(to - from) : "");
  const close = ended ? explainClose(code, reason) : null;
  return h("details", { "data-id": id, open, class: ended && code !== 1000 ? "bad" : "" },
    h("summary", {}, h("time", { text: clock(at) }), ` ${side?.label ?? "diagnosis"} · `, h("code", { text: path }), ` · ${state}${socket.query.has("since") ? `, resumed after message ${socket.query.get("since")}` : ""}`, ref ? h("span", { class: "ref", text: ` · ${ref}` }) : null),
    h("ol", { class: "timeline" },
      event("ok", "opens", "", socket.query.has("since") ? `resumes after message ${socket.query.get("since")}` : "", lastSocket(socket.query)),
      opened ? event("ok", "upgraded (101)", took(dialed, opened), "the way through all proxies is open") : ended ? event("bad", "no upgrade", took(dialed, ended), "the handshake failed before the server could say why") : null,
      steps(socket),
      ready ? event("ok", "connected", took(opened, ready), `the server's part of the handshake${ref ? `, reference ${ref}` : ""}`) : null,
      socket.resumed ? event("ok", "resumed", "", socket.resumed.reset ? "reset" : `messages ${socket.resumed.from_seq} to ${socket.resumed.to_seq}`) : null,
      socket.told?.type === "reconnect" ? event("bad", "asked to leave", "", `${socket.told.reason}, come back in ${duration(socket.told.after_ms)}`) : null,
      ended ? event(code === 1000 ? "ok" : "bad", `close ${code} ${close.word}`, `after ${duration(ended - dialed)}`, `${close.means}${close.client ? ` A client: ${close.client}` : ""}`) : null),
    h("p", { class: "hint", text: `${socket.received} frames received, ${socket.sent} sent.${close && cure(close.word) && code !== 1000 ? ` For operators: ${cure(close.word)}` : ""}` }));
}

const event = (kind, title, took, ...texts) => h("li", { class: kind }, h("strong", { text: title }), h("span", { class: "took", text: took }), " ", texts.filter(Boolean).join("; "));

const lastSocket = (query) => (query.has("last_ref") ? `after the socket ${query.get("last_ref")}, which ended with ${query.get("last_code")}` : "");

/** The steps of the server that are known to be done, and the one that failed. */
function steps({ ready, told, ended, path }) {
  if (path.startsWith("/ws/test/") || (!ready && !told)) return null;
  const failed = told?.type === "error" ? words.failed[told.code] ?? (told.close === 1011 ? "unknown" : null) : null;
  if (!ready && !failed && ended) return null;
  const until = failed ? words.steps.indexOf(failed) : words.steps.length;
  return h("li", { class: failed && !ready ? "bad" : "ok" }, h("span", { class: "steps-done" }, words.steps.map((name, i) =>
    [h("span", { class: ready || i < until ? "ok" : i === until ? "bad" : "open", text: name }), " "]).flat()), failed && !ready ? ` ${told.code}: ${told.detail ?? ""}` : "");
}
