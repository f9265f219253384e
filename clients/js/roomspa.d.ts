/** A WebSocket class as browsers have it. Only the members that the client uses are required. */
export interface WebSocketLike {
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(data: string): void;
  close(code?: number): void;
}

/** Web Locks, as `navigator.locks`. */
export interface LocksLike {
  request(name: string, options: { signal?: AbortSignal }, callback: () => Promise<void>): Promise<void>;
}

/** What is stored of a message that is not acknowledged. */
export interface QueueRecord {
  id: string;
  /** Orders the records of a room. */
  at: number;
  frame: PendingMessage;
}

/**
 * Where messages wait that are not acknowledged, so that they outlive the page. The methods may be asynchronous.
 * Without Web Locks nothing is stored.
 */
export interface QueueStorage {
  /** Returns all records of a key, in any order. */
  load(key: string): QueueRecord[] | Promise<QueueRecord[]>;
  put(key: string, record: QueueRecord): void | Promise<void>;
  /** Removes the record with this id. It may be gone already. */
  remove(key: string, id: string): void | Promise<void>;
}

/** A storage in localStorage, which holds about 5 MB for each origin. Where the browser denies it, nothing is stored. */
export function localQueue(area?: Storage): QueueStorage;

export interface TokenRequest {
  /** A token that must not be returned again: the server refused it, or it is about to expire. */
  refused?: string;
  /** Aborts after 30 s. The request counts as failed then. */
  signal: AbortSignal;
}

export interface RoomspaOptions {
  /** The server, as `https://chat.example.com` or `wss://…`. A path in front of `/ws/` and `/api/` is kept. */
  url: string;
  /**
   * Returns an access token. It is called once at a time, and its token is used until it is refused or about to expire.
   * An error, and no answer within 30 s, are tried again with back-off. Throw one with `final: true`, or return nothing,
   * if the user must sign in.
   */
  getToken(request: TokenRequest): string | null | undefined | Promise<string | null | undefined>;
  /** Keeps unsent messages beyond the page. Default: none. */
  storage?: QueueStorage;
  /**
   * The user's id, part of the key of the storage, so that nobody sends what another user has left. Default: the one in
   * the token. With it, messages are stored even before the first token came.
   */
  user?: number | string;
  /** How many messages may wait for their ack in a room. Default: 1,000. */
  maxQueue?: number;
  /** Defaults: those of the platform. Node has a WebSocket from version 22 on; before, pass that of the package ws. */
  WebSocket?: new (url: string, protocols?: string[]) => WebSocketLike;
  fetch?: typeof fetch;
  locks?: LocksLike;
  /** Where online, pageshow and visibilitychange are listened for. Default: globalThis. */
  window?: any;
  /** For tests: milliseconds of a monotonic clock, and random numbers in [0, 1). */
  now?: () => number;
  random?: () => number;
}

/** One user on one server. A page needs one, since it asks for one token at a time and shares it. */
export class Roomspa {
  constructor(options: RoomspaOptions);
  readonly url: string;
  readonly user: number | string | undefined;
  /** The chat of a room. It connects by itself. A second call returns the same chat until that is closed. */
  chat(customer: number, therapist: number, options?: ChatOptions): Chat;
  /** The live position of both sides of a room. */
  location(customer: number, therapist: number): Location;
  /** All conversations of the user. With `text`, each has the text of its last message. */
  inbox(options?: { text?: boolean }): Inbox;
  /** Looks after all connections at once. Call it when the app is in the foreground again, where there is no `document`. */
  wake(): void;
  /** Closes all connections. */
  close(): void;
  /** A token that is usable and not `refused`. */
  token(refused?: string): Promise<string>;
  /** Calls the HTTP API once: `api("POST", "/api/users/2/block/")`. A refused token is renewed once. */
  api<T = any>(method: string, path: string, body?: object): Promise<T>;
  /** Is `api` until it succeeds or is refused for good. */
  retry<T = any>(method: string, path: string, body?: object, stopped?: () => boolean): Promise<T>;
  /** Says how far a conversation was delivered and read, without a socket: for push handlers and service workers. */
  receipts(conversation: string, cursors: { delivered_seq?: number; read_seq?: number }): Promise<Cursors & { unread: number }>;
}

