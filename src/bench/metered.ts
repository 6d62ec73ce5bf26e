/** What a handshake leans on, with a meter around each call: the provider, the verifier, compressors, ticket stores. */
import type {
  Aead,
  CipherSuite,
  CryptoProvider,
  Group,
  Hash,
  HashState,
  KeyShare,
  LateAead,
} from "../crypto/provider.ts";
import { type Flow, isPromiseLike, type Suspension } from "../flow.ts";
import type { CertificateCompression } from "../handshake/compression.ts";
import type { TicketStore } from "../handshake/tickets.ts";
import type { PeerIdentity } from "../x509/identity.ts";
import type { CertificateVerifier, VerifyRequest } from "../x509/verifier.ts";
import type { Meter } from "./meter.ts";

/**
 * The same provider, metered. What its operations are made of inside (the hash of a signature, the curve of a hybrid)
 * belongs to them.
 *
 * @example
 * ```ts
 * const meter = new Meter();
 * const metered = meteredProvider(nobleProvider, meter);
 * metered.hashes.sha256.hmac(new Uint8Array(32), new Uint8Array(0));
 * console.log(meter.read().hkdf.calls); // 1
 * ```
 */
export function meteredProvider(provider: CryptoProvider, meter: Meter): CryptoProvider {
  const hash = once((plain: Hash) => meteredHash(plain, meter));
  const group = once((plain: Group) => meteredGroup(plain, meter));
  const hashes = Object.fromEntries(
    Object.entries(provider.hashes).map(([name, plain]) => [name, plain && hash(plain)]),
  );
  const { usableKey } = provider;
  return {
    ...provider,
    hashes: hashes as CryptoProvider["hashes"],
    suites: provider.suites.map((plain) => meteredSuite(plain, hash(plain.hash), meter)),
    // A WebCrypto provider's own grow when it has found out what its platform has.
    get groups() {
      return provider.groups.map(group);
    },
    random: (length) => meter.run("random", () => provider.random(length)),
    verify: (key, algorithm, message, signature) =>
      meter.later(isHandshakeSignature(message) ? "verify_handshake" : "verify_certificate", () =>
        provider.verify(key, algorithm, message, signature),
      ),
    ...(usableKey && {
      usableKey: (key) => meter.later("check_key", () => usableKey.call(provider, key)),
    }),
    signer(pkcs8) {
      const signer = provider.signer(pkcs8);
      return {
        schemes: signer.schemes,
        sign: (scheme, message) => meter.later("sign", () => signer.sign(scheme, message)),
      };
    },
  };
}

/** The same object for the same object: the key schedule keeps what it knows about a hash by its identity. */
function once<T extends object>(make: (plain: T) => T): (plain: T) => T {
  const made = new Map<T, T>();
  return (plain) => {
    const known = made.get(plain) ?? make(plain);
    made.set(plain, known);
    return known;
  };
}

/** RFC 8446 4.4.3: 64 spaces, with which no DER begins. */
function isHandshakeSignature(message: Uint8Array): boolean {
  return message.length > 64 && message.subarray(0, 64).every((byte) => byte === 0x20);
}

/** A hash counts when it is taken; what goes into it is time alone. */
function meteredHash(plain: Hash, meter: Meter): Hash {
  const state = (running: HashState): HashState => ({
    update: (data) => meter.resume("hash", () => running.update(data)),
    clone: () => meter.resume("hash", () => state(running.clone())),
    digest: () => meter.run("hash", () => running.digest()),
  });
  return {
    name: plain.name,
    length: plain.length,
    start: () => meter.resume("hash", () => state(plain.start())),
    digest: (data) => meter.run("hash", () => plain.digest(data)),
    hmac: (key, data) => meter.run("hkdf", () => plain.hmac(key, data)),
  };
}

/** A record counts; the key that it is protected with is time alone. */
function meteredSuite(plain: CipherSuite, hash: Hash, meter: Meter): CipherSuite {
  return {
    ...plain,
    hash,
    aead: (key) =>
      meteredAead(
        meter.resume("protection", () => plain.aead(key)),
        meter,
      ),
  };
}

function meteredAead(aead: Aead, meter: Meter): Aead {
  if (aead.late) return { late: true, ...meteredLater(aead, meter) };
  const { bulk } = aead;
  return {
    seal: (nonce, additionalData, plaintext, target) =>
      meter.run("protection", () => aead.seal(nonce, additionalData, plaintext, target)),
    open: (nonce, additionalData, ciphertext) =>
      meter.run("protection", () => aead.open(nonce, additionalData, ciphertext)),
    bulk: bulk && { late: true, threshold: bulk.threshold, ...meteredLater(bulk, meter) },
  };
}

function meteredLater(aead: LateAead, meter: Meter): Pick<LateAead, "seal" | "open"> {
  return {
    seal: (...record) => meter.later("protection", () => aead.seal(...record)),
    open: (...record) => meter.later("protection", () => aead.open(...record)),
  };
}

function meteredGroup(plain: Group, meter: Meter): Group {
  const metered = (share: KeyShare): KeyShare => ({
    publicKey: share.publicKey,
    agree: (peer) => meter.later("key_agreement", () => share.agree(peer)),
  });
  return {
    name: plain.name,
    generate() {
      const made = meter.later("key_share", () => plain.generate());
      return isPromiseLike(made) ? made.then((settled) => metered(settled as KeyShare)) : metered(made);
    },
    encapsulate: (peer) => meter.later("encapsulation", () => plain.encapsulate(peer)),
  };
}

/**
 * The same verifier, metered: parsing, path validation and the name check, without the signatures, which are the provider's.
 *
 * @example
 * ```ts
 * const meter = new Meter();
 * const verifier = meteredVerifier(trustVerifier({ trust: trustStore(ca) }), meter);
 * const request = { certificates, role: "server", name: "localhost", time: Date.now(), provider } as const;
 * console.log((await settle(verifier.verify(request))).verified, meter.read().path.calls); // true 1
 * ```
 */
export function meteredVerifier(plain: CertificateVerifier, meter: Meter): CertificateVerifier {
  return {
    wantsStatus: plain.wantsStatus,
    trust: plain.trust,
    get generation() {
      return plain.generation;
    },
    verify: (request) => steps(plain, request, meter),
  };
}

function* steps(plain: CertificateVerifier, request: VerifyRequest, meter: Meter): Flow<PeerIdentity> {
  const flow = plain.verify(request);
  let step: IteratorResult<Suspension, PeerIdentity> = meter.run("path", () => flow.next());
  while (!step.done) {
    let resume: () => IteratorResult<Suspension, PeerIdentity>;
    try {
      const value: unknown = yield step.value;
      resume = () => flow.next(value);
    } catch (error) {
      resume = () => flow.throw(error);
    }
    step = meter.resume("path", resume);
  }
  return step.value;
}

/** The same tickets, metered: what sealing and opening takes, hashes and ciphers included. */
export function meteredTickets(plain: TicketStore, meter: Meter): TicketStore {
  return {
    issue: (...about) => meter.whole("ticket", () => plain.issue(...about)),
    redeem: (...about) => meter.whole("ticket", () => plain.redeem(...about)),
  };
}

/** The same compression, metered. */
export function meteredCompression(plain: CertificateCompression, meter: Meter): CertificateCompression {
  const { algorithm, compress, decompress } = plain;
  return {
    algorithm,
    ...(compress && { compress: (bytes) => meter.later("compression", () => compress.call(plain, bytes)) }),
    ...(decompress && {
      decompress: (bytes, length) => meter.later("compression", () => decompress.call(plain, bytes, length)),
    }),
  };
}
