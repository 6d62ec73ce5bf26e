/**
 * What must hold in every runtime, as one module that needs nothing but the platform: injected into browsers, Workers and
 * server-side runtimes alike. A case that fails throws.
 */
import { nobleProvider } from "../../src/crypto/noble.ts";
import {
  accept,
  type ByteStream,
  type CryptoProvider,
  clientContext,
  connect,
  createWebCryptoProvider,
  memoryPair,
  type Signer,
  serverContext,
  signerFromCryptoKey,
  type TlsSession,
  warmup,
} from "../../src/index.ts";
import * as lean from "../../src/lean.ts";
import * as pki from "../../src/pki/index.ts";
import { encryptPrivateKey, readPrivateKey } from "../../src/pki/pkcs8.ts";
import { readPkcs12, writePkcs12 } from "../../src/pki/pkcs12.ts";

export type Kind = "P-256" | "P-384" | "P-521" | "Ed25519" | "RSA" | "RSA-PSS";

/** PEM. */
export interface Pem {
  readonly cert: string;
  readonly key: string;
}

/** Certificates for the cases, made by whoever runs them. */
export interface Material {
  /** PEM of the root. */
  readonly ca: string;
  readonly server: Readonly<Record<Kind, Pem>>;
  /** CN `client P-256` and so on. */
  readonly client: Readonly<Record<Kind, Pem>>;
  readonly alice: Pem;
  readonly bob: Pem;
  /** Of another authority. */
  readonly stranger: Pem;
  /** An old Windows's PKCS#12 under the pass phrase `windows`, in base64. */
  readonly windows: string;
}

/** A case that has been run. */
export interface Result {
  readonly name: string;
  /** Absent where it passed. */
  readonly error?: string;
  /** What it has to tell. */
  readonly note?: string;
}

type Case = (material: Material) => Promise<unknown>;

type Options = Parameters<typeof connect>[1] & object;
type Configuration = Exclude<Parameters<typeof connect>[1], { engine: unknown }>;
type ServerConfiguration = Exclude<Parameters<typeof accept>[1], { engine: unknown }>;

const SUITES = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"] as const;
const GROUPS = ["x25519", "secp256r1", "secp384r1", "secp521r1", "X25519MLKEM768"] as const;
const KINDS: readonly Kind[] = ["P-256", "P-384", "P-521", "Ed25519", "RSA", "RSA-PSS"];

const webCrypto = once(() => createWebCryptoProvider({ fallback: nobleProvider }));
/** Tried out, so that it offers what there is. */
const alone = once(async () => {
  const provider = createWebCryptoProvider();
  await provider.warmup();
  return provider;
});

/** Every record is WebCrypto's, small ones and the handshake's too. */
const leanAlone = once(async () => {
  const provider = lean.createLeanProvider();
  await provider.warmup();
  return provider;
});

const PROVIDERS: Readonly<Record<string, () => CryptoProvider>> = { webcrypto: webCrypto, noble: () => nobleProvider };

const cases = new Map<string, Case>();

/** The names of all cases, in the order in which they are run. */
export function caseNames(): string[] {
  return [...cases.keys()];
}

/** Runs every case, one after the other. */
export async function runCases(material: Material, report: (result: Result) => void): Promise<void> {
  for (const [name, run] of cases) {
    try {
      const note = await run(material);
      report(note === undefined ? { name } : { name, note: String(note) });
    } catch (error) {
      report({ name, error: describe(error) });
    }
  }
}

/**
 * The cases with another provider, which not every runtime has.
 *
 * @returns Their names.
 */
