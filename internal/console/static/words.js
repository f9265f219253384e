/** What frames and closes mean, in words. Codes and causes are in the tables of the server (config.js). */
import { words } from "./config.js";
import { duration } from "./dom.js";

/** Splits a close reason into the word and the reference. */
export function splitReason(reason = "") {
  const [word, ref] = reason.split(" ref=");
  return { word, ref };
}

/** Explains a close: what it means, and what a client does then. */
export function explainClose(code, reason = "") {
  const { word, ref } = splitReason(reason);
  const standard = code === 4012 || code === 4013 ? code - 3000 : code;
  const known = words.closes.find((c) => c.code === standard && c.reason === word) ?? words.closes.find((c) => c.code === standard && !word);
  const means = known?.means ?? words.causes[word]?.means ?? words.codes[code] ?? "No table has this code.";
  return { word: word || known?.reason || "", ref, means, client: known && known.client !== "Nothing." ? known.client : "" };
}

/** Explains a word of an error frame or a problem document. */
export const explainWord = (word) => words.causes[word]?.means ?? "";
export const cure = (word) => words.causes[word]?.cure ?? "";

const upTo = ({ seq, user_id }) => `${user_id ? `User ${user_id}` : "This side"} has %s all messages up to ${seq}.`;
const place = ({ latitude, longitude }) => `${Number(latitude).toFixed(5)}, ${Number(longitude).toFixed(5)}`;

const sent = {
  chat_message: (f) => `Sends a message of ${[...f.message ?? ""].length} characters.`,
  delivered: (f) => upTo(f).replace("%s", "received"),
  read: (f) => upTo(f).replace("%s", "read"),
  typing: (f) => (f.is_typing ? "Says that the user types." : "Says that the user has stopped typing."),
  history: () => "Asks for a page of earlier messages.",
  auth: () => "Sends a fresh token, so that the socket stays open.",
  ping: () => "Asks whether the connection is alive.",
  probe: () => "Sends a probe through Redis and back.",
  location_update: (f) => `Sends the position ${place(f)}.`,
};

const received = {
  connected: (f) => `The handshake is complete. ${f.last_seq === undefined ? "" : `The last message is ${f.last_seq}, unread ${f.unread ?? 0}. `}${
    f.peer?.online === undefined ? "" : `The other side is ${f.peer.online ? "online" : "offline"}.`}`,
  resumed: (f) => (f.reset ? "The database was restored: all messages are read anew."
    : f.to_seq < f.from_seq ? "Resumed: nothing was missed." : `Resumed: messages ${f.from_seq} to ${f.to_seq} were sent again.`),
  chat_message: (f) => `Message ${f.seq} of ${f.sender_role} ${f.sender_id}${f.message_type === "text" ? "" : `, of type ${f.message_type}`}.`,
  ack: (f) => `Message ${f.seq} is stored${f.duplicate ? "; it was stored before" : ""}${f.differs ? ", with other content" : ""}.`,
  history: (f) => `A page of ${f.messages?.length ?? 0} earlier messages.`,
  typing: (f) => `User ${f.user_id} ${f.is_typing ? "types" : "has stopped typing"}.`,
  presence: (f) => `User ${f.user_id} is ${f.online ? "online" : "offline"}.`,
  delivered: (f) => upTo(f).replace("%s", "received"),
  read: (f) => upTo(f).replace("%s", "read"),
  pong: () => "The connection is alive.",
  probe: () => "The probe came back through Redis.",
  token_expiring: (f) => `The token ends in ${f.expires_in ?? 30} s. The client sends a fresh one, if it has one.`,
  location_update: (f) => `Position of ${f.role} ${f.user_id}: ${place(f)}.`,
  reconnect: (f) => `The server closes the socket (${f.reason}: ${explainWord(f.reason)}). Come back in ${duration(f.after_ms)}.`,
  error: (f) => `${f.code}: ${explainWord(f.code)}${f.detail ? ` (${f.detail})` : ""}${f.close ? ` Close ${f.close} follows.` : ""}`,
  greeting: (f) => `Replica ${f.replica} answers.`,
  conversation: (f) => `Conversation of customer ${f.customer_id} and therapist ${f.therapist_id}: last message ${f.last_seq}, unread ${f.unread}.`,
  inbox_complete: () => "All conversations were sent.",
};

export const frameTypes = [...new Set([...Object.keys(sent), ...Object.keys(received)])];

/** Says in a sentence what an entry of the journal is. */
export function describe(entry) {
  const { kind, frame, code, reason, clean } = entry;
  switch (kind) {
    case "dial": return `Opens a socket${entry.query?.has("since") ? `, to resume after message ${entry.query.get("since")}` : ""}.`;
    case "open": return "The server has accepted the WebSocket (101). The handshake goes on.";
    case "close": {
      const c = explainClose(code, reason);
      return `Closed with ${code}${c.word ? ` ${c.word}` : ""}${clean ? "" : ", not cleanly"}: ${c.means}${c.client ? ` A client: ${c.client}` : ""}`;
    }
  }
  const say = (kind === "sent" ? sent : received)[frame?.type] ?? (kind === "sent" && frame?.message !== undefined && sent.chat_message);
  if (!frame) return "A frame that is not JSON.";
  return say ? say(frame) : "A frame of a type that this page does not know.";
}
