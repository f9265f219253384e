/** What Node 18 lacks of the platforms that the client is for. */
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto;