/** Signs in with a password. The tokens are kept in memory only. */
export function signIn(options: { url: string; identifier: string; password: string; fetch?: typeof fetch }): Promise<{
  user: { id: number; email: string | null; role: "customer" | "therapist" | "support" };
  getToken: RoomspaOptions["getToken"];
  /** Ends this sign-in, or all of the user's. */
  signOut(options?: { everywhere?: boolean }): Promise<void>;
}>;

/** What went wrong. */
export class RoomspaError extends Error {
  /**
   * The protocol's word, such as `blocked` or `too_long`. Words of the client: `closed` (the page closed the chat),
   * `queue_full`, `no_token`, `too_large`, and `http_…` for a status without a word.
   */
  code: string;
  detail?: string;
  /** The reference of the server's log lines. */
  ref?: string | null;
  /** Of an HTTP answer. */
  status?: number;
  /** Seconds. */
  retryAfter?: number;
  /** Trying again would not help. */
  final: boolean;
}

export interface StateEvent {
  state: "connecting" | "live" | "waiting" | "over";
  /** waiting: milliseconds until the next attempt. */
  delay?: number;
  /** waiting, over: the close code, and the reason, reference and explanation of the server. */
  code?: number;
  reason?: string;
  ref?: string | null;
  detail?: string;
  /** live: the frame that the server greeted with. */
  connected?: ConnectedFrame;
}

export interface Cursors { delivered_seq: number; read_seq: number }

export interface ConnectedFrame extends Partial<Cursors> {
  type: "connected";
  ref: string;
  conversation_id?: string;
  first_seq?: number;
  last_seq?: number;
  unread?: number;
  peer?: Peer;
}

export interface Peer extends Cursors { id?: number; online?: boolean; last_seen?: string }

export interface Message {
  type: "chat_message";
  id: string;
  conversation_id: string;
  seq: number;
  sender_id: number;
  sender_role: "customer" | "therapist" | "support";
  /** Empty if it was erased. */
  message: string;
  message_type: string;
  metadata?: Record<string, unknown>;
  client_message_id?: string;
  timestamp: string;
}

export interface PendingMessage {
  type: "chat_message";
  message: string;
  message_type?: string;
  metadata?: Record<string, unknown>;
  client_message_id: string;
}

export interface Ack {
  type: "ack";
  client_message_id: string;
  id: string;
  seq: number;
  timestamp: string;
  duplicate: boolean;
  /** Another text, type or metadata was stored under this id before, and stands. */
  differs?: true;
}

export interface Receipt { type: "delivered" | "read"; conversation_id?: string; user_id: number; seq: number }
export interface Typing { type: "typing"; user_id: number; is_typing: boolean; expires_in_ms?: number }
export interface Presence { type: "presence"; conversation_id?: string; user_id: number; online: boolean; last_seen?: string }
export interface ErrorFrame { type?: "error"; code: string; detail?: string; ref?: string; field?: string; client_message_id?: string; close?: number }
export interface Reset { type: "resumed"; from_seq: number; to_seq: number; first_seq: number; last_seq: number; reset: true }

export interface ConnectionEvents {
  state: StateEvent;
  /** An error frame that is not about a send, and code `storage` if the storage fails. For logs. */
  error: ErrorFrame;
  /** Every frame, for logs and consoles. Tokens are left out. */
  frame: { sent: boolean; frame: any };
}

export interface ChatEvents extends ConnectionEvents {
  /** A message, of either side and of any device: each once, in the order of seq, without a gap. */
  message: Message;
  /** A cursor has grown, of either side. */
  receipt: Receipt;
  /** The other side types, or has stopped. The end is told also if the server does not say it. */
  typing: Typing;
  presence: Presence;
  /** The database was restored or replaced: drop all messages that are shown, and read the history again. */
  reset: Reset;
  /** A message of which no promise is left was refused for good: an earlier page had stored it. */
  failed: { id: string; frame: PendingMessage; code: string; detail?: string; ref?: string | null };
  /** The replay after a reconnect is complete. */
  resumed: { from_seq: number; to_seq: number; first_seq: number; last_seq: number };
}

