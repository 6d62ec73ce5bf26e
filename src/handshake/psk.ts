/** Pre-shared keys in a handshake, whether from a ticket or from elsewhere: RFC 8446 4.2.9 and 4.2.11, RFC 9258. */
import { equal, equalConstantTime, utf8, wipe } from "../bytes/bytes.ts";
import { PskKeyExchangeMode } from "../codec/registry.ts";
import type { CryptoProvider, Hash, HashName } from "../crypto/provider.ts";
import { fault } from "../errors.ts";
import { EarlySecret } from "../schedule/secrets.ts";
import type { Transcript } from "../schedule/transcript.ts";

/** Where a pre-shared key comes from; its binder depends on it. */
export type PskKind = "resumption" | "external" | "imported";

/** With a key exchange for forward secrecy, or without (RFC 8446 4.2.9). */
export type PskMode = keyof typeof PskKeyExchangeMode.codes;

/** A key that both ends know already. */
export interface PreSharedKey {
  readonly kind: PskKind;
  /** What names it on the wire: a ticket, or what the ends agreed on. */
  readonly identity: Uint8Array;
  readonly key: Uint8Array;
  /** The only hash it may be used with. */
  readonly hash: HashName;
}

/** A pre-shared key that came from outside TLS; made by {@link externalPsk} and `importPsk`. */
export interface ExternalPsk extends PreSharedKey {
  readonly kind: "external" | "imported";
}

const LABELS = { resumption: "res binder", external: "ext binder", imported: "imp binder" } as const;

/** RFC 8446 4.2.11.2. `partialHello` ends before the binders. */
export function pskBinder(
  hash: Hash,
  { kind, key }: Pick<PreSharedKey, "kind" | "key">,
  transcript: Transcript,
  partialHello: Uint8Array,
): Uint8Array {
  const early = new EarlySecret(hash, key);
  try {
    return early.binder(LABELS[kind], transcript.through(hash, partialHello));
  } finally {
    early.wipe();
  }
}

/**
 * Holds a binder against the ClientHello that carries it.
 *
 * @throws TlsError `ERR_SSL_BINDER_DOES_NOT_VERIFY`
 */
export function checkBinder(
  hash: Hash,
  psk: PreSharedKey,
  binder: Uint8Array,
  transcript: Transcript,
  partialHello: Uint8Array,
): void {
  const expected = pskBinder(hash, psk, transcript, partialHello);
  const valid = equalConstantTime(binder, expected);
  wipe(expected);
  if (!valid) throw fault("ERR_SSL_BINDER_DOES_NOT_VERIFY");
}

/** Tells a key from others that have had its name; leads back to none that is as random as RFC 9257 4.2 asks. */
export function keyFingerprint({ hashes }: CryptoProvider, { key }: Pick<PreSharedKey, "key">): Uint8Array {
  return hashes.sha256.hmac(key, utf8("mutls external key"));
}

/** The key is the one that a session stands on. */
export function isKey(
  { provider }: { readonly provider: CryptoProvider },
  psk: Pick<PreSharedKey, "key">,
  fingerprint: Uint8Array | undefined,
): boolean {
  return fingerprint !== undefined && equal(keyFingerprint(provider, psk), fingerprint);
}

/** Bytes of the binders list that ends a ClientHello. */
export function bindersLength(binders: readonly Uint8Array[]): number {
  return binders.reduce((sum, binder) => sum + 1 + binder.length, 2);
}

/** The modes that both sides accept. */
export function commonModes(ours: readonly PskMode[], offered: readonly number[] = []): readonly PskMode[] {
  return ours.filter((mode) => offered.includes(PskKeyExchangeMode.codes[mode]));
}
