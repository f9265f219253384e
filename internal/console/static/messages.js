/** The messages of a side, with ticks, and the form that sends. */
import { clock, h, hidden } from "./dom.js";
import { explainWord } from "./words.js";

const PAGE = 30;
const TICKS = { pending: ["◷", "being sent"], stored: ["✓", "stored"], delivered: ["✓✓", "delivered"], read: ["✓✓", "read"], failed: ["✗", "refused"] };

const newID = () => [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, "0")).join("");

export class Messages {
  #side;
  #chat = null;
  #own = new Map(); // elements by client_message_id
  #shown = new Map(); // messages by seq, with their element
  #older = null;
  #unread = 0;

  constructor(side) {
    this.#side = side;
    this.more = h("button", { type: "button", class: "more", text: "Earlier messages", hidden: true, onclick: () => this.#loadOlder() });
    this.list = h("ol", { class: "messages" });
    this.box = h("div", { class: "scroll", role: "log", "aria-label": `Messages of side ${side.name}`, tabindex: 0 }, this.list);
    this.note = h("p", { class: "typing", "aria-live": "polite" });
    this.fault = h("p", { class: "fault", role: "alert" });
    this.element = h("div", { class: "messages-box", hidden: true }, this.more, this.box, this.note, this.#composer(), this.fault);
  }

  #composer() {
    this.form = h("form", { class: "composer", "aria-label": `Write as side ${this.#side.name}`, onsubmit: (e) => this.#submit(e) },
      h("label", { class: "grow" }, hidden("Message "), h("input", { name: "text", autocomplete: "off", placeholder: "Message", oninput: (e) => this.#chat?.typing(e.target.value !== "") })),
      h("button", { class: "primary", text: "Send" }),
      h("details", { class: "extras" }, h("summary", { text: "Type and metadata" }),
        h("label", {}, "Type ", h("select", { name: "type" }, ["text", "image", "file", "location"].map((type) => h("option", { text: type })))),
        h("label", {}, "Metadata (JSON) ", h("textarea", { name: "metadata", rows: 2, spellcheck: "false", placeholder: '{"url": "https://…", "width": 800}' }))));
    return this.form;
  }

  /** Shows a chat, in place of the one before. */
  follow(chat) {
    this.#chat = chat;
    this.#begin();
    chat.on("message", (message) => this.#add(message));
    chat.on("receipt", () => this.#receipts());
    chat.on("typing", (frame) => this.typing(frame.is_typing ? frame.user_id : null));
    chat.on("state", ({ state, connected }) => state === "live" && this.#live(connected));
    chat.on("reset", () => this.#begin());
  }

  #begin() {
    this.list.replaceChildren();
    this.#own.clear();
    this.#shown.clear();
    this.#older = this.#chat.history({ limit: PAGE });
    this.#loadOlder();
  }

  async #loadOlder() {
    const { list, box } = this, chat = this.#chat, before = box.scrollHeight - box.scrollTop;
    this.more.disabled = true;
    try {
      for (let n = 0; n < PAGE; n++) {
        const { value, done } = await this.#older.next();
        if (chat !== this.#chat) return;
        this.more.hidden = Boolean(done);
        if (done) break;
        list.prepend(this.#make(value));
      }
      box.scrollTop = box.scrollHeight - before;
      this.#receipts();
    } catch (error) {
      if (chat === this.#chat && chat.state !== "over") this.fault.textContent = `History: ${error.detail ?? error.message}`;
    } finally {
      this.more.disabled = false;
    }
  }

  #live({ unread = 0 }) {
    this.#count(unread);
    this.#receipts();
    this.read();
  }

  /** Says that everything was read, if the user is on this side. */
  read() {
    if (!this.#side.active || !this.#unread || this.#chat?.state !== "live") return;
    this.#chat.markRead();
    this.#count(0); // the server confirms it within a second
  }

  #count(unread) {
    this.#unread = unread;
    this.#side.unread(unread);
  }

  // --- Messages

  #add(message) {
    const pending = this.#own.get(message.client_message_id), element = this.#make(message);
    if (pending) pending.remove();
    this.#own.delete(message.client_message_id);
    const { list, box } = this, atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 80;
    const unconfirmed = list.querySelector("li:not([data-seq])");
    if (unconfirmed) unconfirmed.before(element);
    else list.append(element);
    if (atEnd || this.#isOwn(message)) box.scrollTop = box.scrollHeight;
    if (!this.#isOwn(message) && message.sender_role !== undefined) this.#count(this.#unread + 1);
    this.read();
    this.#tick(element, message);
  }

  #isOwn({ sender_id: sender }) { return sender === this.#side.session?.user; }

  #make(message) {
    const own = this.#isOwn(message), { seq, sender_role: role, sender_id: sender, message_type: type, metadata, timestamp } = message;
    const element = h("li", { class: own ? "message own" : "message", "data-seq": seq },
      h("span", { class: "who", text: own ? "you" : `${role} ${sender || ""}` }),
      type && type !== "text" && h("span", { class: "type", text: type }),
      h("span", { class: "text", text: message.message || "(deleted)" }),
      metadata && h("details", {}, h("summary", { text: "metadata" }), h("pre", { text: JSON.stringify(metadata, null, 2) })),
      h("span", { class: "meta" }, h("time", { datetime: timestamp, text: timestamp ? clock(timestamp) : "" }), seq ? ` · ${seq} ` : " ", h("span", { class: "tick" })));
    if (seq) this.#shown.set(seq, { message, element });
    return element;
  }

  #tick(element, message, status) {
    if (!this.#isOwn(message)) return;
    const { read_seq: read = 0, delivered_seq: delivered = 0 } = this.#chat.peer;
    status ??= !message.seq ? "pending" : message.seq <= read ? "read" : message.seq <= delivered ? "delivered" : "stored";
    const tick = element.querySelector(".tick");
    if (tick.dataset.status === status) return;
    tick.dataset.status = status;
    tick.title = TICKS[status][1];
    tick.replaceChildren(h("span", { "aria-hidden": "true", text: TICKS[status][0] }), hidden(TICKS[status][1]));
  }

  #receipts() {
    const { read_seq: read } = this.#chat.own;
    let unread = 0;
    for (const { message, element } of this.#shown.values()) {
      this.#tick(element, message);
      if (!this.#isOwn(message) && message.seq > read && message.message) unread++;
    }
    const known = this.more.hidden || Math.min(...this.#shown.keys()) <= read + 1; // else more are unread than are shown
    if (this.#shown.size) this.#count(known ? unread : Math.max(unread, this.#unread));
  }

  /** Shows who types, or that nobody does. */
  typing(user) { this.note.textContent = user ? `${user === this.#chat?.peer.id ? "The other side" : `User ${user}`} types…` : ""; }

  // --- Sending

  #submit(event) {
    event.preventDefault();
    const { text, type, metadata } = this.form;
    this.fault.textContent = "";
    let extra;
    try {
      extra = metadata.value.trim() ? JSON.parse(metadata.value) : undefined;
    } catch (error) {
      this.fault.textContent = `The metadata is not JSON: ${error.message}`;
      return metadata.focus();
    }
    if (!text.value) return;
    this.#send(text.value, { type: type.value === "text" ? undefined : type.value, metadata: extra });
    text.value = metadata.value = "";
    type.value = "text";
    text.focus();
  }

  async #send(text, { type, metadata }) {
    const id = newID(), chat = this.#chat;
    const message = { sender_id: this.#side.session.user, message: text, message_type: type, metadata, client_message_id: id };
    const element = this.#make(message);
    element.classList.add("pending");
    this.#own.set(id, element);
    this.list.append(element);
    this.box.scrollTop = this.box.scrollHeight;
    this.#tick(element, message);
    try {
      message.seq = (await chat.send(text, { id, type, metadata })).seq;
      element.classList.remove("pending");
      this.#tick(element, message); // its chat_message may come later: while Redis is away, for instance
    } catch (error) {
      if (chat !== this.#chat) return;
      element.classList.add("failed");
      this.#tick(element, message, "failed");
      this.fault.textContent = `Not sent: ${error.code}. ${error.detail ?? explainWord(error.code)}`;
    }
  }
}
