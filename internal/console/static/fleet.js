/** The console of the ops listener: the fleet, as one replica sees it. */
import { config } from "./config.js";
import { $, duration, h, sentences, server } from "./dom.js";
import { cure, explainClose, explainWord } from "./words.js";
import { showStory } from "./story.js";

const EVERY = 2000;
let token = sessionStorage.getItem("ops-token") ?? "";
let barred = false; // /debug/ refuses

class Refusal extends Error {}

const absent = new Set(); // paths that this release does not have

async function get(path) {
  const [name] = path.split("?");
  if (absent.has(name)) return null;
  const response = await fetch(server + path, { cache: "no-store", headers: token ? { Authorization: `Bearer ${token}` } : {} });
  const text = await response.text();
  const type = response.headers.get("Content-Type") ?? "";
  const body = type.includes("json") ? JSON.parse(text) : text;
  if (response.ok || path === "/readyz") return body;
  if (response.status === 404 && body.code === "no_such_path") return void absent.add(name);
  throw Object.assign(new Refusal(body.detail ?? `${response.status}`), { status: response.status, code: body.code });
}

/** A table. Rows are arrays of texts and elements. */
function table(caption, heads, rows) {
  if (!rows.length) return h("p", { class: "hint", text: `${caption}: none.` });
  const cell = (content) => h("td", { class: typeof content === "string" && content.length > 30 && "long" }, content ?? "");
  return h("table", {}, h("caption", { text: caption }), h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col", text })))),
    h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map(cell)))));
}

/** Draws into a part of the page, unless that would take a focus or a selection away. */
function draw(id, ...parts) {
  const part = $(id);
  if (part.contains(document.activeElement) || (getSelection()?.type === "Range" && part.contains(getSelection().anchorNode))) return;
  part.replaceChildren(...parts);
}

const number = (n) => (n === undefined ? "" : n < 10 ? n.toFixed(1) : String(Math.round(n)));
const bytes = (n) => (n ? `${Math.round(n / 2 ** 20)} MiB` : "");
const reference = (ref) => ref && h("button", { type: "button", class: "ref", text: ref, title: "Explain this reference", onclick: () => explain(ref) });

async function readiness() {
  const r = await get("/readyz");
  $("about").textContent = `Replica ${r.replica}, release ${r.version}: ${r.draining ? "shutting down" : r.ready ? "ready" : "not ready"}.`;
  $("about").className = r.ready ? "fine" : "fault";
  const rows = (r.checks ?? []).map((c) => [c.name, h("span", { class: c.ok ? (c.warning ? "warn" : "fine") : "bad", text: c.ok ? (c.warning ? "warning" : "passes") : `fails since ${time(c.since)}` }),
    c.error ?? c.warning ?? c.detail ?? "", c.advice ?? ""]);
  const warnings = (r.warnings ?? []).map((w) => h("p", { class: "warn", text: sentences(`${w.cause}: ${w.text}`, w.advice) }));
  draw("health", table("Checks of /readyz", ["Check", "State", "What it saw", "What to do"], rows), ...warnings);
  draw("failures", r.failures ? table("Failures of the last 10 minutes", ["What", "Cause", "Whose fault", "Times", "First", "Last", "Last one", "What to do"], r.failures.map((f) =>
    [f.kind, f.cause, f.side, `${f.count}${f.of ? ` of ${f.of}` : ""}`, time(f.first), time(f.last), f.text, f.advice]))
    : h("p", { class: "hint", text: "This release does not list its failures in /readyz: see the closes below." }));
}

const time = (at) => (at ? new Date(at).toLocaleTimeString([], { hour12: false }) : "");

