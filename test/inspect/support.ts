/** A mutual handshake over memory with traces of both ends. */
import { nobleProvider } from "../../src/crypto/noble.ts";
import type { CommonOptions } from "../../src/engine/common-options.ts";
import { clientContext, type Observer, serverContext } from "../../src/engine/index.ts";
import { createTrace, type TraceItem, type TraceMessage, type TraceRecord } from "../../src/inspect/index.ts";
import { createThrowawayAuthority, type IssuedIdentity } from "../../src/pki/index.ts";
import { type End, end, exchange, type Wire, whole } from "../support/pair.ts";

const identity = ({ certificates, privateKey }: IssuedIdentity) => ({ cert: certificates, key: privateKey });

export interface Traced {
  readonly client: End;
  readonly server: End;
  readonly clientItems: TraceItem[];
  readonly serverItems: TraceItem[];
}

/** Two connected ends whose traces are collected; nothing has moved after the handshake yet. */
export async function traced(
  options: { readonly client?: Partial<CommonOptions>; readonly server?: Partial<CommonOptions> } = {},
  observe?: { readonly client?: Observer; readonly server?: Observer },
  toServer: Wire = whole,
): Promise<Traced> {
  const authority = await createThrowawayAuthority({ intermediates: 1 });
  const server = await authority.issue({
    subject: "localhost",
    dnsNames: ["localhost"],
    ipAddresses: ["127.0.0.1"],
    server: true,
  });
  const client = await authority.issue({ subject: "client", uris: ["spiffe://example.org/client"], client: true });
  const clientItems: TraceItem[] = [];
  const serverItems: TraceItem[] = [];
  const common = { provider: nobleProvider, clock: Date.now, trust: authority.certificatePem, alpn: ["h2", "x"] };
  const clientTrace = createTrace("client", (item) => clientItems.push(item));
  const serverTrace = createTrace("server", (item) => serverItems.push(item));
  const clientEnd = end(
    clientContext({
      ...common,
      serverName: "localhost",
      identities: [identity(client)],
      observer: (observation) => {
        clientTrace(observation);
        observe?.client?.(observation);
      },
      ...options.client,
    }).engine(),
  );
  const serverEnd = end(
    serverContext({
      ...common,
      identities: [identity(server)],
      clientAuth: "on",
      observer: (observation) => {
        serverTrace(observation);
        observe?.server?.(observation);
      },
      ...options.server,
    }).engine(),
  );
  exchange(clientEnd, serverEnd, toServer);
  return { client: clientEnd, server: serverEnd, clientItems, serverItems };
}

export function recordsOf(items: readonly TraceItem[]): TraceRecord[] {
  return items.filter((item) => item.kind === "record");
}

export function messagesOf(items: readonly TraceItem[]): TraceMessage[] {
  return items.filter((item) => item.kind === "message");
}

/** A record's bytes with what was encrypted in the clear: header, content, type, padding, tag. */
export function opened({ wire, content, type, padding, sequence }: TraceRecord): Uint8Array {
  if (sequence === undefined) return wire;
  const bytes = wire.slice();
  bytes.set(content, 5);
  bytes.fill(0, 5 + content.length, 6 + content.length + padding);
  bytes[5 + content.length] = type.code;
  return bytes;
}
