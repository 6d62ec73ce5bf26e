/** Key logs as they are read: RFC 9850 (SSLKEYLOGFILE), whatever ends its lines and whatever else stands in it. */
import { fromHex, toHex } from "../../bytes/hex.ts";
import { fault } from "../../errors.ts";
import type { SecretLabel } from "../../handshake/io.ts";
import { SECRETS } from "../notes.ts";

/** Characters of all key logs together. */
const MAX_TEXT = 64 * 1024 * 1024;

const LINE = /^([A-Z][A-Z0-9_]*) ([0-9a-f]{64}) ((?:[0-9a-f]{64}|[0-9a-f]{96}))$/i;

/**
 * The secrets of one or more key logs, by the `random` of the ClientHello that they belong to.
 *
 * @example
 * ```ts
 * const secrets = new KeyLogSecrets();
 * secrets.add(`EXPORTER_SECRET ${"00".repeat(32)} ${"ff".repeat(32)}\r\n# a comment`);
 * console.log(secrets.find(new Uint8Array(32), "EXPORTER_SECRET")?.length); // 32
 * ```
 */
export class KeyLogSecrets {
  readonly #secrets = new Map<string, Map<SecretLabel, Uint8Array>>();
  #length = 0;
  #count = 0;
  #ignored = 0;

  /** Secrets of TLS 1.3 in here. */
  get count(): number {
    return this.#count;
  }

  /** Lines that hold none: of other versions, of ECH, or damaged (RFC 9850 2 lets tools pass over those). */
  get ignored(): number {
    return this.#ignored;
  }

  /**
   * Takes in a key log.
   *
   * @param text - Where a secret is given twice, the first one counts.
   * @throws TlsError `ERR_TLS_CAPTURE` when there is more of it than is taken.
   */
  add(text: string): void {
    this.#length += text.length;
    if (this.#length > MAX_TEXT) throw fault("ERR_TLS_CAPTURE", `more than ${MAX_TEXT} characters of key logs`);
    // RFC 9850 2: CRLF, CR or LF; empty lines and comments are ignored. Old NSS tools write a byte order mark.
    for (const line of text.replace(/^\ufeff/, "").split(/\r\n|\r|\n/)) this.#line(line.trimEnd());
  }

  find(clientRandom: Uint8Array, label: SecretLabel): Uint8Array | undefined {
    return this.#secrets.get(toHex(clientRandom))?.get(label);
  }

  /** True where there is anything about this connection. */
  knows(clientRandom: Uint8Array): boolean {
    return this.#secrets.has(toHex(clientRandom));
  }

  /** The lines about one connection, each with its `\n`. */
  lines(clientRandom: Uint8Array): string {
    const random = toHex(clientRandom);
    return [...(this.#secrets.get(random) ?? [])]
      .map(([label, secret]) => `${label} ${random} ${toHex(secret)}\n`)
      .join("");
  }

  #line(line: string): void {
    if (line === "" || line.startsWith("#")) return;
    const [, label = "", random = "", secret = ""] = LINE.exec(line) ?? [];
    if (!isLabel(label)) {
      this.#ignored++;
      return;
    }
    const key = random.toLowerCase();
    const known = this.#secrets.get(key) ?? new Map<SecretLabel, Uint8Array>();
    this.#secrets.set(key, known);
    if (known.has(label)) return;
    this.#count++;
    known.set(label, fromHex(secret));
  }
}

function isLabel(text: string): text is SecretLabel {
  return Object.hasOwn(SECRETS, text);
}
