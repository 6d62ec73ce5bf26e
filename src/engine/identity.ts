/** Identities as users have them, read into what the handshake presents. */
import { readPem } from "../bytes/pem.ts";
import type { SignatureSchemeName } from "../codec/registry.ts";
import { parsePrivateKey } from "../crypto/keys.ts";
import type { CryptoProvider, Signer } from "../crypto/provider.ts";
import { verifyScheme } from "../crypto/signatures.ts";
import { fault } from "../errors.ts";
import { type Awaitable, settle } from "../flow.ts";
import { createIdentity, type Identity } from "../handshake/identity.ts";
import { call } from "../handshake/io.ts";

/** A certificate chain with its key, in whatever form the user has them. */
export interface IdentityOptions {
  /** PEM of the chain, the end entity's certificate first; or DER of each. */
  readonly cert: string | Uint8Array | readonly Uint8Array[];
  /** PEM or DER (PKCS#8, SEC1, PKCS#1), or something that signs: a CryptoKey's or KMS's {@link Signer}. */
  readonly key: string | Uint8Array | Signer;
  /** DER OCSPResponse to staple; sent to peers that ask. It is not looked into. */
  readonly ocspResponse?: Uint8Array | undefined;
  /** SignedCertificateTimestamps (RFC 6962 3.2), sent to peers that ask. They are not looked into. */
  readonly scts?: readonly Uint8Array[] | undefined;
}

/**
 * An identity from PEM or DER. A key given as such is held against the certificate, where the provider answers at once; a
 * {@link Signer} is taken at its word.
 *
 * @throws TlsError `ERR_TLS_PEM`, `ERR_TLS_KEY` or `CERT_PARSE_ERROR` for what cannot be read,
 * `ERR_OSSL_X509_KEY_VALUES_MISMATCH` for a key that is another certificate's.
 * @example
 * ```ts
 * const identity = resolveIdentity({ cert, key }, nobleProvider);
 * console.log(identity.schemes[0]); // ecdsa_secp256r1_sha256
 * ```
 */
export function resolveIdentity(identity: Identity | IdentityOptions, provider: CryptoProvider): Identity {
  if ("parsed" in identity) return identity;
  const { cert, key } = identity;
  assertCarriable(identity);
  if (typeof key !== "string" && !(key instanceof Uint8Array))
    return createIdentity(certificateChain(cert), key, identity);
  const resolved = createIdentity(certificateChain(cert), provider.signer(parsePrivateKey(key)), identity);
  assertSameKey(resolved, provider);
  return resolved;
}

/** 65535 bytes is what an extension holds. */
export function assertCarriable({ ocspResponse, scts = [] }: Pick<IdentityOptions, "ocspResponse" | "scts">): void {
  const total = scts.reduce((sum, sct) => sum + 2 + sct.length, 0);
  if (total > 0xfffd || scts.some((sct) => sct.length === 0)) {
    throw fault("ERR_TLS_OPTION", "scts are empty or too long for one extension");
  }
  if (ocspResponse !== undefined && (ocspResponse[0] !== 0x30 || ocspResponse.length > 0xfffb)) {
    throw fault("ERR_TLS_OPTION", "ocspResponse is not the DER of an OCSPResponse, or too long for an extension");
  }
}

/** By a signature, since that is what every provider can make and check. */
function assertSameKey({ parsed, signer, schemes }: Identity, provider: CryptoProvider): void {
  const [scheme] = schemes;
  const [certificate] = parsed;
  if (!provider.synchronous || scheme === undefined || certificate === undefined) return;
  const probe = new Uint8Array(32);
  const signature = trialSignature(signer, scheme, probe) as Uint8Array;
  if (verifyScheme(provider, scheme, certificate.publicKey, probe, signature) !== true) {
    throw fault("ERR_OSSL_X509_KEY_VALUES_MISMATCH", `certificate of ${certificate.subject.text}`);
  }
}

/**
 * What a key signs, to see whether it can: numbers that are no key's are found by signing, and libraries say so in words
 * of their own.
 *
 * @throws TlsError `ERR_TLS_KEY`
 */
export function trialSignature(
  signer: Signer,
  scheme: SignatureSchemeName,
  message: Uint8Array,
): Awaitable<Uint8Array> {
  return settle(call("sign", "ERR_TLS_KEY", () => signer.sign(scheme, message)));
}

/** DER of each certificate. */
export function certificateChain(cert: IdentityOptions["cert"]): readonly Uint8Array[] {
  if (typeof cert !== "string" && !(cert instanceof Uint8Array)) return cert;
  // A SEQUENCE tag begins DER; PEM is text.
  if (typeof cert !== "string" && cert[0] === 0x30) return [cert];
  const chain = readPem(cert).filter(({ label }) => label === "CERTIFICATE" || label === "X509 CERTIFICATE");
  if (chain.length === 0) throw fault("ERR_TLS_PEM", "no certificate in the PEM");
  return chain.map(({ der }) => der);
}
