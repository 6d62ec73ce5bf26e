/** What a page does that gets a certificate: a key nobody can read, a request for it, a handshake with the answer. */
import { accept, connect, memoryPair, signerFromCryptoKey } from "../../src/index.ts";
import { createCertificationRequest } from "../../src/pki/index.ts";

const ALGORITHMS = { "P-256": { name: "ECDSA", namedCurve: "P-256" }, Ed25519: { name: "Ed25519" } } as const;

let pair: CryptoKeyPair;

/** The request, and whether the key can be read after all. */
async function request(kind: keyof typeof ALGORITHMS, subject: string): Promise<{ csr: string; readable: boolean }> {
  pair = (await crypto.subtle.generateKey(ALGORITHMS[kind], false, ["sign", "verify"])) as CryptoKeyPair;
  const csr = await createCertificationRequest({ subject, emails: ["alice@example.com"] }, pair);
  const readable = await crypto.subtle.exportKey("pkcs8", pair.privateKey).then(
    () => true,
    () => false,
  );
  return { csr, readable: readable || pair.privateKey.extractable };
}

/** What a server that wants certificates of this CA learns of the page. */
async function present(cert: string, server: { cert: string; key: string }, trust: string) {
  const [near, far] = memoryPair();
  const [client, other] = await Promise.all([
    connect(near, {
      serverName: "localhost",
      trust,
      identities: [{ cert, key: signerFromCryptoKey(pair.privateKey) }],
    }),
    accept(far, { identities: [server], clientAuth: "on", trust }),
  ]);
  return { verified: client.verified && other.verified, subject: other.peer?.subject, emails: other.peer?.names.email };
}

Object.assign(globalThis, { request, present });
