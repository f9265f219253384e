/** The log of frames, newest first. */
import { $, clock, h, trim } from "./dom.js";
import { describe } from "./words.js";

const SHOWN = 300;
const ARROWS = { dial: ["○", "opens"], open: ["○", "opened"], sent: ["→", "sent"], received: ["←", "received"], close: ["✕", "closed"] };

export function showFrames(journal, sides) {
  const list = $("log"), { type, side, pause, clear } = $("filter");
  const types = new Set();
  for (const s of sides) side.append(h("option", { value: s.name, text: s.name }));

  const matches = (entry) => (!type.value || entry.type === type.value) && (!side.value || entry.side?.name === side.value);
  const add = (entry) => {
    if (!types.has(entry.type)) {
      types.add(entry.type);
      const sorted = [...types].sort(), chosen = type.value;
      type.replaceChildren(h("option", { value: "", text: "all" }), ...sorted.map((t) => h("option", { value: t, text: t === "close" ? "close" : t })));
      type.value = chosen;
    }
    if (pause.checked || !matches(entry)) return;
    list.prepend(item(entry));
    trim(list, SHOWN);
  };
  const redraw = () => list.replaceChildren(...journal.entries.filter(matches).slice(-SHOWN).reverse().map(item));

  journal.addEventListener("entry", ({ detail }) => add(detail));
  for (const input of [type, side, pause]) input.addEventListener("change", redraw);
  clear.addEventListener("click", () => { journal.clear(); redraw(); });
}

function item(entry) {
  const { kind, side, socket, frame, raw, at } = entry;
  const [arrow, verb] = ARROWS[kind];
  const line = [
    h("time", { text: clock(at) }), h("span", { class: "who", text: side ? side.label : "diagnosis" }),
    h("span", { class: "endpoint", text: socket.path.split("/")[2] }),
    h("span", { class: "arrow", title: verb, "aria-label": verb, text: arrow }), h("code", { text: entry.frame?.type ?? entry.type }),
    h("span", { class: "words", text: describe(entry) }),
  ];
  const bad = kind === "close" && entry.code !== 1000 ? " bad" : frame?.type === "error" ? " bad" : "";
  if (!frame && !raw) return h("li", { class: kind + bad }, h("div", { class: "line" }, line));
  return h("li", { class: kind + bad }, h("details", {}, h("summary", { class: "line" }, line), h("pre", { text: frame ? JSON.stringify(frame, null, 2) : raw })));
}
