/** Credentials, trust and preferences that connections share: node:tls's SecureContext. */
import { createHash, createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import type { SecureContextOptions } from "node:tls";
import { readPem } from "../../bytes/pem.ts";
import type { SignatureSchemeName } from "../../codec/registry.ts";
import { nodeProvider } from "../../crypto/node.ts";
import type { Signer } from "../../crypto/provider.ts";
import { resolveClient } from "../../engine/client-options.ts";
import { everyFeature } from "../../engine/features/index.ts";
import { resolveServer } from "../../engine/server-options.ts";
import { fault } from "../../errors.ts";
import type { ClientConfig, ServerConfig } from "../../handshake/config.ts";
import { createIdentity, type Identity } from "../../handshake/identity.ts";
import { MAX_TICKET_LIFETIME } from "../../handshake/session.ts";
import type { Pkcs12 } from "../../pki/pkcs12.ts";
import { revocationChecker } from "../../x509/revocation.ts";
import { type TrustSource, TrustStore, trustStore } from "../../x509/trust.ts";
import { acceptAnyVerifier, type CertificateVerifier, trustVerifier } from "../../x509/verifier.ts";
import { readPkcs12Sync } from "../pkcs12.ts";
import { platformTrust } from "../trust.ts";
import { defaults } from "./defaults.ts";
import { argumentError } from "./errors.ts";
import { refuseOptions } from "./members.ts";
import { checkSecureOptions, checkVersions, parseCiphers, parseCurves, parseSigalgs, SUITES } from "./names.ts";
import { TicketKeys } from "./resumption.ts";

type Bytes = string | NodeJS.ArrayBufferView;
type Key = Bytes | Signer | { readonly pem: Bytes; readonly passphrase?: string | undefined };

type PfxEntry = Bytes | { readonly buf: Bytes; readonly passphrase?: string | undefined };

/** node:tls's options, and keys that are not here: anything with `schemes` and `sign`. */
export type ContextOptions = Omit<SecureContextOptions, "key"> & {
  readonly key?: SecureContextOptions["key"] | Signer | readonly Signer[];
};

/** A peer may send 16 certificates; the rest of `ca` may be as many as it is. */
const MAX_CERTIFICATES = 1000;

/**
 * What {@link createSecureContext} makes. Certificates and keys are read once; connections only look.
 *
 * @example
 * ```ts
 * console.log(new SecureContext({ cert, key }).identities.length); // 1
 * ```
 */
export class SecureContext {
  readonly identities: readonly Identity[];
  /** Of a server's tickets. */
  readonly ticketKeys: TicketKeys;
  readonly #options: ContextOptions;
  /** As in node:tls, all certificates of `pfx` but the keys' own are believed, and named to clients. */
  readonly #fromPfx: readonly Uint8Array[];
  #trust: ContextTrust | undefined;
  readonly #preferences: Preferences;
  readonly #tickets: ReturnType<typeof readTicketOptions>;
  #client: ClientConfig | undefined;
  #server: ServerConfig | undefined;

  constructor(options: ContextOptions = {}) {
    refuseOptions("context", options);
    const { minVersion, maxVersion = defaults.DEFAULT_MAX_VERSION, secureProtocol } = options;
    checkVersions(minVersion, secureProtocol ? options.maxVersion : maxVersion, secureProtocol);
    checkSecureOptions(options.secureOptions);
    if (options.honorCipherOrder === false) {
      throw fault("ERR_TLS_OPTION", "honorCipherOrder: the server's order of cipher suites decides");
    }
    this.#options = options;
    this.#preferences = readPreferences(options);
    const files = readPfx(options);
    this.#fromPfx = files.flatMap(othersOf);
    this.identities = [...readIdentities(options), ...files.flatMap((file) => pfxIdentities(file, options.ca))];
    this.ticketKeys = new TicketKeys(options.ticketKeys);
    this.#tickets = readTicketOptions(options);
    if (options.ca || options.crl) this.#trust = this.#readTrust(options);
  }

  /** node:tls keeps its native half here; callers that pass it on pass this. */
  get context(): SecureContext {
    return this;
  }

  /** Distinguished names for a CertificateRequest: those of `ca` and `pfx`, and none where both were left out. */
  get authorities(): readonly Uint8Array[] {
    return this.#options.ca ? this.trust.authorities : trustStore(this.#fromPfx).subjects;
  }

  /** Whom connections believe; the root store of Node where `ca` was left out, read when first needed. */
  get trust(): ContextTrust {
    this.#trust ??= this.#readTrust(this.#options);
    return this.#trust;
  }

  #readTrust({ ca, ...options }: ContextOptions): ContextTrust {
    const own = ca ? list<Bytes>(ca as Bytes | readonly Bytes[]).map(bytesOf) : [platformTrust()];
    return readTrust([...own, ...this.#fromPfx], options);
  }

  /** A client's configuration but for what belongs to one connection. */
  get client(): ClientConfig {
    this.#client ??= resolveClient(
      {
        ...this.#preferences,
        identities: this.identities,
        // Names are compared by `checkServerIdentity`.
        checkServerName: false,
        // OpenSSL sends the certificate that it was given, whatever authorities the server names.
        ignoreRequestHints: true,
      },
      everyFeature,
    );
    return this.#client;
  }

  /** A server's configuration but for what belongs to one connection. */
  get server(): ServerConfig {
    this.#server ??= resolveServer({
      ...this.#preferences,
      identities: this.identities,
      onClientHello: () => undefined,
      tickets: this.#tickets && { ...this.#tickets, store: this.ticketKeys.store },
    });
    return this.#server;
  }

  /** The issuer of one of `identities`, DER, where it is known. */
  issuerOf({ certificates, parsed }: Identity): Uint8Array | undefined {
    const [leaf] = parsed;
    if (certificates[1] !== undefined || leaf === undefined || !this.#options.ca) return certificates[1];
    return this.trust.known.named(leaf.issuer)[0]?.der;
  }

  /** The same with other credentials: what `setKeyCert` does. */
  withIdentities(identities: readonly Identity[]): SecureContext {
    const other = new SecureContext({ ...this.#options, cert: undefined, key: undefined });
    Object.assign(other, { identities, ticketKeys: this.ticketKeys });
    return other;
  }
}

/**
 * Credentials, trust and preferences for any number of connections: node:tls's function of the same name.
 *
 * @param options - node:tls's. `key` may also be a {@link Signer}, or several, each in its certificate's place.
 * @throws TlsError `ERR_TLS_OPTION` for what is not supported, `ERR_TLS_PEM`, `CERT_PARSE_ERROR`,
 * `ERR_OSSL_X509_KEY_VALUES_MISMATCH`; Node's errors for keys that it cannot read.
 * @example
 * ```ts
 * const secureContext = createSecureContext({ cert, key, ca });
 * const tlsSocket = new TLSSocket(net.connect({ host: "localhost", port }), { secureContext });
 * tlsSocket.once("secure", () => tlsSocket.destroy());
 * ```
 */
export function createSecureContext(options: ContextOptions = {}): SecureContext {
  return new SecureContext(options ?? {});
}

/** A context that somebody handed over, or the one that options describe. */
export function contextOf(secureContext: unknown, options: () => ContextOptions): SecureContext {
  if (secureContext === undefined || secureContext === null) return createSecureContext(options());
  if (secureContext instanceof SecureContext) return secureContext;
  throw argumentError("ERR_TLS_INVALID_CONTEXT", "a secure context must come from mutls's createSecureContext");
}

type Preferences = ReturnType<typeof readPreferences>;

function readPreferences({ ciphers, ecdhCurve, sigalgs }: ContextOptions) {
  return {
    provider: nodeProvider,
    clock: Date.now,
    verifier: acceptAnyVerifier(),
    cipherSuites: parseCiphers(ciphers ?? defaults.DEFAULT_CIPHERS) ?? SUITES,
    groups: parseCurves(ecdhCurve ?? defaults.DEFAULT_ECDH_CURVE),
    signatureSchemes: sigalgs === undefined ? undefined : parseSigalgs(sigalgs, verifiable()),
  };
}

/** Seconds, OpenSSL's. */
const SESSION_TIMEOUT = 300;

/** `undefined`: no tickets, since they would have expired when they come. */
function readTicketOptions({ sessionTimeout, sessionIdContext }: ContextOptions) {
  const lifetime: unknown = sessionTimeout ?? SESSION_TIMEOUT;
  if (!Number.isInteger(lifetime) || (lifetime as number) < 0) {
    throw argumentError("ERR_OUT_OF_RANGE", `sessionTimeout ${lifetime} is no number of seconds`);
  }
  const group: unknown = sessionIdContext ?? "";
  if (typeof group !== "string") throw argumentError("ERR_INVALID_ARG_TYPE", "sessionIdContext must be a string");
  if (lifetime === 0) return undefined;
  return {
    // RFC 8446 4.6.1: no ticket lives for longer.
    lifetime: Math.min(lifetime as number, MAX_TICKET_LIFETIME),
    policyVersion: createHash("sha256").update(group).digest("hex"),
  };
}

/** Who is believed, and with the help of which other certificates. */
export interface ContextTrust {
  readonly verifier: CertificateVerifier;
  readonly authorities: readonly Uint8Array[];
  /** All of `ca`, anchors or not. */
  readonly known: TrustStore;
}

/** node:tls's forms: one file, or a list of files, each alone or with its own pass phrase. */
function readPfx({ pfx, passphrase }: ContextOptions): readonly Pkcs12[] {
  return list<PfxEntry>(pfx as PfxEntry | readonly PfxEntry[] | undefined).map((entry) => {
    const own = typeof entry === "object" && "buf" in entry ? entry : { buf: entry, passphrase: undefined };
    const file = readPkcs12Sync(bytesOf(own.buf as Bytes), own.passphrase || passphrase);
    if (file.identities.length === 0) throw fault("ERR_TLS_PKCS12", "pfx: no private key with its certificate");
    return file;
  });
}

/** All of them, where OpenSSL takes the first that it finds. */
function pfxIdentities({ identities }: Pkcs12, ca: ContextOptions["ca"]): Identity[] {
  return identities.map(({ cert, key }) => {
    const leaf = new X509Certificate(cert[0]);
    if (!leaf.checkPrivateKey(createPrivateKey({ key: Buffer.from(key), format: "der", type: "pkcs8" }))) {
      throw fault("ERR_OSSL_X509_KEY_VALUES_MISMATCH", "pfx: the certificate is not the key's");
    }
    return createIdentity(completed(cert, leaf, ca), nodeProvider.signer(key));
  });
}

function othersOf({ identities, certificates, trusted }: Pkcs12): readonly Uint8Array[] {
  return [...identities.flatMap(({ cert }) => cert.slice(1)), ...[...certificates, ...trusted].map(({ cert }) => cert)];
}

/**
 * As OpenSSL: a path must end in a self-issued certificate, unless partial chains are allowed; the others help. With CRLs,
 * each certificate needs one of its issuer's.
 */
function readTrust(
  sources: readonly TrustSource[],
  { allowPartialTrustChain: partial = false, crl }: ContextOptions,
): ContextTrust {
  const all = trustStore(sources);
  const crls = list<Bytes>(crl).map(bytesOf);
  const revocation = crls.length === 0 ? undefined : revocationChecker({ mode: "hard-fail", mustStaple: false, crls });
  const anchors = all.anchors.filter(({ subject, issuer }) => partial || subject.equals(issuer));
  const helpers = all.anchors.filter((certificate) => !anchors.includes(certificate)).map(({ der }) => der);
  const trust = new TrustStore(anchors, 0);
  const strict = trustVerifier({ trust, maxCertificates: MAX_CERTIFICATES, revocation });
  return {
    known: all,
    authorities: all.subjects,
    verifier:
      helpers.length === 0
        ? strict
        : { verify: (request) => strict.verify({ ...request, certificates: [...request.certificates, ...helpers] }) },
  };
}

/** Each chain with its key, in whatever order they come. */
function readIdentities({ ca, cert, key, passphrase }: ContextOptions): readonly Identity[] {
  const chains = list(cert).map((pem) =>
    readPem(bytesOf(pem)).filter(({ label }) => /^(X509 )?CERTIFICATE$/.test(label)),
  );
  const keys = list<Key>(key as Key | readonly Key[] | undefined);
  if (chains.some((chain) => chain.length === 0)) throw fault("ERR_TLS_PEM", "cert: no certificate in the PEM");
  const remote = keys.filter(isSigner);
  const local = keys.flatMap((entry) => (isSigner(entry) ? [] : [readKey(entry, passphrase)]));
  if (chains.length === 0) return [];
  const used = new Set<KeyObject>();
  const identities = chains.flatMap((chain) => {
    const leaf = new X509Certificate(chain[0]?.der ?? new Uint8Array(0));
    const found = local.find((candidate) => leaf.checkPrivateKey(candidate));
    if (found !== undefined) used.add(found);
    const signer = found === undefined ? remote.shift() : nodeProvider.signer(derOf(found));
    return signer === undefined
      ? []
      : [
          createIdentity(
            completed(
              chain.map(({ der }) => der),
              leaf,
              ca,
            ),
            signer,
          ),
        ];
  });
  if (used.size < local.length) throw fault("ERR_OSSL_X509_KEY_VALUES_MISMATCH", "no certificate in cert is the key's");
  return identities;
}

/** As OpenSSL: a certificate that comes alone is sent with the intermediates that are among `ca`. */
function completed(
  chain: readonly Uint8Array[],
  leaf: X509Certificate,
  ca: ContextOptions["ca"],
): readonly Uint8Array[] {
  if (chain.length > 1 || !ca) return chain;
  const others = trustStore(list(ca).map(bytesOf)).anchors.filter(({ subject, issuer }) => !subject.equals(issuer));
  const rest = others.map(({ der }) => new X509Certificate(der));
  const found = [...chain];
  for (let last: X509Certificate | undefined = leaf; last !== undefined; ) {
    const below: X509Certificate = last;
    const index = rest.findIndex((candidate) => below.checkIssued(candidate));
    last = index < 0 ? undefined : rest.splice(index, 1)[0];
    if (last !== undefined) found.push(new Uint8Array(last.raw));
  }
  return found;
}

function readKey(entry: Exclude<Key, Signer>, passphrase: string | undefined): KeyObject {
  const own = typeof entry === "object" && "pem" in entry ? entry : { pem: entry, passphrase: undefined };
  const phrase = own.passphrase ?? passphrase;
  return createPrivateKey({
    key: Buffer.from(bytesOf(own.pem as Bytes)),
    ...(phrase === undefined ? {} : { passphrase: phrase }),
  });
}

function derOf(key: KeyObject): Uint8Array {
  return new Uint8Array(key.export({ type: "pkcs8", format: "der" }));
}

function isSigner(key: Key): key is Signer {
  return typeof key === "object" && "sign" in key && typeof key.sign === "function";
}

function list<T>(value: T | readonly T[] | undefined | null): readonly T[] {
  if (value === undefined || value === null || value === "") return [];
  return Array.isArray(value) ? value : [value as T];
}

function bytesOf(value: Bytes): Uint8Array {
  if (typeof value === "string") return Buffer.from(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  throw argumentError("ERR_INVALID_ARG_TYPE", "certificates and keys are strings or bytes");
}

function verifiable(): readonly SignatureSchemeName[] {
  return resolveServer({
    provider: nodeProvider,
    clock: Date.now,
    identities: [],
    onClientHello: () => undefined,
  }).signatureSchemes;
}
