/** What the tests of the node:tls shape share: identities, the module pairs, and servers that go away by themselves. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import nodeTls from "node:tls";
import { afterAll } from "vitest";
import mutlsTls from "../../../src/node/tls/index.ts";
import { createThrowawayAuthority, type IssuedIdentity } from "../../../src/pki/index.ts";

export type Tls = typeof nodeTls;

/** With node:tls's types: the tests are written against them, and change nothing but the module. */
export const mutls = mutlsTls as unknown as Tls;

/** Who is the client and who the server, by module. */
export const PAIRS: readonly (readonly [string, Tls, Tls])[] = [
  ["node:tls with itself", nodeTls, nodeTls],
  ["mutls with itself", mutls, mutls],
  ["a mutls client with node:tls", mutls, nodeTls],
  ["a node:tls client with mutls", nodeTls, mutls],
];

export const HOST = "127.0.0.1";

const DAY = 86_400_000;

export interface Identities {
  readonly ca: string;
  readonly server: Pem;
  readonly client: Pem;
  /** Of an authority that `ca` does not vouch for. */
  readonly stranger: Pem;
  readonly expired: Pem;
  readonly one: Pem;
  readonly two: Pem;
}

export interface Pem {
  readonly cert: string;
  readonly key: string;
}

export async function identities(): Promise<Identities> {
  const authority = await createThrowawayAuthority();
  const other = await createThrowawayAuthority({ name: "another root" });
  const issue = async (issuer: typeof authority, request: Parameters<typeof authority.issue>[0]) =>
    pem(await issuer.issue(request));
  return {
    ca: authority.certificatePem,
    server: await issue(authority, {
      subject: "localhost",
      dnsNames: ["localhost"],
      ipAddresses: ["127.0.0.1"],
      server: true,
    }),
    client: await issue(authority, { subject: "client", client: true }),
    stranger: await issue(other, { subject: "stranger", dnsNames: ["localhost"] }),
    expired: await issue(authority, {
      subject: "expired",
      dnsNames: ["localhost"],
      notBefore: Date.now() - 2 * DAY,
      notAfter: Date.now() - DAY,
    }),
    one: await issue(authority, { subject: "one", dnsNames: ["one.test"], server: true }),
    two: await issue(authority, { subject: "two", dnsNames: ["two.test", "*.two.test"], server: true }),
  };
}

function pem({ certificatePem, privateKeyPem }: IssuedIdentity): Pem {
  return { cert: certificatePem, key: privateKeyPem };
}

interface Closable {
  close(done?: () => void): unknown;
  listen(port: number, host: string): unknown;
  address(): AddressInfo | string | null;
}

const open: Closable[] = [];
afterAll(() => {
  for (const server of open) server.close();
});

/** Listens on a port of the system's choice, which it gives; closed when the file is done. */
export async function listening(server: Closable & NodeJS.EventEmitter): Promise<number> {
  open.push(server);
  server.listen(0, HOST);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** Everything that a stream gives, as text. */
export async function textOf(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** The names of these events as they come, with the code of an error: what code that listens would see. */
export function record(emitter: NodeJS.EventEmitter, ...events: readonly string[]): string[] {
  const seen: string[] = [];
  for (const event of events) {
    emitter.on(event, (first?: unknown) => {
      const code = first instanceof Error ? ` ${(first as NodeJS.ErrnoException).code}` : "";
      seen.push(`${event}${code}`);
    });
  }
  return seen;
}
