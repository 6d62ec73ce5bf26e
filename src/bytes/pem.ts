/** PEM (RFC 7468), with the RFC 1421 headers that old encrypted keys carry. */
import { fault } from "../errors.ts";
import { fromBase64, toBase64 } from "./hex.ts";

/** What stands between one BEGIN and its END. */
export interface PemBlock {
  /** `CERTIFICATE`, `PRIVATE KEY`, … */
  readonly label: string;
  readonly der: Uint8Array;
  /** RFC 1421 headers such as `Proc-Type`; empty in RFC 7468 files. */
  readonly headers: ReadonlyMap<string, string>;
}

/** Characters of PEM text: room for any system's bundle of roots. */
const MAX_TEXT = 16 * 1024 * 1024;
/** Blocks in one text. */
const MAX_BLOCKS = 10_000;

const BEGIN = /^-----BEGIN ([!-,.-~]+(?:[ -][!-,.-~]+)*)-----$/;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/**
 * All blocks of a PEM text in order. Text before, between and after blocks is skipped; inside a block nothing is
 * forgiven.
 *
 * @param text - PEM, as a string or its bytes, at most 16 MiB.
 * @throws TlsError `ERR_TLS_PEM` when a block is not closed, holds no base64, or limits are passed. No block at all is
 * no error: the answer is empty.
 *
 * @example
 * ```ts
 * const [block] = readPem("-----BEGIN TEST-----\nAQID\n-----END TEST-----\n");
 * console.log(block?.label, block?.der.length); // TEST 3
 * ```
 */
export function readPem(text: string | Uint8Array): PemBlock[] {
  if (text.length > MAX_TEXT) throw fault("ERR_TLS_PEM", `more than ${MAX_TEXT} bytes of PEM`);
  const lines = (typeof text === "string" ? text : new TextDecoder().decode(text)).split(/\r\n|\n|\r/);
  const blocks: PemBlock[] = [];
  for (let i = 0; i < lines.length; i++) {
    const label = BEGIN.exec((lines[i] as string).trim())?.[1];
    if (label === undefined) continue;
    const start = i + 1;
    do i++;
    while (i < lines.length && !(lines[i] as string).trimStart().startsWith("-----"));
    if (lines[i]?.trim() !== `-----END ${label}-----`) {
      throw fault("ERR_TLS_PEM", `the block "${label}" on line ${start} has no END line of its own`);
    }
    if (blocks.length === MAX_BLOCKS) throw fault("ERR_TLS_PEM", `more than ${MAX_BLOCKS} PEM blocks`);
    blocks.push(readBlock(label, lines.slice(start, i)));
  }
  return blocks;
}

/**
 * PEM of one DER structure.
 *
 * @param label - `CERTIFICATE`, `PRIVATE KEY`, …
 *
 * @example
 * ```ts
 * console.log(writePem("TEST", Uint8Array.of(1, 2, 3)));
 * ```
 */
export function writePem(label: string, der: Uint8Array): string {
  const body = toBase64(der).replace(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`;
}

function readBlock(label: string, lines: readonly string[]): PemBlock {
  const headers = new Map<string, string>();
  let body = 0;
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon < 0) break;
    headers.set(line.slice(0, colon).trim(), line.slice(colon + 1).trim());
    body++;
  }
  const base64 = lines
    .slice(body)
    .join("")
    .replace(/[ \t]+/g, "");
  if (base64 === "" || base64.length % 4 !== 0 || !BASE64.test(base64)) {
    throw fault("ERR_TLS_PEM", `the block "${label}" is not base64`);
  }
  return { label, der: fromBase64(base64), headers };
}
