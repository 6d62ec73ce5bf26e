/** Who mutls is tried with, and what each of them does not have. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Side } from "../../src/errors.ts";
import type { FeatureName } from "./features.ts";

/** One implementation, run as a process that speaks the command language of peers/README.md. */
export interface Peer {
  readonly name: string;
  readonly command: readonly string[];
  /** What must be there. */
  readonly needs: readonly string[];
  /**
   * What its server understands. Default: lines, which it sends back. One that speaks HTTP waits, as a client, for the
   * server to close.
   */
  readonly speaks?: "http";
  /** What it does not do, by its own role, and why. */
  readonly lacks: Readonly<Record<Side, Lacks>>;
}

export type Lacks = Partial<Readonly<Record<FeatureName, string>>>;

const folder = fileURLToPath(new URL("./peers/", import.meta.url));
const built = process.env.MUTLS_INTEROP ?? "";
const node35 = process.env.MUTLS_NODE_OPENSSL35 ?? "";
const tool = (name: string): readonly string[] => [process.execPath, join(folder, "tool.mjs"), name];
const both = (lacks: Lacks, client: Lacks = {}, server: Lacks = {}) => ({
  client: { ...lacks, ...client },
  server: { ...lacks, ...server },
});

const OLDER = "its version is older than the hybrids";
const NO_HYBRIDS: Lacks = {
  X25519MLKEM768: OLDER,
  SecP256r1MLKEM768: OLDER,
  SecP384r1MLKEM1024: OLDER,
  "HelloRetryRequest to X25519MLKEM768": OLDER,
  "HelloRetryRequest from X25519MLKEM768": OLDER,
};

function noCompression(reason: string): Lacks {
  return { "zlib certificate": reason, "brotli certificate": reason, "compressed client certificate": reason };
}

export const PEERS: readonly Peer[] = [
  {
    name: "OpenSSL 3.0",
    command: tool("openssl"),
    needs: ["openssl"],
    lacks: both({
      ...NO_HYBRIDS,
      ...noCompression("came with 3.2"),
    }),
  },
  {
    name: "OpenSSL 3.5",
    command: [node35, join(folder, "node.mjs")],
    needs: [node35],
    lacks: both({
      "key update by the peer": "node:tls has no call for it",
      "0-RTT": "node:tls has no call for it",
      ...noCompression("Node builds it without"),
    }),
  },
  {
    name: "Go",
    command: [join(built, "go-peer")],
    needs: [join(built, "go-peer")],
    lacks: both(
      {
        x448: "not in crypto/tls",
        ffdhe2048: "not in crypto/tls",
        "key update by the peer": "crypto/tls has no call for it",
        "0-RTT": "only for QUIC",
        "external PSK": "not in crypto/tls",
        ...noCompression("not in crypto/tls"),
      },
      { "HelloRetryRequest to X25519MLKEM768": "sends a share for the hybrid whenever it offers it" },
    ),
  },
  {
    name: "rustls",
    command: [join(built, "rustls-peer")],
    needs: [join(built, "rustls-peer")],
    lacks: both({
      x448: "not in its aws-lc-rs provider",
      ffdhe2048: "not in its aws-lc-rs provider",
      secp521r1: "not in its aws-lc-rs provider",
      SecP384r1MLKEM1024: "not in its aws-lc-rs provider",
      "external PSK": "not in rustls",
    }),
  },
  {
    name: "GnuTLS",
    command: tool("gnutls"),
    needs: ["gnutls-cli", "gnutls-serv"],
    lacks: both(
      { ...NO_HYBRIDS, ...noCompression("Debian builds it without") },
      {},
      { "key update by the peer": "gnutls-serv has no command for it" },
    ),
  },
  {
    name: "NSS",
    command: tool("nss"),
    needs: ["tstclnt", "selfserv", "certutil", "pk12util"],
    speaks: "http",
    lacks: both(
      {
        ...NO_HYBRIDS,
        x448: "not in NSS",
        "key update by the peer": "its commands have none for it",
        ...noCompression("came with 3.105"),
      },
      { ALPN: "tstclnt has no flag for it", "0-RTT": "tstclnt offers it and then sends none" },
      { "external PSK": "selfserv goes on with its certificate, with tstclnt too" },
    ),
  },
  {
    name: "Java 17",
    command: ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", join(built, "java"), "Peer"],
    needs: ["java", join(built, "java/Peer.class")],
    lacks: both({
      ...NO_HYBRIDS,
      exporter: "came with 25",
      "0-RTT": "not in JSSE",
      "external PSK": "not in JSSE",
      ...noCompression("not in JSSE"),
    }),
  },
  {
    name: "Python ssl",
    command: ["python3", join(folder, "peer.py")],
    needs: ["python3"],
    lacks: both(
      {
        ...NO_HYBRIDS,
        x25519: "set_ecdh_curve() takes no X25519",
        x448: "set_ecdh_curve() takes no X448",
        ffdhe2048: "the module has no call for it",
        exporter: "the module has no call for it",
        "key update by the peer": "the module has no call for it",
        "0-RTT": "the module has no call for it",
        "external PSK": "came with 3.13",
        ...noCompression("came with OpenSSL 3.2"),
      },
      { HelloRetryRequest: "set_ecdh_curve() takes one group" },
    ),
  },
];

/** What is missing of what a peer needs. */
export function lacking({ needs }: Peer): readonly string[] {
  return needs.filter((need) => need === "" || (need.includes("/") ? !existsSync(need) : !onPath(need)));
}

function onPath(command: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${command}`]);
    return true;
  } catch {
    return false;
  }
}
