/** One side of the room: who it is, its connection, and its chat. */
import { Roomspa } from "./roomspa.js";
import { clock, decode, duration, h, sentences, server } from "./dom.js";
import { explainClose, explainWord } from "./words.js";
import { withPassword, withToken } from "./session.js";
import { Messages } from "./messages.js";

const STATES = { idle: "not connected", connecting: "connecting…", live: "live", waiting: "waiting", over: "closed" };

export class Side extends EventTarget {
  session = null;
  token = null; // the newest one
  chat = null;
  location = null;
  #roomspa = null;
  #retryAt = 0;

  constructor(name, journal) {
    super();
    this.name = name;
    this.journal = journal;
    this.messages = new Messages(this);
    this.element = h("article", { class: "side", "aria-label": `Side ${name}`, id: `side-${name}` },
      this.#head(), this.#signIn(), this.messages.element);
    this.element.addEventListener("focusin", () => this.activate());
    this.element.addEventListener("pointerdown", () => this.activate());
    this.#show();
    setInterval(() => this.#tick(), 1000);
  }

  get label() { return this.session ? `${this.session.role ?? "user"} ${this.session.user}` : `side ${this.name}`; }

  // --- What it looks like

  #head() {
    this.title = h("h3", { text: `Side ${this.name}` });
    this.badge = h("span", { class: "badge", hidden: true });
    this.out = h("button", { type: "button", text: "Sign out", hidden: true, onclick: () => this.signOut() });
    this.state = h("span", { class: "state", role: "status" });
    this.peer = h("span", { class: "peer", "aria-live": "polite" });
    this.expiry = h("span", { class: "expiry" });
    this.again = h("button", { type: "button", text: "Connect again", hidden: true, onclick: () => this.chat?.connect() });
    return h("div", { class: "head" }, h("div", { class: "bar" }, this.title, this.badge, this.out),
      h("p", {}, this.state, " ", this.again), h("p", { class: "about" }, this.peer, " ", this.expiry));
  }

  #signIn() {
    this.fault = h("p", { role: "alert", class: "fault" });
    this.form = h("form", { class: "stack", "aria-label": `Sign in on side ${this.name}`, onsubmit: (e) => this.#submit(e, () => withPassword(this.form.identifier.value, this.form.password.value)) },
      h("label", {}, "E-mail or phone ", h("input", { name: "identifier", autocomplete: "off", required: true })),
      h("label", {}, "Password ", h("input", { name: "password", type: "password", autocomplete: "off", required: true })),
      h("button", { class: "primary", text: "Sign in" }));
    this.tokenForm = h("form", { class: "stack", "aria-label": `Token of side ${this.name}`, onsubmit: (e) => this.#submit(e, () => withToken(this.tokenForm.token.value)) },
      h("label", {}, "Access token ", h("textarea", { name: "token", rows: 3, required: true, spellcheck: "false", autocomplete: "off" })),
      h("button", { text: "Use this token" }));
    this.entrance = h("div", { class: "entrance" }, this.form, h("details", {}, h("summary", { text: "Or paste a token" }), this.tokenForm), this.fault);
    return this.entrance;
  }

  async #submit(event, enter) {
    event?.preventDefault();
    this.fault.textContent = "";
    this.element.setAttribute("aria-busy", "true");
    try {
      this.session = await this.#patiently(enter);
      this.form.password.value = this.tokenForm.token.value = "";
      this.#show();
      this.dispatchEvent(new Event("session"));
    } catch (error) {
      this.fault.textContent = `Sign-in failed: ${error.code ? `${error.code}. ${error.detail ?? explainWord(error.code)}` : error.message}`;
    } finally {
      this.element.removeAttribute("aria-busy");
    }
  }

  /** Tries again while the server is busy: a password takes it time. */
  async #patiently(enter) {
    for (let attempts = 1; ; attempts++) {
      try {
        return await enter();
      } catch (error) {
        if (error.status !== 503 || attempts === 5) throw error;
        this.fault.textContent = `The server is busy (${error.code}). Trying again…`;
        await new Promise((resolve) => { setTimeout(resolve, 1000 * Math.max(1, error.retryAfter) * (1 + Math.random())); });
        this.fault.textContent = "";
      }
    }
  }

