/** The two sides of a refusal: options that accept each other, with what a case changes. */
import { concat } from "../../src/bytes/bytes.ts";
import { messageName } from "../../src/codec/messages.ts";
import { ContentType } from "../../src/codec/registry.ts";
import type { CryptoProvider } from "../../src/crypto/provider.ts";
import { resolveClient } from "../../src/engine/client-options.ts";
import { TlsEngine } from "../../src/engine/engine.ts";
import { everyFeature } from "../../src/engine/features/index.ts";
import type { ClientOptions, ServerOptions } from "../../src/engine/index.ts";
import { resolveLimits } from "../../src/engine/limits.ts";
import { resolveServer } from "../../src/engine/server-options.ts";
import type { Side } from "../../src/errors.ts";
import type { HandshakeName } from "../../src/flow.ts";
import { clientHandshake } from "../../src/handshake/client.ts";
import type { HandshakeEffects } from "../../src/handshake/io.ts";
import { serverHandshake } from "../../src/handshake/server.ts";
import { type End, end, type Wire } from "../support/pair.ts";
import type { Certificates } from "./certificates.ts";
import type { Setup } from "./refusals.ts";

/** Options of both sides. */
export interface BothOptions {
  readonly client: ClientOptions;
  readonly server: ServerOptions;
}

/** Mutual authentication that succeeds, but for what the case changes. */
export function optionsFor(certificates: Certificates, setup: Setup, provider: CryptoProvider): BothOptions {
  const { ca, client, server } = certificates;
  const common = { provider, clock: Date.now, trust: ca, groups: ["x25519", "secp256r1"] } as const;
  const identity = ({ good }: Certificates["client"]) => [{ cert: good.certificates, key: good.privateKey }];
  return {
    client: { ...common, serverName: "localhost", identities: identity(client), ...setup.client },
    server: { ...common, identities: identity(server), clientAuth: "on", ...setup.server },
  };
}

/** One side's engine; with `cheat`, it changes its handshake messages before they are protected. */
export function makeEngine(side: Side, options: BothOptions, cheat: Setup["cheat"]): TlsEngine {
  const cheating = (effects: HandshakeEffects): HandshakeEffects => ({
    ...effects,
    send: (epoch, message) => effects.send(epoch, cheat?.(message, nameOf(message)) ?? message),
  });
  if (side === "client") {
    const config = resolveClient(options.client, everyFeature);
    return new TlsEngine(side, (effects) => clientHandshake(config, cheating(effects)), resolveLimits(options.client));
  }
  const config = resolveServer(options.server);
  return new TlsEngine(side, (effects) => serverHandshake(config, cheating(effects)), resolveLimits(options.server));
}

export function makeEnd(side: Side, options: BothOptions, cheat: Setup["cheat"]): End {
  return end(makeEngine(side, options, cheat));
}

/** Flips the last bit of the first protected record. Gives whole records on, however it gets them. */
export function flipping(): Wire {
  let flipped = false;
  return byRecord((record) => {
    if (record[0] !== ContentType.codes.application_data || flipped) return record;
    flipped = true;
    const copy = record.slice();
    copy[copy.length - 1] = (copy[copy.length - 1] as number) ^ 1;
    return copy;
  });
}

/** Lets so many records through and no more; `onCut` is called once the first is held back. */
export function cutting(after: number, onCut: () => void = () => {}): Wire {
  let seen = 0;
  return byRecord((record) => {
    if (seen++ < after) return record;
    queueMicrotask(onCut);
    return undefined;
  });
}

function byRecord(change: (record: Uint8Array) => Uint8Array | undefined): Wire {
  let held: Uint8Array = new Uint8Array(0);
  return (bytes) => {
    held = concat(held, bytes);
    const out: Uint8Array[] = [];
    for (;;) {
      const end = 5 + (((held[3] ?? 0) << 8) | (held[4] ?? 0));
      if (held.length < 5 || held.length < end) return out;
      const record = change(held.slice(0, end));
      if (record !== undefined) out.push(record);
      held = held.slice(end);
    }
  };
}

function nameOf(message: Uint8Array): HandshakeName {
  return messageName(message[0] as number, message.subarray(4)) as HandshakeName;
}
