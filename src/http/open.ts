/** From an origin to a connection on which HTTP/1.1 can be spoken. */
import { fault } from "../errors.ts";
import type { Awaitable } from "../flow.ts";
import { openClient } from "../transport/establish.ts";
import { type ByteStream, ignore } from "../transport/stream.ts";
import { quietTimers } from "../transport/timers.ts";
import { HttpConnection, type Patience } from "./connection.ts";
import { generationOf, type Prepared } from "./contexts.ts";
import { HttpError } from "./errors.ts";
import type { HeadLimits } from "./head.ts";

/**
 * Opens a byte stream to a host's port.
 *
 * @param host - A name, or an address without brackets.
 * @param signal - Aborted when the request is, or it takes too long.
 */
export type Connector = (host: string, port: number, signal: AbortSignal) => Awaitable<ByteStream>;

const HTTPS_PORT = 443;
const ALPN = "http/1.1";

/** @param connectTimeout - ms for `connect` and the handshake together; 0: any time. */
export async function openConnection(
  url: URL,
  connect: Connector,
  { context, session }: Prepared,
  limits: HeadLimits & Patience & { readonly connectTimeout: number },
  signal: AbortSignal | undefined,
): Promise<HttpConnection> {
  const { connectTimeout } = limits;
  const ending = new AbortController();
  const onAbort = () => ending.abort(signal?.reason);
  signal?.addEventListener("abort", onAbort);
  if (signal?.aborted) onAbort();
  const late = () => ending.abort(new HttpError("ERR_HTTP_TIMEOUT", `no connection in ${connectTimeout} ms`));
  const timer = connectTimeout > 0 ? quietTimers.set(late, connectTimeout) : undefined;
  try {
    const generation = generationOf(context);
    const stream = await streamTo(url, connect, ending.signal);
    const entry = { prepare: () => context, provider: unneeded };
    const opened = await openClient(stream, context, { handshakeTimeout: 0, ...session, signal: ending.signal }, entry);
    if (opened.alpn !== undefined && opened.alpn !== ALPN) {
      const error = new HttpError(
        "ERR_HTTP_PROTOCOL",
        `the server chose ${opened.alpn}: HTTP/1.1 is all there is here`,
      );
      opened.abort(error);
      throw error;
    }
    return new HttpConnection(opened, generation, limits);
  } catch (error) {
    throw ending.signal.aborted ? ending.signal.reason : error;
  } finally {
    // From now on the exchange is what is aborted: the connection outlives it.
    signal?.removeEventListener("abort", onAbort);
    quietTimers.clear(timer);
  }
}

async function streamTo({ hostname, port }: URL, connect: Connector, signal: AbortSignal): Promise<ByteStream> {
  const aborted = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  aborted.catch(ignore);
  const opening = (async () => connect(hostOf(hostname), port === "" ? HTTPS_PORT : Number(port), signal))();
  try {
    return await Promise.race([aborted, opening]);
  } catch (cause) {
    if (signal.aborted) {
      // It comes too late for anybody to use it.
      void opening.then(discard, ignore);
      throw cause;
    }
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new HttpError("ERR_HTTP_CONNECT", `no connection to ${hostname}: ${message}`, { cause });
  }
}

function discard({ readable, writable }: ByteStream): void {
  writable.abort().catch(ignore);
  readable.cancel().catch(ignore);
}

/** Without the brackets of an IPv6 address. */
export function hostOf(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}

function unneeded(): never {
  throw fault("ERR_TLS_INTERNAL", "a context has a provider");
}
