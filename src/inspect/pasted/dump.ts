/** Bytes out of text: plain hexadecimal, and the dumps of xxd, hexdump -C, od -tx1 and Wireshark. */
import { latin1 } from "../../bytes/bytes.ts";
import { fromHex } from "../../bytes/hex.ts";
import { fault } from "../../errors.ts";

/** Characters of a dump. */
const MAX_TEXT = 64 * 1024 * 1024;
/** Bytes that all rows left out as `*` may stand for. */
const MAX_BYTES = 16 * 1024 * 1024;
/** Bytes of a row where no other row tells. */
const ROW = 16;

/** Bytes that may still be repeated. */
interface Repeats {
  left: number;
}

/** Offset, and what stands behind it. */
const ROW_FORM = /^([0-9a-f]{4,8})(:?)(?:[ \t]+(.*))?$/i;
/** Words in the byte order of the machine, as hexdump has them without -C. */
const WORDS = /^[0-9a-f]{4}(?: [0-9a-f]{4})+$/i;

interface Row {
  readonly offset: string;
  readonly text: string;
}

/** True for text in which bytes could be written. */
export function isText(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte >= 0x20 || byte === 9 || byte === 10 || byte === 13);
}

/**
 * The bytes of a dump. A dump whose offsets begin again at 0 is of several pieces, as Wireshark's of several packets.
 *
 * @returns `undefined` where the text is no dump.
 * @throws TlsError `ERR_TLS_CAPTURE` for a dump that is damaged, too long, or of a kind that does not say the order of bytes.
 */
export function readDump(input: Uint8Array): Uint8Array[] | undefined {
  if (input.length > MAX_TEXT) throw fault("ERR_TLS_CAPTURE", `a dump of more than ${MAX_TEXT} characters`);
  const text = latin1Long(input);
  const lines = text.split(/\r\n|\r|\n/).filter((line) => line.trim() !== "");
  const first = ROW_FORM.exec(lines[0]?.trim() ?? "");
  if (first !== null && /^0+$/.test(first[1] as string) && first[3] !== undefined) return readRows(lines);
  const digits = text.replace(/0x|\\x/gi, "").replace(/[\s:,;-]+/g, "");
  return digits !== "" && digits.length % 2 === 0 && /^[0-9a-f]+$/i.test(digits) ? [fromHex(digits)] : undefined;
}

function readRows(lines: readonly string[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  const repeats = { left: MAX_BYTES };
  for (const rows of dumps(lines)) pieces.push(readPiece(rows, repeats));
  return pieces.filter(({ length }) => length > 0);
}

/** Rows, cut where offsets begin again. */
function dumps(lines: readonly string[]): (Row | "*")[][] {
  const found: (Row | "*")[][] = [];
  for (const line of lines) {
    const trimmed = line.trim();
    const [, offset, , text = ""] = ROW_FORM.exec(trimmed) ?? [];
    if (trimmed === "*") {
      found.at(-1)?.push("*");
    } else if (offset !== undefined) {
      if (WORDS.test(text) && !trimmed.includes(":"))
        throw fault("ERR_TLS_CAPTURE", "hexdump writes words in its machine's byte order: use hexdump -C");
      if (/^0+$/.test(offset)) found.push([]);
      found.at(-1)?.push({ offset, text });
    }
    // Anything else stands between dumps: what Wireshark says about a packet.
  }
  return found;
}

function readPiece(rows: readonly (Row | "*")[], repeats: Repeats): Uint8Array {
  const bytes: number[] = [];
  const radix = radixOf(rows);
  const width = widthOf(rows, radix);
  let repeat = false;
  for (const [index, row] of rows.entries()) {
    if (row === "*") {
      repeat = true;
      continue;
    }
    const offset = Number.parseInt(row.offset, radix);
    if (repeat) fill(bytes, offset, width, repeats);
    repeat = false;
    if (offset !== bytes.length)
      throw fault("ERR_TLS_CAPTURE", `the dump's offset ${row.offset} is not where it stands`);
    const next = rows[index + 1];
    const wanted = next === undefined || next === "*" ? undefined : Number.parseInt(next.offset, radix) - offset;
    for (const byte of rowBytes(row, wanted ?? width, wanted !== undefined)) bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/** Bytes between the first two offsets. */
function widthOf(rows: readonly (Row | "*")[], radix: number): number {
  const [, second] = rows;
  if (second === undefined || second === "*") return ROW;
  const width = Number.parseInt(second.offset, radix);
  return width >= 1 && width <= 256 ? width : ROW;
}

/** od counts in octal: its second row of 16 bytes stands at 20. */
function radixOf(rows: readonly (Row | "*")[]): number {
  const [, second] = rows;
  const isOctal = second !== undefined && second !== "*" && second.offset.length === 7 && /^0+20$/.test(second.offset);
  return isOctal ? 8 : 16;
}

/** Rows like the last one, which were left out. */
function fill(bytes: number[], end: number, width: number, repeats: Repeats): void {
  repeats.left -= Math.max(0, end - bytes.length);
  if (repeats.left < 0) throw fault("ERR_TLS_CAPTURE", `a dump of more than ${MAX_BYTES} bytes`);
  const row = bytes.slice(-width);
  while (row.length > 0 && bytes.length < end) bytes.push(row[bytes.length % row.length] as number);
}

/** Groups of digits a space or two apart; what is further away is what the bytes look like as text. */
function rowBytes({ offset, text }: Row, most: number, exact: boolean): Uint8Array {
  let digits = "";
  const groups = /((?:[0-9a-f]{2})+)(?: {1,2}|\t|$)/giy;
  for (let group = groups.exec(text); group !== null && digits.length < 2 * most; group = groups.exec(text)) {
    digits += group[1];
  }
  if (digits.length > 2 * most || (exact && digits.length !== 2 * most)) {
    throw fault("ERR_TLS_CAPTURE", `the dump's row at ${offset} does not have ${most} bytes`);
  }
  return fromHex(digits);
}

function latin1Long(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += 0x8000) parts.push(latin1(bytes.subarray(at, at + 0x8000)));
  return parts.join("");
}
