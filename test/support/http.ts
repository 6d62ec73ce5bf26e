/** HTTP servers over memory that answer what a test tells them to, byte by byte if it likes. */
import { latin1 } from "../../src/bytes/bytes.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import { createFetch, type FetchOptions, type TlsFetch } from "../../src/http/index.ts";
import { accept, clientContext, memoryPair, type ServerConfiguration, type TlsSession } from "../../src/index.ts";
import { type Parties, pemOf } from "./session.ts";

/** What a server has read of one request. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly version: string;
  /** Lower-case names. */
  readonly fields: Readonly<Record<string, string>>;
  /** Up to where its framing says it ends. */
  readonly body: string;
}

/** One connection as the server has it. */
export interface Served {
  readonly session: TlsSession;
  /** From 1. */
  readonly number: number;
  /** The next request; `undefined` at the end. */
  ask(): Promise<Asked | undefined>;
  /** Sends text as it is, one byte for each character. */
  say(text: string): Promise<void>;
  /** close_notify. */
  end(): Promise<void>;
}

/** A fetch and the server that it talks to, whatever the host. */
export interface Site {
  readonly fetch: TlsFetch;
  /** TLS options to be given anew. */
  readonly tls: Parties["clientOptions"];
  readonly connect: (host: string, port: number) => ReturnType<typeof memoryPair>[0];
  /** `host:port` of each connection, in order. */
  readonly dialed: string[];
  /** Names that clients have shown, in order. */
  readonly clients: (string | undefined)[];
  readonly failures: unknown[];
}

const LATIN1 = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));

/** A server that does this with each connection. */
export function site(
  { clientOptions, serverOptions }: Parties,
  handle: (served: Served) => Promise<void>,
  options: Partial<FetchOptions> = {},
  server: Partial<ServerConfiguration> = {},
): Site {
  const dialed: string[] = [];
  const clients: (string | undefined)[] = [];
  const failures: unknown[] = [];
  const connect = (host: string, port: number) => {
    dialed.push(`${host}:${port}`);
    const number = dialed.length;
    const [near, far] = memoryPair();
    accept(far, { ...serverOptions, provider: nodeProvider, alpn: ["http/1.1"], ...server })
      .then(async (session) => {
        clients.push(session.peer?.commonName);
        await handle(serving(session, number));
      })
      .catch((error: unknown) => failures.push(error));
    return near;
  };
  const tls = { ...clientOptions, provider: nodeProvider };
  const fetch = createFetch({ clientContext: (given) => clientContext(given), tls, connect, ...options });
  return { fetch, tls, connect, dialed, clients, failures };
}

/** Answers every request with this text, until the client closes. */
export function answering(answer: string | ((asked: Asked, served: Served) => string | Promise<string>)) {
  return async (served: Served) => {
    for (let asked = await served.ask(); asked !== undefined; asked = await served.ask()) {
      await served.say(typeof answer === "string" ? answer : await answer(asked, served));
    }
  };
}

export function ok(body: string, ...fields: readonly string[]): string {
  return `HTTP/1.1 200 OK\r\n${fields.map((field) => `${field}\r\n`).join("")}content-length: ${body.length}\r\n\r\n${body}`;
}

function serving(session: TlsSession, number: number): Served {
  const reader = session.readable.getReader();
  const writer = session.writable.getWriter();
  let rest = "";
  const more = async () => {
    const { done, value } = await reader.read();
    if (!done) rest += latin1(value);
    return !done;
  };
  const upTo = async (mark: string): Promise<string | undefined> => {
    while (!rest.includes(mark)) if (!(await more())) return undefined;
    const text = rest.slice(0, rest.indexOf(mark));
    rest = rest.slice(text.length + mark.length);
    return text;
  };
  const exactly = async (length: number): Promise<string> => {
    while (rest.length < length) if (!(await more())) throw new Error("the request is not complete");
    const text = rest.slice(0, length);
    rest = rest.slice(length);
    return text;
  };
  return {
    session,
    number,
    async ask() {
      const head = await upTo("\r\n\r\n");
      if (head === undefined) return undefined;
      const [line = "", ...lines] = head.split("\r\n");
      const [method = "", path = "", version = ""] = line.split(" ");
      const fields = Object.fromEntries(lines.map((field) => field.split(": ", 2) as [string, string]));
      let body = await exactly(Number(fields["content-length"] ?? 0));
      if (fields["transfer-encoding"] === "chunked") {
        for (;;) {
          const size = Number.parseInt((await upTo("\r\n")) ?? "", 16);
          body += await exactly(size);
          if ((await exactly(2)) !== "\r\n") throw new Error("a chunk that does not end");
          if (size === 0) break;
        }
      }
      return { method, path, version, fields, body };
    },
    say: (text) => writer.write(LATIN1(text)),
    async end() {
      await session.close();
    },
  };
}

/** Another party of the same authorities, as TLS options. */
export function as(parties: Parties, who: "client" | "stranger") {
  return {
    ...parties.clientOptions,
    provider: nodeProvider,
    identities: [pemOf(parties[who])],
    ignoreRequestHints: true,
  };
}

/** A body of these pieces. */
export function streamOf(...pieces: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });
}
