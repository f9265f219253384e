/** Helpers for elements. Texts become text nodes: nothing here parses HTML. */

/** Makes an element. `on…` are listeners, `text` is the text content. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "text") element.textContent = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const $ = (id) => document.getElementById(id);

/** Text that only screen readers get. */
export const hidden = (text) => h("span", { class: "vh", text });

/** The server, from the address of the page. */
export const server = new URL("..", document.baseURI.replace(/\/console$/, "/console/")).href.replace(/\/$/, "");

export const socketURL = (path, query = {}) => {
  const url = new URL(server + path);
  url.protocol = url.protocol.replace("http", "ws");
  url.search = new URLSearchParams({ v: 1, ...query });
  return url.href;
};

export function duration(ms) {
  if (!Number.isFinite(ms)) return "";
  if (ms < 0.1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(s % 60)} s`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} d`;
}

/** Joins texts to sentences: each gets its full stop. */
export const sentences = (...texts) => texts.filter(Boolean).map((text) => (/[.!?…]$/.test(text) ? text : `${text}.`)).join(" ");

export const clock = (at) => new Date(at).toLocaleTimeString([], { hour12: false });

/** The claims of a JWT, not verified, or null. */
export function decode(token, part = 1) {
  try {
    const bytes = atob(token.split(".")[part].replace(/-/g, "+").replace(/_/g, "/"));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(bytes, (c) => c.charCodeAt(0))));
  } catch {
    return null;
  }
}

/** Keeps the newest `limit` children. */
export function trim(list, limit) {
  while (list.childElementCount > limit) list.lastElementChild.remove();
}
