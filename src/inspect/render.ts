/** A trace as text: one line per field, one note per thing explained, and each thing explained once. */
import { toHex } from "../bytes/hex.ts";
import type { CertificateSummary } from "./certificate.ts";
import { describeContentType } from "./describe.ts";
import type { TraceField } from "./fields.ts";
import {
  count,
  endsMessage,
  errorLines,
  meaningOf,
  printable,
  quote,
  shownChildren,
  titleOf,
  twoDigits,
  visible,
} from "./render-text.ts";
import type {
  InspectItem,
  TraceAlert,
  TraceCertificate,
  TraceMessage,
  TraceNote,
  TracePart,
  TraceRecord,
} from "./trace.ts";

/** How a trace is to look. */
export interface RenderOptions {
  /** Columns; 120 by default, never fewer than 80. */
  readonly width?: number | undefined;
  /** ANSI colours; off by default. */
  readonly color?: boolean | undefined;
  /** Every byte in hexadecimal, none left out. Off by default. */
  readonly full?: boolean | undefined;
}

/**
 * A renderer for one trace. It remembers what it has explained.
 *
 * @returns A function from an item to its text, lines ending in `\n`.
 * @example
 * ```ts
 * const render = createRenderer({ width: 100 });
 * const observer = createTrace("client", (item) => console.log(render(item)));
 * ```
 */
export function createRenderer(options: RenderOptions = {}): (item: InspectItem) => string {
  const renderer = new Renderer(Math.max(80, options.width ?? 120), options.color ?? false, options.full ?? false);
  return (item) => {
    const lines = renderer.render(item).map((line) => `${line}\n`);
    return lines.join("");
  };
}

type Style = "bold" | "dim" | "client" | "server" | "secret" | "error";
const ANSI: Readonly<Record<Style, string>> = {
  bold: "1",
  dim: "2",
  client: "1;36",
  server: "1;33",
  secret: "32",
  error: "1;31",
};

/** How notes look. */
const MARKS: Readonly<Record<TraceNote["level"], { readonly mark: string; readonly style: Style }>> = {
  verified: { mark: "✓", style: "secret" },
  remark: { mark: "·", style: "dim" },
  problem: { mark: "!", style: "error" },
};

/** Columns of the byte range and of the field's name. */
const RANGE = 16;
const NAME = 32;
const NARROW_NAME = 24;
/** Hexadecimal bytes that fit a line, and of those how many stand at the end of an elided value. */
const BYTES = 8;
const TAIL = 2;
/** Bytes per line where nothing is left out. */
const FULL_BYTES = 16;

/** What one line says about bytes. */
interface Line {
  readonly start: number;
  readonly end: number;
  readonly depth: number;
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly meaning: string;
  readonly section: string | undefined;
}

class Renderer {
  readonly #width: number;
  /** Columns of a name. */
  readonly #name: number;
  readonly #color: boolean;
  readonly #full: boolean;
  readonly #explained = new Set<string>();
  /** What stands behind the messages of the record at hand, and how many of them are still to come. */
  #trailer: string[] = [];
  #followers = 0;

  constructor(width: number, color: boolean, full: boolean) {
    this.#width = width;
    this.#name = width < 110 ? NARROW_NAME : NAME;
    this.#color = color;
    this.#full = full;
  }

