/**
 * Mutual handshake, X25519 and ECDSA P-256, both ends in one process over memory: this library with each provider, node:tls
 * doing the same, and the bare primitives that such a handshake cannot do without (the floor).
 */
import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  sign,
  verify,
  X509Certificate,
} from "node:crypto";
import { duplexPair } from "node:stream";
import { connect, createSecureContext, TLSSocket } from "node:tls";
import { type MeasureOptions, measure, type Subject } from "../src/bench/measure.ts";
import { readPem } from "../src/bytes/pem.ts";
import { nobleProvider } from "../src/crypto/noble.ts";
import { createNodeProvider } from "../src/crypto/node.ts";
import type { CryptoProvider, Encapsulation, Group, KeyShare, PublicKey } from "../src/crypto/provider.ts";
import { createWebCryptoProvider } from "../src/crypto/webcrypto.ts";
import { parseCertificate } from "../src/x509/parse.ts";
import { createMaterial, enginePairs, type Material, shakeHands } from "./material.ts";
import { printTable, type Row, row } from "./rows.ts";

/** Runs the scenario and prints its table. */
export async function handshake(quick: boolean): Promise<Row[]> {
  const material = await createMaterial();
  const webcrypto = createWebCryptoProvider({ fallback: nobleProvider });
  const cached = createNodeProvider();
  const node = { runsPerRound: 10, rounds: quick ? 60 : 200, warmupRounds: 150 };
  const async = { runsPerRound: 5, rounds: quick ? 60 : 200, warmupRounds: 150 };
  const noble = { runsPerRound: 2, rounds: quick ? 40 : 100, warmupRounds: 25 };
  const groups: readonly (readonly [Subject[], MeasureOptions])[] = [
    [[mutls("mutual-node", cached, material), nodeTls(material), nodeFloor(material)], node],
    [[mutls("mutual-webcrypto", webcrypto, material), nodeTls(material), await webCryptoFloor(material)], async],
    [
      [mutls("mutual-noble", nobleProvider, material), nodeTls(material), providerFloor(nobleProvider, material)],
      noble,
    ],
  ];
  const rows: Row[] = [];
  for (const [subjects, options] of groups) {
    const measured = await measure(subjects, options);
    const [subject] = measured;
    if (subject === undefined) continue;
    const found = [row(subject, "node:tls"), row(subject, "floor")];
    printTable(`Mutual handshake, both ends, X25519 + ECDSA P-256, over memory: ${subject.name}`, measured, found);
    rows.push(...found);
  }
  return rows;
}

function mutls(name: string, provider: CryptoProvider, material: Material): Subject {
  const pair = enginePairs(provider, material);
  return { name, run: () => shakeHands(...pair()) };
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

/**
 * HMACs of a full handshake on both ends together, RFC 8446 7.1, without the early secret's, which is a constant: on each
 * end two extractions and two "derived", six traffic secrets, the exporter's and the resumption's among them, four times
 * key and IV, and for both Finished key and value: 2 × 21, less what is not counted here, transcript hashes and records.
 */
const HMACS = 42;

/**
 * With node:crypto: on each end a key share as bytes, the import of the peer's, an agreement, a signature, and the
 * verification of the peer's CertificateVerify and of its certificate; and the key schedule's HMACs. Shares cross the wire,
 * so their bytes are counted here as in the other floors, each in the cheapest way that Node 20 has: out by a
 * multiplication of the base point (half of an SPKI export), in as a JWK.
 */
function nodeFloor({ ca, server, client }: Material): Subject {
  const issuer = new X509Certificate(ca).publicKey;
  const ends = [server, client].map((identity) => {
    const certificate = new X509Certificate(identity.certificatePem);
    return { certificate, publicKey: certificate.publicKey, key: createPrivateKey(identity.privateKeyPem) };
  });
  const message = new Uint8Array(130);
  const hash = new Uint8Array(32);
  const importShare = (share: Buffer) =>
    createPublicKey({ key: { kty: "OKP", crv: "X25519", x: share.toString("base64url") }, format: "jwk" });
  // RFC 7748 4.1
  const basePoint = importShare(Buffer.of(9, ...new Uint8Array(31)));
  const share = () => {
    const { privateKey } = generateKeyPairSync("x25519");
    return { privateKey, bytes: diffieHellman({ privateKey, publicKey: basePoint }) };
  };
  return {
    name: "floor",
    run() {
      const ours = share();
      const theirs = share();
      diffieHellman({ privateKey: ours.privateKey, publicKey: importShare(theirs.bytes) });
      diffieHellman({ privateKey: theirs.privateKey, publicKey: importShare(ours.bytes) });
      for (const { certificate, publicKey, key } of ends) {
        const signature = sign("sha256", message, key);
        if (!verify("sha256", message, publicKey, signature)) throw new Error("floor: signature");
        if (!certificate.verify(issuer)) throw new Error("floor: certificate");
      }
      for (let i = 0; i < HMACS; i++) createHmac("sha256", hash).update(message).digest();
    },
  };
}

/** With WebCrypto: the same operations, those of both ends that do not wait for each other side by side. */
async function webCryptoFloor({ ca, server, client }: Material): Promise<Subject> {
  const { subtle } = globalThis.crypto;
  const ecdsa = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
  const importPublic = (der: Uint8Array) =>
    subtle.importKey("spki", new Uint8Array(parseCertificate(der).publicKey.spki), ecdsa, false, ["verify"]);
  const issuer = await importPublic(derOf(ca));
  const ends = await Promise.all(
    [server, client].map(async ({ certificates, privateKey }) => ({
      publicKey: await importPublic(certificates[0] as Uint8Array),
      privateKey: await subtle.importKey("pkcs8", new Uint8Array(privateKey), ecdsa, false, ["sign"]),
    })),
  );
  const message = new Uint8Array(130);
  const { sha256 } = nobleProvider.hashes;
  const share = async () => {
    const pair = (await subtle.generateKey({ name: "X25519" }, false, ["deriveBits"])) as CryptoKeyPair;
    return { pair, raw: new Uint8Array(await subtle.exportKey("raw", pair.publicKey)) };
  };
  const agree = async ({ privateKey }: CryptoKeyPair, raw: Uint8Array<ArrayBuffer>) => {
    const peer = await subtle.importKey("raw", raw, { name: "X25519" }, false, []);
    return subtle.deriveBits({ name: "X25519", public: peer }, privateKey, 256);
  };
  const signature = new Uint8Array(
    await subtle.sign(ecdsa, (ends[0] as { privateKey: CryptoKey }).privateKey, message),
  );
  return {
    name: "floor",
    async run() {
      const ours = await share();
      const theirs = await share();
      await agree(theirs.pair, ours.raw);
      await agree(ours.pair, theirs.raw);
      for (const { publicKey, privateKey } of ends) {
        const signed = await subtle.sign(ecdsa, privateKey, message);
        if (!(await subtle.verify(ecdsa, publicKey, signed, message))) throw new Error("floor: signature");
        await subtle.verify(ecdsa, issuer, signature, message);
      }
      for (let i = 0; i < HMACS; i++) sha256.hmac(message.subarray(0, 32), message);
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