  /** Fills the form in. */
  offer(identifier, password) { Object.assign(this.form.identifier, { value: identifier }), (this.form.password.value = password); }

  signIn() { return this.#submit(null, () => withPassword(this.form.identifier.value, this.form.password.value)); }

  async signOut() {
    this.leave();
    await this.session?.signOut().catch(() => {}); // it ends here in any case
    this.session = this.token = null;
    this.#show();
    this.form.identifier.focus();
    this.dispatchEvent(new Event("session"));
  }

  #show() {
    const { session } = this;
    this.title.textContent = session ? `${session.role ?? "user"} ${session.user ?? "?"} · ${session.name}` : `Side ${this.name}`;
    this.entrance.hidden = Boolean(session);
    this.out.hidden = !session;
    this.messages.element.hidden = !this.chat;
    if (!session) this.#state("idle");
    this.#tick();
  }

  #state(state, text = "") {
    this.state.className = `state ${state}`;
    this.state.textContent = STATES[state] + text;
    this.again.hidden = state !== "over" || !this.chat;
    if (state !== "live") this.messages.typing(null);
  }

  #tick() {
    const { exp } = (this.token && decode(this.token)) || {};
    this.expiry.textContent = exp ? `Token: ${exp * 1000 > Date.now() ? `${duration(exp * 1000 - Date.now())} left` : "expired"}.` : "";
    const left = this.#retryAt - Date.now();
    if (this.chat?.state === "waiting" && left > 0) this.#state("waiting", `, again in ${Math.ceil(left / 1000)} s. ${this.why}`);
  }

  // --- The connection

  /** Opens a room, in place of the one before. */
  enter(customer, therapist) {
    this.leave();
    if (!this.session) return;
    this.#roomspa = new Roomspa({
      url: server, getToken: async (request) => (this.token = await this.session.getToken(request)), WebSocket: this.journal.watched(this),
    });
    this.room = { customer, therapist };
    const { session } = this;
    session.role ??= session.user === customer ? "customer" : session.user === therapist ? "therapist" : null;
    this.chat = this.#roomspa.chat(customer, therapist);
    this.chat.on("state", (event) => this.#stateOf(event));
    this.chat.on("presence", () => this.#showPeer());
    this.messages.follow(this.chat);
    this.location = this.#roomspa.location(customer, therapist);
    this.location.on("position", (position) => this.dispatchEvent(new CustomEvent("position", { detail: position })));
    this.location.on("error", (error) => this.dispatchEvent(new CustomEvent("refused", { detail: error })));
    this.#show();
  }

  leave() {
    this.#roomspa?.close();
    this.#roomspa = this.chat = this.location = null;
    this.peer.textContent = "";
    this.#show();
  }

  #stateOf({ state, code, reason, ref, detail, delay }) {
    this.#retryAt = Date.now() + (delay ?? 0);
    this.why = code ? `Closed with ${code} ${reason ?? ""}: ${explainClose(code, reason).means}` : "";
    if (state === "waiting") this.#state(state, `, again in ${duration(delay)}. ${this.why}`);
    else if (state === "over") this.#state(state, `: ${sentences(`${code} ${reason}`, detail ?? explainClose(code, reason).means, explainClose(code, reason).client, ref && `Reference ${ref}`)}`);
    else this.#state(state);
    if (state === "live") this.#showPeer();
  }

  #showPeer() {
    const { id, online, last_seen: seen } = this.chat?.peer ?? {};
    this.peer.textContent = !id || online === undefined ? "" : `Other side: ${online ? "online" : seen ? `last seen ${clock(seen)}` : "offline"}.`;
    this.peer.classList.toggle("online", Boolean(online));
  }

  /** Shows how many messages the user has not read. */
  unread(count) {
    this.badge.hidden = !count;
    this.badge.textContent = `${count} unread`;
  }

  /** The user is here: what is shown counts as read. */
  activate() {
    for (const side of document.querySelectorAll(".side.active")) side.classList.remove("active");
    this.element.classList.add("active");
    this.messages.read();
  }

  get active() { return this.element.classList.contains("active") && document.visibilityState === "visible"; }
}