  render(item: InspectItem): string[] {
    switch (item.kind) {
      case "record":
        this.#trailer = this.#recordTrailer(item);
        this.#followers = item.parts.filter(endsMessage).length + (item.alert === undefined ? 0 : 1);
        return [...this.#record(item), ...this.#endOfRecord()];
      case "message":
        this.#followers--;
        return [...this.#message(item), ...this.#endOfRecord()];
      case "alert":
        this.#followers--;
        return [...this.#alert(item), ...this.#endOfRecord()];
      case "secret":
        return [
          this.#flush(
            `  ${this.#paint("secret", "key")}  ${item.name}: ${item.note}`,
            this.#paint("dim", item.section),
          ),
          this.#paint("dim", `       ${this.#full ? toHex(item.secret) : `${toHex(item.secret).slice(0, 16)}…`}`),
        ];
      case "state":
        return [this.#paint("dim", `  · ${item.side} ${item.state}: ${item.note}`)];
      case "note":
        return [this.#note(item)];
      case "certificate":
        return this.#wholeCertificate(item);
      case "error":
        return ["", ...errorLines(item).map((line) => this.#paint("error", line))];
    }
  }

  #note({ level, note, section }: TraceNote): string {
    const { mark, style } = MARKS[level];
    return this.#flush(this.#paint(style, `  ${mark} ${printable(note)}`), this.#paint("dim", section));
  }

  #wholeCertificate({ number, bytes, fields, summary, note, section }: TraceCertificate): string[] {
    const title = `  Certificate ${number}, ${bytes.length} bytes`;
    return [
      "",
      this.#flush(this.#paint("bold", title), this.#paint("dim", section)),
      this.#paint("dim", `  ${note}`),
      ...(typeof summary === "string"
        ? [this.#paint("error", `  breaks the rules: ${printable(summary)}`)]
        : this.#certificate(summary, "  ")),
      ...fields.flatMap((field) => this.#field(field, bytes, 0, 0, section)),
    ];
  }

  #endOfRecord(): string[] {
    if (this.#followers > 0) return [];
    const trailer = this.#trailer;
    this.#trailer = [];
    return trailer;
  }

  #record(record: TraceRecord): string[] {
    const { direction, from, number, start, end, type, secret, sequence, padding } = record;
    const arrow = direction === "sent" ? "→" : "←";
    const name = type.name ?? `type ${type.code}`;
    const title = `${arrow} ${from}  record ${number}  ${name}, ${end - start} bytes, [${start}..${end}) of its stream`;
    const skipped = secret !== undefined && sequence === undefined;
    const protection =
      secret === undefined
        ? "  in the clear"
        : skipped
          ? `  encrypted under ${secret}, not opened: ${record.note}`
          : `  encrypted under ${secret}, sequence number ${sequence}${padding > 0 ? `, ${padding} bytes of padding` : ""}`;
    const note = skipped ? [] : this.#once(`type ${type.code}`, describeContentType(type.code).note);
    return [
      "",
      this.#flush(this.#paint(from, title), this.#paint("dim", record.section)),
      secret === undefined ? this.#paint("dim", protection) : this.#paint("secret", protection),
      ...note.map((text) => this.#paint("dim", `  ${text}`)),
      ...this.#recordHeader(record),
      ...(skipped
        ? record.fields.slice(3).flatMap((field) => this.#field(field, record.wire, 0, 0, record.section))
        : []),
      ...record.parts.flatMap((part) => this.#part(record, part)),
    ];
  }

  #recordHeader({ wire, fields }: TraceRecord): string[] {
    if (this.#full) return fields.slice(0, 3).flatMap((field) => this.#field(field, wire, 0, 0, undefined));
    // The version in between says nothing, and misleads newcomers.
    const [type, , length] = fields as [TraceField, TraceField, TraceField];
    const meaning = `${meaningOf(type)}, ${count(Number(length.value), "byte")}`;
    return this.#line({
      start: 0,
      end: 5,
      depth: 0,
      name: "record header",
      bytes: wire.subarray(0, 5),
      meaning,
      section: undefined,
    });
  }

  /** Real type, padding and tag of an encrypted record. */
  #recordTrailer({ wire, fields, content, type, padding }: TraceRecord): string[] {
    const inside = fields[3]?.children.filter(({ name }) => name !== "content") ?? [];
    const opened = wire.slice();
    const at = 5 + content.length;
    if (inside.length > 0) opened.fill(0, at, at + 1 + padding)[at] = type.code;
    return inside.flatMap((field) => this.#field(field, opened, 0, 0, undefined));
  }

  /** Handshake messages and alerts come as items of their own. */
  #part(record: TraceRecord, part: TracePart): string[] {
    const { what, start, end, message, messageStart, messageEnd, messageLength } = part;
    if (what === "alert") return record.alert !== undefined ? [] : this.#raw(record, part, "not an alert");
    if (what === "change_cipher_spec") return this.#raw(record, part, "means nothing in TLS 1.3");
    if (what !== "handshake") return this.#raw(record, part, quote(record.content));
    if (messageStart === 0 && endsMessage(part)) return [];
    const whole = messageLength === undefined ? "" : ` of ${messageLength}`;
    const last = endsMessage(part) ? ", complete" : ", goes on in the next record";
    return this.#line({
      start,
      end,
      depth: 0,
      name: `handshake message ${message}`,
      bytes: record.content.subarray(start - 5, end - 5),
      meaning: `bytes [${messageStart}..${messageEnd})${whole}${last}`,
      section: undefined,
    });
  }

  #raw({ content }: TraceRecord, { what, start, end }: TracePart, meaning: string): string[] {
    return this.#line({ start, end, depth: 0, name: what, bytes: content, meaning, section: undefined });
  }

  #message(message: TraceMessage): string[] {
    const { type, number, bytes, fields, problem, spans, note, section } = message;
    const [first] = spans;
    const whole = spans.length === 1 && first !== undefined;
    const shift = whole ? first.start : 0;
    const place =
      whole || first === undefined
        ? ""
        : `, in records ${first.record} to ${spans.at(-1)?.record}; its bytes are counted from its own start`;
    const title = `  ${titleOf(type ?? "unknown")}  handshake message ${number}, ${bytes.length} bytes${place}`;
    return [
      this.#flush(this.#paint("bold", title), this.#paint("dim", section)),
      ...this.#once(`message ${type}`, note).map((text) => this.#paint("dim", `  ${text}`)),
      ...(problem === undefined ? [] : [this.#paint("error", `  does not decode: ${problem}`)]),
      ...this.#messageHeader(message, shift),
      ...fields.slice(2).flatMap((field) => this.#field(field, bytes, shift, 1, section)),
    ];
  }

  #messageHeader({ fields, bytes }: TraceMessage, shift: number): string[] {
    if (this.#full) return fields.slice(0, 2).flatMap((field) => this.#field(field, bytes, shift, 1, undefined));
    const [type, length] = fields as [TraceField, TraceField];
    return this.#line({
      start: shift,
      end: shift + 4,
      depth: 1,
      name: "message header",
      bytes: bytes.subarray(0, 4),
      meaning: `${meaningOf(type)}, ${count(Number(length.value), "byte")}`,
      section: undefined,
    });
  }

  #alert({ description, fields, note, section }: TraceAlert): string[] {
    const name = description.name ?? `alert ${description.code}`;
    const bytes = Uint8Array.from(fields, ({ value }) => Number(value));
    return [
      this.#flush(this.#paint("bold", `  Alert  ${name}`), this.#paint("dim", section)),
      this.#paint("dim", `  ${note}`),
      ...fields.flatMap((field) => this.#field(field, bytes, 5, 1, section)),
    ];
  }

  /** The bytes of a line are those that none of its children show. */
  #field(field: TraceField, bytes: Uint8Array, shift: number, depth: number, section: string | undefined): string[] {
    const children = this.#full ? field.children : shownChildren(field);
    const end = children[0]?.start ?? field.end;
    const { certificate } = field;
    const line = this.#line({
      start: shift + field.start,
      end: shift + field.end,
      depth,
      name: field.name,
      bytes: bytes.subarray(field.start, end),
      meaning: certificate === undefined ? meaningOf(field) : "X.509 certificate",
      section: field.section === section || field.item === true ? undefined : field.section,
    });
    const notes = field.item === true || children.some(({ name }) => name === "data") ? [] : this.#explain(field);
    return [
      ...line,
      ...notes.map((text) => this.#paint("dim", `${" ".repeat(RANGE + 2 + 2 * depth)}${text}`)),
      ...(certificate === undefined ? [] : this.#certificate(certificate, " ".repeat(RANGE + 2 + 2 * depth))),
      ...children.flatMap((child) => this.#field(child, bytes, shift, depth + 1, field.section)),
    ];
  }

  #explain({ name, note }: TraceField): string[] {
    return name === "length" || name === "extension_type" || name === "data" ? [] : this.#once(`${name} ${note}`, note);
  }

  #certificate({ subject, issuer, notBefore, notAfter, names, key }: CertificateSummary, indent: string): string[] {
    const shown = names.slice(0, 8).join(", ") + (names.length > 8 ? `, and ${names.length - 8} more` : "");
    return [
      `${indent}${subject === "" ? "(no subject)" : subject}, issued by ${issuer}, ${key}`,
      `${indent}valid ${notBefore} to ${notAfter}${names.length > 0 ? `, for ${shown}` : ""}`,
    ];
  }

  #once(key: string, note: string): string[] {
    if (note === "" || this.#explained.has(key)) return [];
    this.#explained.add(key);
    return [note];
  }

  #line({ start, end, depth, name, bytes, meaning, section }: Line): string[] {
    const range = this.#paint("dim", `  [${String(start).padStart(5)}..${String(end).padStart(5)})`);
    const title = `${"  ".repeat(depth)}${name}`.padEnd(this.#name);
    const rows = this.#hex(bytes);
    const width = 3 * (this.#full ? FULL_BYTES : BYTES) - 1;
    const head = `${range}  ${title} ${(rows[0] ?? "").padEnd(width)}  ${meaning}`.trimEnd();
    const more = rows.slice(1).map((row) => `${" ".repeat(RANGE + 2 + this.#name)} ${row}`);
    return [section === undefined ? head : this.#flush(head, this.#paint("dim", section)), ...more];
  }

  #hex(bytes: Uint8Array): string[] {
    const hex = (from: number, to?: number) => Array.from(bytes.subarray(from, to), twoDigits).join(" ");
    if (this.#full) {
      return Array.from({ length: Math.ceil(bytes.length / FULL_BYTES) }, (_, row) =>
        hex(row * FULL_BYTES, (row + 1) * FULL_BYTES),
      );
    }
    if (bytes.length <= BYTES) return [hex(0)];
    return [`${hex(0, BYTES - TAIL - 1)} … ${hex(bytes.length - TAIL)}`];
  }

  /** `right` at the right margin, or right behind where there is no room. */
  #flush(left: string, right: string): string {
    const room = this.#width - visible(left) - visible(right);
    return `${left}${" ".repeat(Math.max(2, room))}${right}`;
  }

  #paint(style: Style, text: string): string {
    return this.#color ? `\x1b[${ANSI[style]}m${text}\x1b[0m` : text;
  }
}
