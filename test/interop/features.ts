/** What is tried with each peer, in both roles: what the peer is told, what mutls is, and what must come of it. */
import { expect } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import type { CipherSuiteName, NamedGroupName } from "../../src/codec/registry.ts";
import { createWebCryptoProvider } from "../../src/crypto/webcrypto.ts";
import type { Side } from "../../src/errors.ts";
import {
  brotliCompression,
  type ClientConfiguration,
  nobleProvider,
  type ServerConfiguration,
  sealedTickets,
  sessionCache,
  strikeRegister,
  zlibCompression,
} from "../../src/node/index.ts";
import type { Met } from "./meeting.ts";

/** One feature. */
export interface Feature {
  /** To the peer; by mutls's side where they differ. */
  readonly flags?: readonly string[] | Readonly<Record<Side, readonly string[]>>;
  /** To mutls, as either side. */
  readonly ours?: () => Partial<ClientConfiguration & ServerConfiguration>;
  readonly client?: () => Partial<ClientConfiguration>;
  readonly server?: () => Partial<ServerConfiguration>;
  /** The later ones resume. Default 1. */
  readonly connections?: number;
  /** Sent by the client on all but the first connection. */
  readonly earlyData?: string;
  /** mutls asks for a KeyUpdate between the first and the second line. */
  readonly updateKeys?: boolean;
  /** No certificates: the key stands for both. */
  readonly anonymous?: boolean;
  /** What both ends saw of the last connection. */
  readonly check?: (met: Met, side: Side) => void;
}

export const EXPORTER = "EXPORTER-interop";
const PSK = { identity: "interop", key: "000102030405060708090a0b0c0d0e0f" };

function suite(name: CipherSuiteName): Feature {
  return {
    ours: () => ({ cipherSuites: [name] }),
    check: ({ session }) => expect(session.cipherSuite).toBe(name),
  };
}

function group(name: NamedGroupName): Feature {
  return {
    flags: ["--groups", name],
    ours: () => ({ groups: [name] }),
    check: ({ session }) => expect([session.group, session.retried]).toEqual([name, false]),
  };
}

/** The client's first share is for a group that the server does not take. */
function retry(from: NamedGroupName, to: NamedGroupName): Feature {
  return {
    flags: { client: ["--groups", to], server: ["--groups", `${from},${to}`] },
    client: () => ({ groups: [from, to], keyShares: [from] }),
    server: () => ({ groups: [to] }),
    check: ({ session }) => expect([session.group, session.retried]).toEqual([to, true]),
  };
}

function compressed(algorithm: "zlib" | "brotli"): Feature {
  const make = { zlib: zlibCompression, brotli: brotliCompression };
  return {
    flags: ["--compress", algorithm],
    ours: () => ({ certificateCompression: [make[algorithm]()] }),
    check: ({ messages }, side) => {
      // The server's; the other way is a row of its own.
      expect(messages).toContain(`${side === "client" ? "received" : "sent"} compressed_certificate`);
    },
  };
}

const resumption: Feature = {
  connections: 2,
  client: () => ({ sessions: sessionCache() }),
  server: () => ({ tickets: { store: sealedTickets() } }),
  check: ({ session }) => expect(session.resumed).toBe(true),
};

export const FEATURES = {
  "mutual handshake": {},
  "mutual handshake, noble": { ours: () => ({ provider: nobleProvider }) },
  "mutual handshake, webcrypto": { ours: () => ({ provider: createWebCryptoProvider({ fallback: nobleProvider }) }) },
  TLS_AES_128_GCM_SHA256: suite("TLS_AES_128_GCM_SHA256"),
  TLS_AES_256_GCM_SHA384: suite("TLS_AES_256_GCM_SHA384"),
  TLS_CHACHA20_POLY1305_SHA256: suite("TLS_CHACHA20_POLY1305_SHA256"),
  x25519: group("x25519"),
  secp256r1: group("secp256r1"),
  secp384r1: group("secp384r1"),
  secp521r1: group("secp521r1"),
  x448: group("x448"),
  ffdhe2048: group("ffdhe2048"),
  X25519MLKEM768: group("X25519MLKEM768"),
  SecP256r1MLKEM768: group("SecP256r1MLKEM768"),
  SecP384r1MLKEM1024: group("SecP384r1MLKEM1024"),
  HelloRetryRequest: retry("secp256r1", "secp384r1"),
  "HelloRetryRequest to X25519MLKEM768": retry("secp256r1", "X25519MLKEM768"),
  "HelloRetryRequest from X25519MLKEM768": retry("X25519MLKEM768", "secp384r1"),
  ALPN: {
    flags: ["--alpn", "http/1.1"],
    ours: () => ({ alpn: ["http/1.1"] }),
    check: ({ session }) => expect(session.alpn).toBe("http/1.1"),
  },
  exporter: {
    flags: ["--exporter", EXPORTER],
    check: ({ exported, peer }) => expect(peer.exporter).toBe(exported),
  },
  "key update by mutls": {
    updateKeys: true,
    check: ({ messages }) => {
      expect(messages).toContain("sent key_update");
      expect(messages).toContain("received key_update");
    },
  },
  "key update by the peer": {
    flags: ["--key-update"],
    check: ({ messages }) => expect(messages).toContain("received key_update"),
  },
  resumption,
  "0-RTT": {
    ...resumption,
    flags: ["--early-data", "early"],
    client: () => ({ sessions: sessionCache(), offerEarlyData: true }),
    server: () => ({ tickets: { store: sealedTickets() }, acceptEarlyData: { antiReplay: strikeRegister() } }),
    earlyData: "early",
    check: ({ session, peer }, side) => {
      expect(session.earlyData).toBe("accepted");
      if (side === "server") expect(session.receivedEarlyData).toEqual(utf8("early"));
      expect(peer.early ?? "early").toBe("early");
    },
  },
  "external PSK": {
    flags: ["--psk", `${PSK.identity}:${PSK.key}`],
    ours: () => ({
      // A key for SHA-256 goes with suites of SHA-256; OpenSSL's server chooses the suite first.
      cipherSuites: ["TLS_AES_128_GCM_SHA256"],
      psks: [{ identity: PSK.identity, key: Uint8Array.from({ length: 16 }, (_, index) => index) }],
    }),
    anonymous: true,
    check: ({ session }) => expect([session.psk?.kind, session.resumed]).toEqual(["external", false]),
  },
  "zlib certificate": compressed("zlib"),
  "brotli certificate": compressed("brotli"),
  "compressed client certificate": {
    ...compressed("zlib"),
    check: ({ messages }, side) =>
      expect(messages).toContain(`${side === "client" ? "sent" : "received"} compressed_certificate`),
  },
} as const satisfies Record<string, Feature>;

export type FeatureName = keyof typeof FEATURES;
export const FEATURE_NAMES = Object.keys(FEATURES) as readonly FeatureName[];
