/** Identities and options that session tests share, made once per file. */
import { concat } from "../../src/bytes/bytes.ts";
import type { ConnectOptions, ServerConfiguration } from "../../src/index.ts";
import { createThrowawayAuthority, type IssuedIdentity } from "../../src/pki/index.ts";

export interface Parties {
  readonly ca: string;
  readonly server: IssuedIdentity;
  readonly client: IssuedIdentity;
  /** Of another authority, which `ca` does not vouch for. */
  readonly stranger: IssuedIdentity;
  readonly clientOptions: ConnectOptions;
  readonly serverOptions: ServerConfiguration;
}

export async function parties(): Promise<Parties> {
  const authority = await createThrowawayAuthority();
  const other = await createThrowawayAuthority({ name: "another root" });
  const server = await authority.issue({ subject: "localhost", dnsNames: ["localhost"], server: true });
  const client = await authority.issue({ subject: "client", client: true });
  const ca = authority.certificatePem;
  return {
    ca,
    server,
    client,
    stranger: await other.issue({ subject: "stranger", client: true }),
    clientOptions: { trust: ca, serverName: "localhost", identities: [pemOf(client)] },
    serverOptions: { trust: ca, identities: [pemOf(server)], clientAuth: "on" },
  };
}

/** As an option. */
export function pemOf({ certificatePem, privateKeyPem }: IssuedIdentity): { cert: string; key: string } {
  return { cert: certificatePem, key: privateKeyPem };
}

/** Everything up to the end. */
export async function readAll(readable: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of readable) chunks.push(chunk);
  return concat(...chunks);
}

/** Writes all of it in pieces, waiting where asked to, and closes. */
export async function writeAll(writable: WritableStream<Uint8Array>, data: Uint8Array, piece = 30_000): Promise<void> {
  const writer = writable.getWriter();
  for (let offset = 0; offset < data.length; offset += piece) {
    await writer.write(data.subarray(offset, offset + piece));
  }
  await writer.close();
}

/** Bytes that differ along the way. */
export function pattern(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) bytes[index] = (index * 31 + (index >> 8) * 7 + (index >> 16)) & 0xff;
  return bytes;
}

/** The code of the error that a promise rejects with; `undefined` when it resolves. */
export async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}
