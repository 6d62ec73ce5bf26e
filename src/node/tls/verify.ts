/** Judging the peer as node:tls's options have it: the verdict is kept, and it ends the handshake where that is wanted. */
import tls, { type PeerCertificate } from "node:tls";
import { type CertificateRejection, fault, TlsError } from "../../errors.ts";
import { rejection } from "../../x509/explain.ts";
import type { PeerIdentity } from "../../x509/identity.ts";
import { matchesHost } from "../../x509/names.ts";
import { acceptAnyVerifier, type CertificateVerifier } from "../../x509/verifier.ts";
import { detailedCertificate } from "./certificate.ts";
import type { SecureContext } from "./context.ts";

/** node:tls's callback. */
export type CheckServerIdentity = (hostname: string, certificate: PeerCertificate) => Error | undefined;

/** How one connection judges its peer. */
export interface Judgement {
  /** Asked for at the time, since a server's context may be replaced while a handshake is under way. */
  readonly context: () => SecureContext;
  /** Rises when `context` may be another. */
  readonly generation?: (() => number) | undefined;
  /** Ends the handshake of a peer that is not to be trusted. */
  readonly reject: boolean;
  /** A last look at a certificate whose chain is good. */
  readonly check?: ((peer: PeerIdentity) => Error | undefined) | undefined;
  /** Told why the peer is not to be trusted, or `undefined` before it is looked at: a session's peer, or the one that is there. */
  record(error: Error | undefined): void;
}

/**
 * Runs inside the handshake: a client's own certificate is not sent before this has passed.
 */
export function judge({ context, generation, reject, check, record }: Judgement): CertificateVerifier {
  return {
    get generation() {
      return generation?.();
    },
    *verify(request) {
      let peer: PeerIdentity;
      record(undefined);
      try {
        peer = yield* context().trust.verifier.verify({ ...request, name: undefined });
      } catch (error) {
        if (!(error instanceof TlsError)) throw error;
        record(error);
        if (reject) throw error;
        return yield* acceptAnyVerifier().verify(request);
      }
      const mismatch = check?.(peer);
      if (mismatch === undefined) return peer;
      record(mismatch);
      if (reject) throw refusal(peer, mismatch);
      return { ...peer, verified: false };
    },
  };
}

/** A rejection like any other: for a session it means that the server has to show who it is. */
function refusal({ path, certificate }: PeerIdentity, mismatch: Error): TlsError {
  const code = "ERR_TLS_CERT_ALTNAME_INVALID";
  const explained = rejection([{ path, certificate, code, reason: mismatch.message, rank: 0 }]);
  return fault(code, mismatch.message, { cause: mismatch, rejection: explained.rejection as CertificateRejection });
}

/**
 * Is this certificate for that host? node:tls's own function, with its errors.
 *
 * @returns An error `ERR_TLS_CERT_ALTNAME_INVALID`, or `undefined` when it is.
 * @example
 * ```ts
 * import { X509Certificate } from "node:crypto";
 *
 * const certificate = new X509Certificate(cert).toLegacyObject();
 * console.log(checkServerIdentity("elsewhere.test", certificate)?.message.split(".")[0]); // Hostname/IP does not match certificate's altnames: Host: elsewhere
 * ```
 */
export function checkServerIdentity(hostname: string, certificate: PeerCertificate): Error | undefined {
  return tls.checkServerIdentity(hostname, certificate);
}

/** The check of a client for the host it wanted. */
export function nameCheck(
  hostname: string,
  own: CheckServerIdentity | undefined,
): (peer: PeerIdentity) => Error | undefined {
  const isStandard = own === undefined || own === checkServerIdentity || own === tls.checkServerIdentity;
  const call = own ?? checkServerIdentity;
  return (peer) => {
    // The legacy object costs more than the comparison, and the names that match here match there.
    if (isStandard && matchesHost(peer.certificate, hostname)) return undefined;
    try {
      return call(hostname, detailedCertificate(peer.path.map(({ der }) => der)) as PeerCertificate) ?? undefined;
    } catch (cause) {
      throw fault("ERR_TLS_CALLBACK_FAILED", "checkServerIdentity", { cause });
    }
  };
}
