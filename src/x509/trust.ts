/** Whom to believe: an immutable set of certificates, found by name. */
import { equal } from "../bytes/bytes.ts";
import { Tag } from "../bytes/der.ts";
import { readPem } from "../bytes/pem.ts";
import { fault, TlsError } from "../errors.ts";
import type { Certificate } from "./certificate.ts";
import type { DistinguishedName } from "./distinguished.ts";
import { parseCertificate } from "./parse.ts";

/** One or more certificates: PEM text, its bytes, the DER of one, one parsed, or what another store holds. */
export type TrustSource = string | Uint8Array | Certificate | TrustStore;

/**
 * Trust anchors, made by {@link trustStore}. Replace the store to change what is trusted.
 *
 * @example
 * ```ts
 * const [anchor] = trustStore(ca).anchors;
 * console.log(anchor?.subject.text); // CN=mutls throwaway root
 * ```
 */
export class TrustStore {
  /** In the order given, none twice. */
  readonly anchors: readonly Certificate[];
  /** Tells stores apart that follow each other; what was decided under another generation is to be decided again. */
  readonly generation: number;
  readonly #bySubject = new Map<string, Certificate[]>();
  /** By the last bytes of a subject as it is encoded: a lookup that decodes nothing. */
  readonly #byEncoding = new Map<number, Named[]>();
  /** By the last bytes of the certificate, which is its signature: a lookup that costs nothing. */
  readonly #byEnd = new Map<number, Certificate[]>();

  constructor(anchors: readonly Certificate[], generation: number) {
    const distinct: Certificate[] = [];
    for (const anchor of anchors) {
      const key = anchor.subject.key;
      const namesakes = this.#bySubject.get(key) ?? [];
      if (namesakes.some((other) => equal(other.der, anchor.der))) continue;
      this.#bySubject.set(key, [...namesakes, anchor]);
      const end = lastBytes(anchor.der);
      this.#byEnd.set(end, [...(this.#byEnd.get(end) ?? []), anchor]);
      distinct.push(anchor);
    }
    for (const { subject } of distinct) {
      const end = lastBytes(subject.der);
      const others = this.#byEncoding.get(end) ?? [];
      if (others.some(({ der }) => equal(der, subject.der))) continue;
      const named = { der: subject.der, anchors: this.#bySubject.get(subject.key) ?? [] };
      this.#byEncoding.set(end, [...others, named]);
    }
    this.anchors = distinct;
    this.generation = generation;
  }

  /** Subjects of the anchors, DER, for `certificate_authorities` (RFC 8446 4.2.4). */
  get subjects(): Uint8Array[] {
    return this.anchors.map(({ subject }) => subject.der);
  }

  /** Anchors with this subject. */
  named(subject: DistinguishedName): readonly Certificate[] {
    const encoded = this.#byEncoding.get(lastBytes(subject.der))?.find(({ der }) => equal(der, subject.der));
    return encoded?.anchors ?? this.#bySubject.get(subject.key) ?? [];
  }

  /** The anchor that is this very certificate. */
  find(certificate: Certificate): Certificate | undefined {
    return this.#byEnd.get(lastBytes(certificate.der))?.find((anchor) => equal(anchor.der, certificate.der));
  }
}

/** Anchors that share a subject, and one of its encodings. */
interface Named {
  readonly der: Uint8Array;
  readonly anchors: readonly Certificate[];
}

function lastBytes(der: Uint8Array): number {
  let value = 0;
  for (let i = Math.max(0, der.length - 4); i < der.length; i++) value = (value << 8) | (der[i] as number);
  return value;
}

/**
 * A trust store.
 *
 * @param sources - PEM texts with any number of CERTIFICATE blocks, DER, parsed certificates, or other stores. Any
 * certificate may be an anchor, self-signed or not.
 * @param generation - See {@link TrustStore.generation}.
 * @throws TlsError `ERR_TLS_PEM` when a source holds no certificate or cannot be read, `CERT_PARSE_ERROR` when a
 * certificate is malformed.
 *
 * @example
 * ```ts
 * const authority = await createThrowawayAuthority();
 * const trust = trustStore(authority.certificatePem);
 * console.log(trust.anchors.length); // 1
 * ```
 */
export function trustStore(sources: TrustSource | readonly TrustSource[], generation = 0): TrustStore {
  const list = isList(sources) ? sources : [sources];
  return new TrustStore(list.flatMap(readSource), generation);
}

function isList(sources: TrustSource | readonly TrustSource[]): sources is readonly TrustSource[] {
  return Array.isArray(sources);
}

function readSource(source: TrustSource): readonly Certificate[] {
  if (source instanceof TrustStore) return source.anchors;
  if (typeof source !== "string" && !(source instanceof Uint8Array)) return [source];
  if (typeof source !== "string" && source[0] === Tag.sequence) return [parseCertificate(source)];
  const blocks = readPem(source);
  const certificates = blocks.filter(({ label }) => label === "CERTIFICATE" || label === "X509 CERTIFICATE");
  if (blocks.some(({ label }) => label === "TRUSTED CERTIFICATE")) {
    throw fault("ERR_TLS_PEM", "TRUSTED CERTIFICATE blocks, with OpenSSL's own trust settings, are not supported");
  }
  if (certificates.length === 0) throw fault("ERR_TLS_PEM", "no CERTIFICATE block among the trusted certificates");
  return certificates.map(({ der }, index) => {
    try {
      return parseCertificate(der);
    } catch (cause) {
      if (!(cause instanceof TlsError)) throw cause;
      throw fault("CERT_PARSE_ERROR", `trusted certificate ${index + 1} of ${certificates.length}: ${cause.detail}`, {
        cause,
      });
    }
  });
}
