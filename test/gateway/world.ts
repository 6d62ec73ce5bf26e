/** A gateway with a server behind it, clients, and all that both have been told. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Server as TcpServer } from "node:net";
import { latin1, utf8 } from "../../src/bytes/bytes.ts";
import {
  auditLog,
  compilePolicy,
  type Gateway,
  type GatewayMetrics,
  type GatewayOptions,
  gatewayMetrics,
  type PolicyDocument,
  startGateway,
} from "../../src/gateway/index.ts";
import { type ConnectOptions, connect, type TlsSession } from "../../src/node/index.ts";
import { createThrowawayAuthority, type IssuedIdentity, type ThrowawayAuthority } from "../../src/pki/index.ts";
import { pemOf } from "../support/session.ts";

export const HOST = "127.0.0.1";

/** Who takes part. */
export interface Cast {
  readonly authority: ThrowawayAuthority;
  readonly server: IssuedIdentity;
  readonly alice: IssuedIdentity;
  readonly bob: IssuedIdentity;
  readonly stranger: IssuedIdentity;
}

export async function makeCast(): Promise<Cast> {
  const authority = await createThrowawayAuthority();
  const other = await createThrowawayAuthority({ name: "another root" });
  const person = (subject: string) =>
    authority.issue({ subject, uris: [`spiffe://example.org/people/${subject}`], client: true });
  return {
    authority,
    server: await authority.issue({ subject: "localhost", dnsNames: ["localhost"], server: true }),
    alice: await person("alice"),
    bob: await person("bob"),
    stranger: await other.issue({ subject: "stranger", client: true }),
  };
}

/** Everybody whose certificate is verified may do anything. */
export const OPEN: PolicyDocument = { version: "open", rules: [{ name: "all", effect: "allow", who: "verified" }] };

/** One line of the audit log. */
export type Line = Readonly<Record<string, unknown>> & { readonly event: string };

export interface World {
  readonly gateway: Gateway;
  readonly metrics: GatewayMetrics;
  /** Requests that have come through, and their bodies. */
  readonly seen: readonly { readonly request: IncomingMessage; readonly body: string }[];
  readonly audit: readonly Line[];
  /** Resolves when there is such a line. */
  audited(test: (line: Line) => boolean): Promise<Line>;
  connect(who?: IssuedIdentity, options?: Partial<ConnectOptions>): Promise<TlsSession>;
  /** Sends it on a connection of its own, and gives all that comes back. */
  ask(text: string | Uint8Array, who?: IssuedIdentity, options?: Partial<ConnectOptions>): Promise<string>;
  stop(): Promise<void>;
}

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;

/** Answers with what it was asked. */
const echo: Handler = (request, response, body) => {
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify({ method: request.method, url: request.url, body }));
};

export async function listening(server: TcpServer): Promise<number> {
  server.listen(0, HOST);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** @param behind - Answers once it has all of a request; or a whole server. */
export async function makeWorld(
  cast: Cast,
  options: Partial<Omit<GatewayOptions, "tls"> & { tls: Partial<GatewayOptions["tls"]> }> = {},
  behind: Handler | Server | TcpServer = echo,
): Promise<World> {
  const seen: { request: IncomingMessage; body: string }[] = [];
  const audit: Line[] = [];
  const waiting = new Set<() => void>();
  const server =
    typeof behind !== "function"
      ? behind
      : createServer(async (request, response) => {
          let body = "";
          request.setEncoding("latin1");
          request.on("error", () => {});
          request.on("data", (chunk) => (body += chunk));
          request.on("end", () => {
            seen.push({ request, body });
            behind(request, response, body);
          });
        });
  const upstreamPort = await listening(server);
  const metrics = gatewayMetrics();
  const sink = {
    write(text: string) {
      for (const line of text.trimEnd().split("\n")) audit.push(JSON.parse(line));
      for (const wake of [...waiting]) wake();
    },
  };
  const log = auditLog({ sink });
  const { authority } = cast;
  const gateway = await startGateway({
    host: HOST,
    upstream: { host: HOST, port: upstreamPort },
    policy: compilePolicy(OPEN),
    audit: log,
    metrics,
    ...options,
    tls: { trust: authority.certificatePem, clientAuth: "on", ...options.tls, identities: [pemOf(cast.server)] },
  });
  const open = (who: IssuedIdentity | undefined, more: Partial<ConnectOptions> = {}) =>
    connect({
      host: HOST,
      port: gateway.port,
      serverName: "localhost",
      trust: authority.certificatePem,
      identities: who === undefined ? [] : [pemOf(who)],
      ...more,
    });
  return {
    gateway,
    metrics,
    seen,
    audit,
    audited: (test) =>
      new Promise((resolve) => {
        const look = () => {
          const line = audit.find(test);
          if (line === undefined) return;
          waiting.delete(look);
          resolve(line);
        };
        waiting.add(look);
        look();
      }),
    connect: (who = cast.alice, more = {}) => open(who, more),
    ask: async (text, who = cast.alice, more) => {
      const session = await open(who, more);
      const writer = session.writable.getWriter();
      writer.write(typeof text === "string" ? utf8(text) : text).catch(() => {});
      return rest(session);
    },
    stop: async () => {
      await gateway.close(0);
      if ("closeAllConnections" in server) server.closeAllConnections();
      server.close();
    },
  };
}

/** All that still comes, as far as it comes. */
export async function rest(session: TlsSession): Promise<string> {
  let text = "";
  const reader = session.readable.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      text += latin1(value);
    }
  } catch {
    // The gateway cut the connection: what came before is what there is.
  }
  session.abort();
  return text;
}

/** A request with its usual fields; on a connection that ends with it. */
export function get(path: string, fields: readonly string[] = [], method = "GET"): string {
  return [`${method} ${path} HTTP/1.1`, "Host: localhost", "Connection: close", ...fields, "", ""].join("\r\n");
}

export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1] ?? 0);
}
