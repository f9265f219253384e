/** What Node 18 and 20 lack of the platforms that the client is for. `node --import ./test/platform.js` adds it to an app. */
import { webcrypto } from "node:crypto";
import { WebSocket } from "../node/websocket.js";

globalThis.crypto ??= webcrypto;
globalThis.WebSocket ??= WebSocket;