export interface LocationEvents extends ConnectionEvents {
  position: Required<Pick<Position, "latitude" | "longitude">> & Position & { user_id: number; role: "customer" | "therapist"; timestamp: string };
}

export interface InboxEvents extends ConnectionEvents {
  /** The state of a conversation, which is in `conversations` too. */
  conversation: Conversation;
  /** All conversations were told. */
  complete: { type: "inbox_complete" };
  receipt: Receipt;
  presence: Presence;
}

export interface Conversation {
  conversation_id: string;
  customer_id: number;
  therapist_id: number;
  last_seq: number;
  last_message_at?: string;
  unread: number;
  message?: string;
  online?: boolean;
  last_seen?: string;
}

export interface Position {
  latitude: number;
  longitude: number;
  accuracy?: number | null;
  heading?: number | null;
  speed?: number | null;
  recorded_at?: string;
}

declare class Connection<Events> {
  readonly roomspa: Roomspa;
  readonly state: "idle" | "connecting" | "live" | "waiting" | "over";
  /** Calls the listener for each event of a type. The function that is returned ends that. */
  on<T extends keyof Events>(type: T, listener: (event: Events[T]) => void): () => void;
  /** Starts again after the state `over`, for instance when the user has signed in again. */
  connect(): void;
  /** Ends the connection. Sends that are not acknowledged reject with `closed`; a storage keeps their messages, for a later page or connect(). */
  close(): void;
}

export interface ChatOptions {
  /** Resumes after this message, such as the `position` of an earlier page. Default: what comes from now on. */
  since?: number | null;
  /** The id of that message, by which a restored database is noticed. */
  id?: string | null;
  /** Marks messages as delivered as they come, and as history() yields them. Default: true. */
  delivered?: boolean;
}

export interface SendOptions {
  metadata?: Record<string, unknown>;
  /** text (the default), image, file, location, or a word of the app. */
  type?: string;
  /** The client_message_id. Default: a random one. */
  id?: string;
}

export declare class Chat extends Connection<ChatEvents> {
  /** Null before the first connection. */
  readonly conversation: string | null;
  /** The user's cursors. `unread` is what the server counted at the last connection. */
  readonly own: Cursors & { unread: number };
  readonly peer: Peer;
  /** The messages without an ack, oldest first. */
  readonly pending: PendingMessage[];
  /** The last message that was shown. */
  readonly position: { since: number | null; id: string | null };
  /**
   * Queues a message, and resolves with its ack once it is stored. Messages are stored in the order of the calls. It
   * rejects only if the server refuses the message for good, or if this page will not send it any more.
   */
  send(message: string, options?: SendOptions): Promise<Ack>;
  /** Says that the user has read all messages up to seq. Default: all that were shown. */
  markRead(seq?: number): void;
  /** Says that the user types, or has stopped. Call it with each key: few calls become frames. */
  typing(active?: boolean): void;
  /**
   * Iterates over what was said before the first message event, newest first: so history and events together have each
   * message once. `before` begins before another seq; `limit` is the size of a page. It ends at a reset.
   */
  history(options?: { before?: number; limit?: number }): AsyncGenerator<Message, void, void>;
}

export declare class Location extends Connection<LocationEvents> {
  /** Sends a position. While there is no connection only the newest waits. */
  send(position: Position | GeolocationPosition): void;
}

export declare class Inbox extends Connection<InboxEvents> {
  readonly conversations: Map<string, Conversation>;
  /** Says that the user has read a conversation up to seq. Default: all of it. */
  markRead(conversation: string, seq?: number): Promise<Cursors & { unread: number }>;
}

/** The state of the rules: plain data. See clients/vectors. */
export type State = Record<string, any>;
export function initial(endpoint: "chat" | "location" | "inbox", given?: { since?: number | null; id?: string | null; queue?: object[]; delivered?: boolean }): State;
/** The state after an event, and the actions to perform. A pure function. */
export function step(state: State, event: { type: string; [field: string]: any }, now: number, random: number): [State, { type: string; [field: string]: any }[]];
/** When `step` wants the event `tick`, in the milliseconds of its clock. Infinity for never. */
export function wakeAt(state: State): number;