/** The series of a metric: labels and value. */
function series(text, name) {
  const found = [];
  for (const line of text.split("\n")) {
    const [, labels, v] = line.match(new RegExp(`^${name}(?:\\{(.*)\\})? ([0-9.e+]+)`)) ?? [];
    if (v !== undefined) found.push({ ...Object.fromEntries([...(labels ?? "").matchAll(/(\w+)="([^"]*)"/g)].map(([, k, value]) => [k, value])), value: Number(v) });
  }
  return found;
}

/** Adds series up that have the same labels of these names, the largest sum first. */
function sum(all, ...names) {
  const sums = new Map();
  for (const s of all) {
    const key = names.map((name) => s[name] ?? "").join(" ");
    sums.set(key, { ...s, value: s.value + (sums.get(key)?.value ?? 0) });
  }
  return [...sums.values()].filter((s) => s.value > 0).sort((a, b) => b.value - a.value);
}

async function closes() {
  const text = await get("/metrics");
  const rows = sum(series(text, "roomspa_closes_total"), "code", "reason");
  const refused = sum(series(text, "roomspa_handshakes_total").filter((s) => s.outcome !== "accepted"), "endpoint", "reason");
  draw("closes", table("Closed sockets of this replica since its start", ["Code", "Reason", "Times", "Meaning"],
    rows.map((s) => [s.code, s.reason, String(s.value), explainWord(s.reason) || explainClose(Number(s.code), s.reason).means])),
  table("Refused handshakes of this replica since its start", ["Endpoint", "Reason", "Times", "Meaning"],
    refused.map((s) => [s.endpoint ?? "", s.reason ?? "", String(s.value), explainWord(s.reason)])));
  return text;
}

async function replicas(metrics) {
  const top = await get("/debug/top");
  if (!top) {
    const sockets = series(metrics, "roomspa_connections").reduce((sum, s) => sum + s.value, 0);
    return draw("replicas", h("p", { text: `Sockets of this replica: ${sockets}.` }));
  }
  const rates = (r = {}) => [r.messages, r.delivered, r.positions, r.handshakes, r.refusals, r.failures, r.closes].map(number);
  const rows = (top.replicas ?? []).map((r) => [r.replica, r.version, r.draining ? "shutting down" : "serves", String(r.sockets), ...rates(r.per_second),
    `${bytes(r.memory_used_bytes)}${r.memory_limit_bytes ? ` of ${bytes(r.memory_limit_bytes)}` : ""}`]);
  if (rows.length > 1) rows.push(["all", "", "", String(top.sockets), ...rates(top.per_second), ""]);
  const serving = new Set((top.replicas ?? []).map((r) => r.replica)); // a restarted replica has the name of the process before it
  const missing = (top.missing ?? []).map((m) => (serving.has(m.replica) ? h("p", { class: "hint", text: `An earlier process of ${m.replica} is gone: ${m.why}.` })
    : h("p", { class: "bad", text: `${m.replica} does not answer: ${m.why}.` })));
  const slow = top.slow_rooms?.length ? table("Slow rooms", ["Replica", "Room", "What", "Worst", "Times"], top.slow_rooms.map((s) => [s.replica, s.room, s.what, duration(s.worst_ms), String(s.times)])) : "";
  draw("replicas", table("Sockets and rates of each replica", ["Replica", "Release", "State", "Sockets", "Messages/s", "Delivered/s", "Positions/s", "Handshakes/s", "Refusals/s", "Failures/s", "Closes/s", "Memory"], rows), ...missing, slow);
}

async function connections() {
  const { user, room, sort } = $("filter");
  const query = new URLSearchParams(Object.entries({ user: user.value, room: room.value, sort: sort.value, limit: 100 }).filter(([, v]) => v));
  const c = await get(`/debug/connections?${query}`);
  if (!c) return draw("connections", h("p", { class: "hint", text: "This release has no /debug/connections." }));
  draw("connections", h("p", { class: "hint", text: `${c.total} sockets, ${c.connections.length} shown.` }),
    table("Sockets", ["Replica", "User", "Room", "Endpoint", "State", "Age", "Idle", "Round trip", "Queue", "In / out", "Client", "Address", "Reference"],
      c.connections.map((s) => [s.replica, s.user ? `${s.role ?? ""} ${s.user}` : "", s.room, s.endpoint, s.state, duration(s.age_ms), duration(s.idle_ms),
        s.round_trip_ms ? duration(s.round_trip_ms) : "", String(s.queue ?? ""), `${s.received ?? ""} / ${s.sent ?? ""}`, s.client, s.address, s.ref])));
}

async function explain(ref) {
  $("ask").ref.value = ref;
  try {
    const told = await get(`/debug/stories/${ref}`);
    showStory($("story"), told, explain);
  } catch (error) {
    $("story").replaceChildren(h("p", { class: "fault", text: error.message }));
  }
  $("story").scrollIntoView({ block: "nearest" });
}

let running = false;
async function refresh() {
  if (running) return;
  running = true;
  try {
    await readiness();
    const metrics = await closes();
    if (barred) return;
    await replicas(metrics);
    await connections();
  } catch (error) {
    if (error.status === 401 || error.status === 403) bar(error);
    else if (error instanceof Refusal) draw("connections", h("p", { class: "fault", text: error.message }));
    else Object.assign($("about"), { textContent: `This replica does not answer: ${error.message}.`, className: "fault" });
  } finally {
    running = false;
  }
}

/** Asks for the token. */
function bar({ status, message }) {
  barred = true;
  sessionStorage.removeItem("ops-token");
  $("entrance").hidden = false;
  $("token").hidden = status !== 401;
  $("why").textContent = status === 401 ? (token ? "This token is not accepted." : "The connections, the rates and the stories need the token of the replica.") : message;
  for (const id of ["replicas", "connections"]) draw(id, h("p", { class: "hint", text: cure("ops_token_required") || "Needs access to /debug/." }));
  if (status === 401) $("token").token.focus();
}

$("token").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").token.value.trim();
  sessionStorage.setItem("ops-token", token);
  $("token").reset();
  $("entrance").hidden = true;
  barred = false;
  refresh();
});
$("ask").addEventListener("submit", (event) => { event.preventDefault(); explain($("ask").ref.value.trim()); });
$("filter").addEventListener("submit", (event) => { event.preventDefault(); refresh(); });
$("filter").addEventListener("change", refresh);
$("version").textContent = `roomspa ${config.version}.`;
setInterval(() => { if ($("live").checked && document.visibilityState === "visible") refresh(); }, EVERY);
refresh();