export function addProvider(name: string, provider: () => CryptoProvider): string[] {
  const known = cases.size;
  const both = () => ({ provider: provider() });
  for (const suite of SUITES) {
    cases.set(`${name}, ${suite}`, async (material) => {
      const [client, server] = await mutual(material, { ...both(), cipherSuites: [suite], groups: ["x25519"] }, both());
      equal([client.cipherSuite, server.cipherSuite], [suite, suite]);
      await finish(client, server);
    });
  }
  for (const group of GROUPS) {
    cases.set(`${name}, ${group}`, async (material) => {
      const server = { ...both(), groups: GROUPS };
      const [client, peer] = await mutual(material, { ...both(), groups: [group] }, server);
      equal([client.group, peer.group, client.retried], [group, group, false]);
      await finish(client, peer);
    });
  }
  for (const kind of KINDS) {
    cases.set(`${name}, ${kind} certificates`, async (material) => {
      const [client, server] = await mutual(
        material,
        { ...both(), groups: ["x25519"], identities: [material.client[kind]] },
        { ...both(), identities: [material.server[kind]] },
      );
      equal([client.verified, server.verified], [true, true]);
      equal([client.peer?.commonName, server.peer?.commonName], ["localhost", `client ${kind}`]);
      equal(client.signatureScheme, server.peerSignatureScheme);
      await finish(client, server);
    });
  }
  cases.set(`${name}, HelloRetryRequest`, async (material) => {
    const server = { ...both(), groups: ["secp384r1"] } as const;
    const [client, peer] = await mutual(material, { ...both(), groups: ["x25519", "secp384r1"] }, server);
    equal([client.retried, peer.retried, client.group], [true, true, "secp384r1"]);
    await finish(client, peer);
  });
  cases.set(`${name}, 1 MB each way`, async (material) => {
    const [client, server] = await mutual(material, { ...both(), groups: ["x25519"] }, both());
    await echo(client, server, 1_000_000);
  });
  for (const [what, refusal] of Object.entries(REFUSALS)) {
    cases.set(`${name} refuses ${what}`, (material) => refused(material, both(), refusal(material)));
  }
  return [...cases.keys()].slice(known);
}

/** What is changed so that the handshake fails, and the codes on both sides. */
interface Refusal {
  readonly client?: Partial<Configuration>;
  readonly server?: Partial<ServerConfiguration>;
  readonly wire?: (stream: ByteStream) => ByteStream;
  readonly codes: readonly [client: string, server: string];
}

const REFUSALS: Readonly<Record<string, (material: Material) => Refusal>> = {
  "a client without a certificate": () => ({
    client: { identities: [] },
    codes: ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE"],
  }),
  "a client of another authority": ({ stranger }) => ({
    client: { identities: [stranger], ignoreRequestHints: true },
    codes: ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
  }),
  "a server of another authority": ({ stranger }) => ({
    server: { identities: [stranger] },
    codes: ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA"],
  }),
  "a server of another name": () => ({
    client: { serverName: "elsewhere.test" },
    codes: ["ERR_TLS_CERT_ALTNAME_INVALID", "ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE"],
  }),
  "an expired certificate": () => ({
    client: { clock: () => Date.now() + 400 * 86_400_000 },
    codes: ["CERT_HAS_EXPIRED", "ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED"],
  }),
  "a server without the certificate's key": ({ server, client }) => ({
    server: { identities: [{ cert: server["P-256"].cert, key: signerOf(client["P-256"].key) }] },
    codes: ["ERR_SSL_BAD_SIGNATURE", "ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR"],
  }),
  "a client without the certificate's key": ({ server, client }) => ({
    client: { identities: [{ cert: client["P-256"].cert, key: signerOf(server["P-256"].key) }] },
    codes: ["ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR", "ERR_SSL_BAD_SIGNATURE"],
  }),
  "a damaged record": () => ({
    wire: damaged,
    codes: ["ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC"],
  }),
};

for (const [name, provider] of Object.entries(PROVIDERS)) addProvider(name, provider);

for (const kind of ["P-256", "P-384", "P-521", "Ed25519", "RSA-PSS"] as const) {
  cases.set(`a CryptoKey of ${kind} that cannot be exported`, async (material) => {
    const [key, lack] = await cryptoKey(kind, material.client[kind].key);
    if (key === undefined) return `WebCrypto has no ${kind} here: ${lack}`;
    equal(key.extractable, false);
    const identity = { cert: material.client[kind].cert, key: signerFromCryptoKey(key) };
    const options = { provider: webCrypto(), groups: ["x25519"], identities: [identity] } as const;
    const [client, server] = await mutual(material, options, { provider: webCrypto() });
    equal(server.peer?.commonName, `client ${kind}`);
    await finish(client, server);
    return undefined;
  });
}

