/**
 * Mutual handshake, X25519 and ECDSA P-256, both ends in one process over memory: this library with each provider, node:tls
 * doing the same, and the bare primitives that such a handshake cannot do without (the floor).
 */
import {
  createHmac,
  createPrivateKey,
  diffieHellman,
  generateKeyPairSync,
  sign,
  verify,
  X509Certificate,
} from "node:crypto";
import { duplexPair } from "node:stream";
import { connect, createSecureContext, TLSSocket } from "node:tls";
import { measure, type Subject } from "../src/bench/measure.ts";
import { readPem } from "../src/bytes/pem.ts";
import { nobleProvider } from "../src/crypto/noble.ts";
import { createNodeProvider } from "../src/crypto/node.ts";
import type { CryptoProvider, Encapsulation, Group, KeyShare, PublicKey } from "../src/crypto/provider.ts";
import { clientContext, serverContext, type TlsEngine } from "../src/engine/index.ts";
import { createThrowawayAuthority, type IssuedIdentity } from "../src/pki/index.ts";
import { parseCertificate } from "../src/x509/parse.ts";
import { printTable, type Row, row } from "./rows.ts";

interface Material {
  readonly ca: string;
  readonly server: IssuedIdentity;
  readonly client: IssuedIdentity;
}

/** Runs the scenario and prints its table. */
export async function handshake(quick: boolean): Promise<Row[]> {
  const authority = await createThrowawayAuthority();
  const material: Material = {
    ca: authority.certificatePem,
    server: await authority.issue({ subject: "localhost", dnsNames: ["localhost"], server: true }),
    client: await authority.issue({ subject: "client", client: true }),
  };
  const native = await measure(
    [mutls("mutual-node", createNodeProvider(), material), nodeTls(material), nodeFloor(material)],
    quick ? { rounds: 40, runsPerRound: 10, warmupRounds: 20 } : { rounds: 200, runsPerRound: 10, warmupRounds: 40 },
  );
  const portable = await measure(
    [mutls("mutual-noble", nobleProvider, material), nodeTls(material), providerFloor(nobleProvider, material)],
    quick ? { rounds: 20, runsPerRound: 2, warmupRounds: 10 } : { rounds: 100, runsPerRound: 2, warmupRounds: 20 },
  );
  const rows = [...native.slice(0, 1), ...portable.slice(0, 1)].flatMap((measurement) => [
    row(measurement, "node:tls"),
    row(measurement, "floor"),
  ]);
  printTable("Mutual handshake, both ends, X25519 + ECDSA P-256, over memory", [...native, ...portable], rows);
  return rows;
}

function mutls(name: string, provider: CryptoProvider, { ca, server, client }: Material): Subject {
  const common = {
    provider,
    clock: Date.now,
    trust: ca,
    groups: ["x25519"],
    cipherSuites: ["TLS_AES_128_GCM_SHA256"],
  } as const;
  const clients = clientContext({
    ...common,
    serverName: "localhost",
    identities: [{ cert: client.certificates, key: client.privateKey }],
  });
  const servers = serverContext({
    ...common,
    identities: [{ cert: server.certificates, key: server.privateKey }],
    clientAuth: "on",
  });
  return {
    name,
    run() {
      const a = clients.engine();
      const b = servers.engine();
      a.start();
      b.start();
      while (move(a, b) + move(b, a) > 0);
      if (a.result?.peer?.verified !== true || b.result?.peer?.verified !== true)
        throw a.error ?? b.error ?? new Error(name);
    },
  };
}

function move(from: TlsEngine, to: TlsEngine): number {
  const bytes = from.takeOutput();
  if (bytes.length > 0) to.receive(bytes);
  return bytes.length;
}

