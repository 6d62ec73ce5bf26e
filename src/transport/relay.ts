/** The way to a server through a relay, as `mutls relay` is one. */
import { utf8 } from "../bytes/bytes.ts";
import { RELAY_PROTOCOL, TOKEN_PREFIX } from "./relay-protocol.ts";
import type { ByteStream } from "./stream.ts";
import { type WebSocketStreamOptions, webSocketStream } from "./web-socket.ts";

/** Options of {@link viaRelay}. */
export interface RelayOptions extends Omit<WebSocketStreamOptions, "protocols" | "protocol" | "signal"> {
  /** What the relay wants to see; it goes in Sec-WebSocket-Protocol. */
  readonly token?: string | undefined;
}

/** Opens a byte stream to a host's port; `host` is a name or an address, without brackets. */
export type StreamConnector = (host: string, port: number, signal?: AbortSignal) => ByteStream;

/**
 * Opens byte streams to any server that a relay allows: TLS in them is end to end, the relay sees none of what they carry.
 *
 * @param relay - Its WebSocket URL, such as `wss://relay.example`.
 * @example
 * ```ts
 * import { WebSocket } from "ws"; // browsers, Deno, Bun, Workers and Node 22 have one of their own
 *
 * const open = viaRelay(relay, { WebSocket });
 * const session = await connect(open("localhost", port), { serverName: "localhost", trust: ca });
 * console.log(session.peer?.commonName); // localhost
 * await session.close();
 * ```
 */
export function viaRelay(relay: string | URL, { token, ...options }: RelayOptions = {}): StreamConnector {
  const tokens = token === undefined ? [] : [TOKEN_PREFIX + base64url(utf8(token))];
  return (host, port, signal) => {
    const url = new URL(relay);
    url.searchParams.set("to", host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);
    return webSocketStream(url, { ...options, protocols: [RELAY_PROTOCOL, ...tokens], signal });
  };
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replace(/[+/=]/g, (char) => ({ "+": "-", "/": "_" })[char] ?? "");
}