cases.set("WebCrypto alone: all it has", async (material) => {
  const provider = await alone();
  const groups = provider.groups.map(({ name }) => name);
  includes(groups, ["secp256r1", "secp384r1"]);
  for (const group of groups) {
    const [client, server] = await mutual(material, { provider, groups: [group] }, { provider, groups: [group] });
    equal([client.group, server.group], [group, group]);
    await finish(client, server);
  }
  for (const suite of provider.suites) {
    const [client, server] = await mutual(material, { provider, cipherSuites: [suite.name] }, { provider });
    equal(client.cipherSuite, suite.name);
    await finish(client, server);
  }
  const kinds: Kind[] = [];
  for (const kind of KINDS) {
    if ((await cryptoKey(kind, material.client[kind].key))[0] === undefined) continue;
    const [client, server] = await mutual(
      material,
      { provider, identities: [material.client[kind]] },
      { provider, identities: [material.server[kind]] },
    );
    equal(server.peer?.commonName, `client ${kind}`);
    await finish(client, server);
    kinds.push(kind);
  }
  includes(kinds, ["P-256", "P-384", "RSA", "RSA-PSS"]);
  return [...groups, ...kinds].join(", ");
});

cases.set("every record in WebCrypto, 1 MB each way, across KeyUpdates", async (material) => {
  const both = { provider: await leanAlone(), recordsPerKey: 10 };
  const [client, server] = await mutual(material, both, both);
  equal([client.cipherSuite, client.verified, server.verified], ["TLS_AES_128_GCM_SHA256", true, true]);
  client.updateKeys("update_requested");
  await echo(client, server, 1_000_000);
});

for (const [what, refusal] of Object.entries(REFUSALS)) {
  cases.set(`every record in WebCrypto refuses ${what}`, async (material) => {
    const { client, ...rest } = refusal(material);
    const platform = { groups: ["secp256r1"], ...client } as const;
    await refused(material, { provider: await leanAlone() }, { ...rest, client: platform });
  });
}

cases.set("the lean entry point", async (material) => {
  const [near, far] = lean.memoryPair();
  const [client, server] = await Promise.all([
    lean.connect(near, clientOptions(material)),
    lean.accept(far, serverOptions(material)),
  ]);
  equal([client.verified, server.verified], [true, true]);
  const { groups } = await alone();
  equal(client.group, groups.some(({ name }) => name === "x25519") ? "x25519" : "secp256r1");
  await echo(client, server, 100_000);
});

cases.set("the root entry point, by default", async (material) => {
  await warmup();
  const [near, far] = memoryPair();
  const [client, server] = await Promise.all([
    connect(near, clientOptions(material)),
    accept(far, serverOptions(material)),
  ]);
  equal([client.group, client.verified, server.verified], ["X25519MLKEM768", true, true]);
  await echo(client, server, 100_000);
});

/** Times that two identities meet one server at once. */
const MEETINGS = 500;

cases.set(`two identities never mix, ${MEETINGS} times`, async (material) => {
  const provider = webCrypto();
  const base = { provider, trust: material.ca, serverName: "localhost", groups: ["x25519"] } as const;
  const clients = [
    ["alice", clientContext({ ...base, identities: [material.alice] })],
    ["bob", clientContext({ ...base, identities: [material.bob] })],
  ] as const;
  const server = serverContext({ ...serverOptions(material), provider });
  const visit = async (name: string, context: Options): Promise<void> => {
    const [near, far] = memoryPair();
    const serving = accept(far, server).then(async (session) => {
      await writeAll(session, utf8(`${session.peer?.commonName}`));
      await session.readable.cancel();
    });
    const session = await connect(near, context as ReturnType<typeof clientContext>);
    const seen = new TextDecoder().decode(await readAll(session));
    await Promise.all([session.close(), serving]);
    equal(seen, name);
  };
  for (let i = 0; i < MEETINGS; i++) await Promise.all(clients.map(([name, context]) => visit(name, context)));
});