function nodeTls({ ca, server, client }: Material): Subject {
  const common = {
    ca,
    minVersion: "TLSv1.3",
    maxVersion: "TLSv1.3",
    ecdhCurve: "X25519",
    ciphers: "TLS_AES_128_GCM_SHA256",
  } as const;
  const serverSide = createSecureContext({ ...common, cert: server.certificatePem, key: server.privateKeyPem });
  const clientSide = createSecureContext({ ...common, cert: client.certificatePem, key: client.privateKeyPem });
  return {
    name: "node:tls",
    run: () =>
      new Promise((resolve, reject) => {
        const [a, b] = duplexPair();
        const accepted = new TLSSocket(b, {
          isServer: true,
          secureContext: serverSide,
          requestCert: true,
          rejectUnauthorized: true,
        });
        const connected = connect({ socket: a, secureContext: clientSide, servername: "localhost" });
        let waiting = 2;
        const done = () => {
          if (--waiting > 0) return;
          connected.destroy();
          accepted.destroy();
          resolve();
        };
        connected.once("secureConnect", done).once("error", reject);
        accepted.once("secure", done).once("error", reject);
      }),
  };
}

/** HMACs and hashes over short inputs that a full handshake makes on both ends together, counted from RFC 8446 7.1. */
const HMACS = 60;

/**
 * With node:crypto: on each end a key share, an agreement, a signature, and the verification of the peer's CertificateVerify
 * and of its certificate; and the key schedule's HMACs.
 */
function nodeFloor({ ca, server, client }: Material): Subject {
  const issuer = new X509Certificate(ca).publicKey;
  const ends = [server, client].map((identity) => {
    const certificate = new X509Certificate(identity.certificatePem);
    return { certificate, publicKey: certificate.publicKey, key: createPrivateKey(identity.privateKeyPem) };
  });
  const message = new Uint8Array(130);
  const hash = new Uint8Array(32);
  return {
    name: "floor",
    run() {
      const ours = generateKeyPairSync("x25519");
      const theirs = generateKeyPairSync("x25519");
      diffieHellman({ privateKey: ours.privateKey, publicKey: theirs.publicKey });
      diffieHellman({ privateKey: theirs.privateKey, publicKey: ours.publicKey });
      for (const { certificate, publicKey, key } of ends) {
        const signature = sign("sha256", message, key);
        if (!verify("sha256", message, publicKey, signature)) throw new Error("floor: signature");
        if (!certificate.verify(issuer)) throw new Error("floor: certificate");
      }
      for (let i = 0; i < HMACS; i++) createHmac("sha256", hash).update(message).digest();
    },
  };
}

/** The same with a provider's own operations. */
function providerFloor(provider: CryptoProvider, { ca, server, client }: Material): Subject {
  const group = provider.groups.find(({ name }) => name === "x25519") as Group;
  const issuer = parseCertificate(derOf(ca)).publicKey;
  const ends = [server, client].map((identity) => ({
    certificate: parseCertificate(identity.certificates[0] as Uint8Array),
    signer: provider.signer(identity.privateKey),
  }));
  const { sha256 } = provider.hashes;
  const algorithm = { type: "ecdsa", hash: "sha256" } as const;
  const message = new Uint8Array(130);
  const check = (key: PublicKey, signed: Uint8Array, signature: Uint8Array) => {
    if (provider.verify(key, algorithm, signed, signature) !== true) throw new Error("floor: signature");
  };
  return {
    name: "floor",
    run() {
      const share = group.generate() as KeyShare;
      const { publicKey } = group.encapsulate(share.publicKey) as Encapsulation;
      share.agree(publicKey);
      for (const { certificate, signer } of ends) {
        check(certificate.publicKey, message, signer.sign("ecdsa_secp256r1_sha256", message) as Uint8Array);
        check(issuer, certificate.tbs, certificate.signature);
      }
      for (let i = 0; i < HMACS; i++) sha256.hmac(message.subarray(0, 32), message);
    },
  };
}

function derOf(pem: string): Uint8Array {
  return readPem(pem)[0]?.der as Uint8Array;
}
