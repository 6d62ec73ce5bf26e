/** Pins: keys of which one must be in a peer's path, beside everything else that is checked (RFC 7469 2.4, curl's notation). */
import type { CryptoProvider } from "../crypto/provider.ts";
import { fault } from "../errors.ts";
import type { Certificate } from "./certificate.ts";
import { rejection } from "./explain.ts";
import type { CertificateVerifier } from "./verifier.ts";

/** What {@link pinnedVerifier} holds a path against. */
export interface PinOptions {
  /**
   * `sha256//` and the Base64 of the SHA-256 of a SubjectPublicKeyInfo, DER: of the peer's key, or of any CA's in its path.
   * One list may hold several, separated by `;`. Back-up pins belong in it, for the day the key is lost.
   */
  readonly pins: string | readonly string[];
  /** Told of a path without a pinned key, which then passes: to try pins out. Default: such a path is refused. */
  readonly reportOnly?: ((mismatch: PinMismatch) => void) | undefined;
}

/** A path that no pin fits. */
export interface PinMismatch {
  /** RFC 4514 string. */
  readonly subject: string;
  /** The pins that would have fitted, from the peer's certificate upwards. */
  readonly offered: readonly string[];
}

const PREFIX = "sha256//";

/**
 * The pin of a certificate's key.
 *
 * @example
 * ```ts
 * const [anchor] = trustStore(ca).anchors;
 * if (anchor !== undefined) console.log(pinOf(anchor, nobleProvider).startsWith("sha256//")); // true
 * ```
 */
export function pinOf(certificate: Certificate, provider: CryptoProvider): string {
  const digest = provider.hashes.sha256.digest(certificate.publicKey.spki);
  return PREFIX + btoa(String.fromCharCode(...digest));
}

/**
 * A verifier that first asks another one and then wants one of these keys in the path. A peer that was not verified has no
 * path, and only its own key counts.
 *
 * @throws TlsError `ERR_TLS_OPTION` for pins that are none; from `verify`, `CERT_PIN_MISMATCH`.
 * @example
 * ```ts
 * const trust = trustStore(ca);
 * const [anchor] = trust.anchors;
 * const pins = anchor === undefined ? [] : [pinOf(anchor, nobleProvider)];
 * const verifier = pinnedVerifier(trustVerifier({ trust }), { pins });
 * const session = await connect(stream, { serverName: "localhost", verifier });
 * console.log(session.verified); // true
 * ```
 */
export function pinnedVerifier(inner: CertificateVerifier, options: PinOptions): CertificateVerifier {
  const { reportOnly } = options;
  const wanted = new Set(readPins(options.pins));
  return {
    wantsStatus: inner.wantsStatus,
    trust: inner.trust,
    get generation() {
      return inner.generation;
    },
    *verify(request) {
      const identity = yield* inner.verify(request);
      const offered = identity.path.map((certificate) => pinOf(certificate, request.provider));
      if (offered.some((pin) => wanted.has(pin))) return identity;
      if (reportOnly !== undefined) {
        reportOnly({ subject: identity.subject, offered });
        return identity;
      }
      const { certificate, path } = identity;
      const reason = `wanted ${[...wanted].join(" or ")}, the path has ${offered.join(", ")}`;
      throw rejection([{ path, certificate, code: "CERT_PIN_MISMATCH", reason, rank: 0 }]);
    },
  };
}

function readPins(pins: string | readonly string[]): string[] {
  const list = (typeof pins === "string" ? [pins] : pins).flatMap((text) => text.split(";")).filter(Boolean);
  if (list.length === 0) throw fault("ERR_TLS_OPTION", "no pin at all");
  for (const pin of list) {
    if (!/^sha256\/\/[A-Za-z0-9+/]{43}=$/.test(pin)) {
      throw fault("ERR_TLS_OPTION", `a pin is sha256// and the Base64 of 32 bytes, not ${JSON.stringify(pin)}`);
    }
  }
  return list;
}