cases.set("PKCS#12 and encrypted keys", async (material) => {
  const file = await writePkcs12({ identities: [{ ...material.alice, friendlyName: "alice" }] }, "secret");
  const { identities, mac } = await readPkcs12(file, "secret");
  equal([identities.map(({ friendlyName }) => friendlyName), mac], [["alice"], "sha256"]);
  const [client, server] = await mutual(material, { provider: webCrypto(), identities }, { provider: webCrypto() });
  equal(server.peer?.commonName, "alice");
  await finish(client, server);
  equal(
    [...(await readPrivateKey(await encryptPrivateKey(material.alice.key, "secret"), "secret"))],
    [...(identities[0]?.key ?? [])],
  );
  // 3DES and RC2, which no platform has.
  const old = await readPkcs12(
    Uint8Array.from(atob(material.windows), (character) => character.charCodeAt(0)),
    "windows",
  );
  equal([old.identities.length, old.certificates.length, old.mac], [1, 1, "sha1"]);
});

for (const kind of ["P-256", "P-384", "Ed25519"] as const) {
  cases.set(`a key of ${kind} that nobody can read: request, certificate, handshake, CRL`, async (material) => {
    const algorithm = kind === "Ed25519" ? { name: kind } : { name: "ECDSA", namedCurve: kind };
    const pair = (await crypto.subtle.generateKey(algorithm, false, ["sign", "verify"])) as CryptoKeyPair;
    const request = await pki.readCertificationRequest(
      await pki.createCertificationRequest({ subject: "carol" }, pair),
    );
    const signer = await pki.generateKeyPair(kind);
    const root = { certificate: await pki.createRoot({ subject: "edge" }, signer), signer };
    const { spki } = request.publicKey;
    const der = await pki.issueCertificate({ profile: "client", subject: pki.subjectOf(request.subject), spki }, root);
    const [client, server] = await mutual(
      material,
      { identities: [{ cert: pki.writePem("CERTIFICATE", der), key: signerFromCryptoKey(pair.privateKey) }] },
      { trust: pki.writePem("CERTIFICATE", root.certificate) },
    );
    equal([server.verified, server.peer?.subject], [true, "CN=carol"]);
    await finish(client, server);
    const { serialNumber, issuer } = pki.parseCertificate(der);
    const crl = await pki.createCrl({ number: 1n, revoked: [{ serialNumber, revokedAt: Date.now() }] }, root);
    equal(pki.parseCrl(crl).find(issuer, serialNumber)?.reason, "unspecified");
  });
}

cases.set("what goes to the fallback", async () => {
  const provider = webCrypto();
  await provider.warmup();
  includes(
    provider.fallbacks.map((text) => text.slice(0, text.indexOf(":"))),
    ["ChaCha20-Poly1305", "ML-KEM-768"],
  );
  return provider.fallbacks.join("; ");
});

function clientOptions(material: Material) {
  return { trust: material.ca, serverName: "localhost", identities: [material.client["P-256"]] };
}

function serverOptions(material: Material) {
  return { trust: material.ca, identities: [material.server["P-256"]], clientAuth: "on" } as const;
}

/** Both ends of a mutual handshake over memory. */
async function mutual(
  material: Material,
  client: Partial<Configuration>,
  server: Partial<ServerConfiguration>,
): Promise<[TlsSession, TlsSession]> {
  const [near, far] = memoryPair();
  return Promise.all([
    connect(near, { ...clientOptions(material), ...client }),
    accept(far, { ...serverOptions(material), ...server }),
  ]);
}

/** Ends both ends in order. */
async function finish(...sessions: readonly TlsSession[]): Promise<void> {
  await Promise.all(sessions.map((session) => session.close()));
  await Promise.all(sessions.map((session) => session.readable.cancel()));
  await Promise.all(sessions.map((session) => session.closed));
}

/** The server sends back what it gets; what comes back must be what was sent. */
async function echo(client: TlsSession, server: TlsSession, length: number): Promise<void> {
  const data = new Uint8Array(length);
  for (let i = 0; i < length; i++) data[i] = (i * 31 + (i >> 8) * 7 + (i >> 16)) & 0xff;
  const [, , back] = await Promise.all([
    server.readable.pipeTo(server.writable),
    writeAll(client, data),
    readAll(client),
  ]);
  equal(await hash(back), await hash(data));
  await Promise.all([client.closed, server.closed]);
}

