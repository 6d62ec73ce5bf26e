/** Pre-shared keys from outside TLS, as users give them: RFC 8446 4.2.11, RFC 9258. */
import { concat, utf8 } from "../bytes/bytes.ts";
import { toHex } from "../bytes/hex.ts";
import { encode, opaque, struct, uint } from "../codec/schema.ts";
import type { CryptoProvider, Hash } from "../crypto/provider.ts";
import { fault } from "../errors.ts";
import type { ExternalPsk, PskMode } from "../handshake/psk.ts";
import { hkdfExpandLabel, hkdfExtract } from "../schedule/hkdf.ts";

/** A key that both ends were given. */
export interface PskOptions {
  /** What names it on the wire, in the clear: 1 to 65535 bytes, text as UTF-8. */
  readonly identity: string | Uint8Array;
  /** From a good random source, 16 bytes at least (RFC 9257 4.2); never a password. */
  readonly key: Uint8Array;
  /** The hash it is used with, and so the cipher suites. Default sha256. */
  readonly hash?: "sha256" | "sha384" | undefined;
  /**
   * Passes the key through the importer of RFC 9258, which makes one for each hash in the handshake; the other end must
   * do the same. Default: the key goes into the key schedule as it is.
   */
  readonly importer?: { readonly context?: Uint8Array | undefined } | undefined;
}

/** Bytes of the shortest key accepted. */
const MIN_KEY = 16;

/** RFC 9258 5.1 */
export const ImportedIdentity = /* @__PURE__ */ struct("ImportedIdentity", {
  external_identity: opaque(1, 0xffff),
  context: opaque(0, 0xffff),
  target_protocol: uint(2),
  target_kdf: uint(2),
});

/** RFC 9258 10 */
const KDFS = [
  { kdf: 1, hash: "sha256" },
  { kdf: 2, hash: "sha384" },
] as const;

/**
 * The keys as a handshake uses them.
 *
 * @throws TlsError `ERR_TLS_OPTION` for keys too short, names too long, and names given twice.
 */
export function resolvePsks(options: readonly PskOptions[], provider: CryptoProvider): readonly ExternalPsk[] {
  const psks = options.flatMap((option) => resolvePsk(option, provider));
  const names = new Set(psks.map(({ identity }) => toHex(identity)));
  if (names.size < psks.length) throw fault("ERR_TLS_OPTION", "two pre-shared keys have the same identity");
  return psks;
}

export function resolvePsk(options: PskOptions, provider: CryptoProvider): readonly ExternalPsk[] {
  const { hash = "sha256", importer } = options;
  const identity = typeof options.identity === "string" ? utf8(options.identity) : options.identity.slice();
  if (identity.length === 0 || identity.length > 0xffff) {
    throw fault("ERR_TLS_OPTION", `a PSK identity of ${identity.length} bytes`);
  }
  if (options.key.length < MIN_KEY) {
    throw fault(
      "ERR_TLS_OPTION",
      `a pre-shared key of ${options.key.length} bytes, at least ${MIN_KEY} (RFC 9257 4.2)`,
    );
  }
  if (hash !== "sha256" && hash !== "sha384") throw fault("ERR_TLS_OPTION", `PSK hash ${String(hash)}`);
  const own = provider.hashes[hash];
  if (own === undefined) throw fault("ERR_TLS_OPTION", `PSK hash ${hash}, which provider ${provider.name} has not`);
  if (importer === undefined) return [{ kind: "external", identity, key: new Uint8Array(options.key), hash }];
  const { context = new Uint8Array(0) } = importer;
  const extracted = hkdfExtract(own, new Uint8Array(own.length), options.key);
  return KDFS.flatMap(({ kdf, hash }) => {
    const target = provider.hashes[hash];
    return target === undefined ? [] : [imported(identity, context, own, extracted, kdf, target)];
  });
}

/** In the order given, dhe alone where none is. */
export function resolvePskModes(modes: readonly PskMode[] = ["psk_dhe_ke"]): readonly PskMode[] {
  const unknown = modes.find((mode) => mode !== "psk_dhe_ke" && mode !== "psk_ke");
  if (unknown !== undefined || modes.length === 0) throw fault("ERR_TLS_OPTION", `PSK mode ${unknown ?? "none"}`);
  return modes;
}

/** RFC 9258 5.1 */
function imported(
  external_identity: Uint8Array,
  context: Uint8Array,
  own: Hash,
  extracted: Uint8Array,
  target_kdf: number,
  target: Hash,
): ExternalPsk {
  const identity = encode(ImportedIdentity, {
    external_identity,
    context,
    target_protocol: 0x0304,
    target_kdf,
  });
  if (identity.length > 0xffff) throw fault("ERR_TLS_OPTION", "the imported PSK identity is too long");
  const derived = hkdfExpandLabel(own, extracted, "derived psk", own.digest(identity), target.length);
  return { kind: "imported", identity, key: concat(derived), hash: target.name };
}
