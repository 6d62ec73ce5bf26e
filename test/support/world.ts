/** Two parties that trust each other's authority, and the means to replace either by a rogue. */
import { concat } from "../../src/bytes/bytes.ts";
import { EXTENSIONS, type ExtensionName } from "../../src/codec/extensions.ts";
import { encodeMessage, messageName } from "../../src/codec/messages.ts";
import { decode, type Schema } from "../../src/codec/schema.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import { clientAftermath, serverAftermath } from "../../src/engine/aftermath.ts";
import { resolveClient } from "../../src/engine/client-options.ts";
import { TlsEngine } from "../../src/engine/engine.ts";
import { everyFeature } from "../../src/engine/features/index.ts";
import type { ClientOptions, ServerOptions } from "../../src/engine/index.ts";
import { resolveLimits } from "../../src/engine/limits.ts";
import { resolveServer } from "../../src/engine/server-options.ts";
import type { HandshakeName } from "../../src/flow.ts";
import { clientHandshake } from "../../src/handshake/client.ts";
import type { ClientConfig, ServerConfig } from "../../src/handshake/config.ts";
import type { HandshakeEffects } from "../../src/handshake/io.ts";
import { serverHandshake } from "../../src/handshake/server.ts";
import { createThrowawayAuthority, type IssuedIdentity, type ThrowawayAuthority } from "../../src/pki/index.ts";
import { type End, end } from "./pair.ts";
import { Rogue, type RogueOptions } from "./rogue.ts";

export const provider = createNodeProvider();

export const identityOf = ({ certificates, privateKey }: IssuedIdentity) => ({ cert: certificates, key: privateKey });

/** What a test may set beyond the public options. */
interface Inner<C> {
  readonly config?: (config: C) => C;
}

export class World {
  readonly authority: ThrowawayAuthority;
  readonly server: IssuedIdentity;
  readonly client: IssuedIdentity;

  constructor(authority: ThrowawayAuthority, server: IssuedIdentity, client: IssuedIdentity) {
    this.authority = authority;
    this.server = server;
    this.client = client;
  }

  get clientOptions(): ClientOptions {
    return {
      provider,
      clock: Date.now,
      trust: this.authority.certificatePem,
      serverName: "localhost",
      groups: ["x25519", "secp256r1", "secp384r1"],
      keyShares: ["x25519"],
      alpn: ["h2", "http/1.1"],
      identities: [identityOf(this.client)],
    };
  }

  get serverOptions(): ServerOptions {
    return {
      provider,
      clock: Date.now,
      trust: this.authority.certificatePem,
      groups: ["x25519", "secp256r1", "secp384r1"],
      alpn: ["h2"],
      identities: [identityOf(this.server)],
      clientAuth: "on",
    };
  }

  honestClient(options: Partial<ClientOptions> = {}, inner: Inner<ClientConfig> = {}): End {
    const all = { ...this.clientOptions, ...options };
    const config = (inner.config ?? same)(resolveClient(all, everyFeature));
    const start = (effects: HandshakeEffects) => clientHandshake(config, effects);
    return end(new TlsEngine("client", start, resolveLimits(all), clientAftermath(config, everyFeature)));
  }

  honestServer(options: Partial<ServerOptions> = {}, inner: Inner<ServerConfig> = {}): End {
    const all = { ...this.serverOptions, ...options };
    const config = (inner.config ?? same)(resolveServer(all));
    const start = (effects: HandshakeEffects) => serverHandshake(config, effects);
    return end(new TlsEngine("server", start, resolveLimits(all), serverAftermath(config)));
  }

  /** A rogue client believes any server. */
  rogueClient(rogue: RogueOptions = {}, options: Partial<ClientOptions> = {}, inner: Inner<ClientConfig> = {}): Rogue {
    const all = { ...this.clientOptions, trust: undefined, rejectUnauthorized: false, ...options };
    return new Rogue({ client: (inner.config ?? same)(resolveClient(all, everyFeature)) }, rogue).start();
  }

  rogueServer(rogue: RogueOptions = {}, options: Partial<ServerOptions> = {}, inner: Inner<ServerConfig> = {}): Rogue {
    const all: ServerOptions = { ...this.serverOptions, ...options };
    return new Rogue({ server: (inner.config ?? same)(resolveServer(all)) }, rogue).start();
  }
}

/** @param intermediates - Of each chain; with some of them, chains compress well. */
export async function createWorld(intermediates = 0): Promise<World> {
  const authority = await createThrowawayAuthority({ intermediates });
  const server = await authority.issue({ subject: "localhost", dnsNames: ["localhost"], server: true });
  const client = await authority.issue({ subject: "client", client: true });
  return new World(authority, server, client);
}

/** A message with its body changed as a value. */
export function edit<T>(message: Uint8Array, schema: Schema<T>, change: (body: T) => T): Uint8Array {
  const body = message.subarray(4);
  const name = messageName(message[0] as number, body) as HandshakeName;
  return encodeMessage(name, schema, change(decode(schema, body)));
}

/** A message with its body changed as bytes. */
export function editBytes(message: Uint8Array, change: (body: Uint8Array) => Uint8Array): Uint8Array {
  return rawMessage(message[0] as number, change(message.slice(4)));
}

export function rawMessage(type: number, body: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(type, body.length >> 16, (body.length >> 8) & 0xff, body.length & 0xff), body);
}

/** An extension as bytes, legal or not. */
interface RawExtension {
  readonly name: undefined;
  readonly code: number;
  readonly value: Uint8Array;
}

export function raw(extension: ExtensionName | number, ...data: readonly number[]): RawExtension {
  return { name: undefined, code: codeOf(extension), value: Uint8Array.from(data) };
}

type Named = { readonly code: number };

export function without<E extends Named>(block: readonly E[] = [], ...gone: readonly (ExtensionName | number)[]): E[] {
  return block.filter(({ code }) => !gone.some((extension) => codeOf(extension) === code));
}

/** The block with this extension's content replaced, or with the extension at its end. */
export function withRaw<E extends Named>(
  block: readonly E[] = [],
  extension: ExtensionName | number,
  ...data: readonly number[]
): (E | RawExtension)[] {
  const replacement = raw(extension, ...data);
  if (!block.some(({ code }) => code === replacement.code)) return [...block, replacement];
  return block.map((entry) => (entry.code === replacement.code ? replacement : entry));
}

function codeOf(extension: ExtensionName | number): number {
  return typeof extension === "number" ? extension : EXTENSIONS[extension].code;
}

function same<T>(value: T): T {
  return value;
}