/** Both ends' errors; the client's may come after its handshake (RFC 8446 2). */
async function refused(
  material: Material,
  both: { readonly provider: CryptoProvider },
  { client = {}, server = {}, wire = (stream) => stream, codes }: Refusal,
): Promise<void> {
  const [near, far] = memoryPair();
  const codesSeen = await Promise.all([
    codeOf(async () => {
      const options = { ...clientOptions(material), ...both, groups: ["x25519"] as const, ...client };
      const session = await connect(wire(near), options);
      await session.accepted;
    }),
    codeOf(() => accept(far, { ...serverOptions(material), ...both, ...server })),
  ]);
  equal(codesSeen, codes);
}

/** Changes the last byte of the first protected record that comes. */
function damaged({ readable, writable }: ByteStream): ByteStream {
  let done = false;
  const change = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      const copy = chunk.slice();
      for (let at = 0; !done && at + 5 <= copy.length; ) {
        const end = at + 5 + (copy[at + 3] as number) * 256 + (copy[at + 4] as number);
        if (copy[at] === 23 && end <= copy.length) {
          copy[end - 1] = (copy[end - 1] as number) ^ 1;
          done = true;
        }
        at = end;
      }
      controller.enqueue(copy);
    },
  });
  return { readable: readable.pipeThrough(change), writable };
}

/** Signs with a key whatever certificate it stands beside. */
function signerOf(pem: string): Signer {
  return nobleProvider.signer(fromPem(pem));
}

const IMPORTS: Readonly<Record<Kind, EcKeyImportParams | RsaHashedImportParams | string>> = {
  "P-256": { name: "ECDSA", namedCurve: "P-256" },
  "P-384": { name: "ECDSA", namedCurve: "P-384" },
  "P-521": { name: "ECDSA", namedCurve: "P-521" },
  Ed25519: "Ed25519",
  RSA: { name: "RSA-PSS", hash: "SHA-256" },
  "RSA-PSS": { name: "RSA-PSS", hash: "SHA-384" },
};

/** The key in WebCrypto, or why it is not. */
async function cryptoKey(kind: Kind, pem: string): Promise<[CryptoKey | undefined, string]> {
  const pkcs8 = fromPem(pem);
  try {
    return [await crypto.subtle.importKey("pkcs8", rsaEncryption(pkcs8), IMPORTS[kind], false, ["sign"]), ""];
  } catch (error) {
    return [undefined, describe(error)];
  }
}

/** WebCrypto knows RSA keys as rsaEncryption only: 1.2.840.113549.1.1.10 becomes .1, with NULL where nothing was. */
function rsaEncryption(pkcs8: Uint8Array): Uint8Array<ArrayBuffer> {
  const hex = Array.from(pkcs8, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const pss = "300b06092a864886f70d01010a";
  if (!hex.includes(pss)) return new Uint8Array(pkcs8);
  const inner = hex.slice(8).replace(pss, "300d06092a864886f70d0101010500");
  const length = (inner.length / 2).toString(16).padStart(4, "0");
  const bytes = (`3082${length}${inner}`.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16));
  return Uint8Array.from(bytes);
}

function fromPem(pem: string): Uint8Array {
  return Uint8Array.from(atob(pem.replace(/-----[^-]+-----|\s/g, "")), (char) => char.charCodeAt(0));
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Writes everything and closes that direction. */
export async function writeAll({ writable }: TlsSession, data: Uint8Array): Promise<void> {
  const writer = writable.getWriter();
  for (let at = 0; at < data.length; at += 50_000) await writer.write(data.subarray(at, at + 50_000));
  await writer.close();
}

/** Everything up to the end. */
export async function readAll({ readable }: TlsSession): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const reader = readable.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
  }
  const all = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

async function hash(data: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(data)));
  return `${data.length} ${Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

async function codeOf(act: () => Promise<unknown>): Promise<string> {
  try {
    await act();
    return "none";
  } catch (error) {
    return (error as { code?: string }).code ?? describe(error);
  }
}

export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as { code?: unknown };
  return `${error.name}${code === undefined ? "" : ` ${code}`}: ${error.message}\n${error.stack ?? ""}`;
}

function equal(actual: unknown, expected: unknown): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${a} is not ${b}`);
}

function includes<T>(actual: readonly T[], expected: readonly T[]): void {
  const missing = expected.filter((value) => !actual.includes(value));
  if (missing.length > 0) throw new Error(`${JSON.stringify(actual)} lacks ${JSON.stringify(missing)}`);
}

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
