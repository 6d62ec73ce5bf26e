/** The head of a response: status line and fields (RFC 9112 4 and 5), and how its body is framed (6). */
import { HttpError, invalid } from "./errors.ts";
import type { ByteSource } from "./source.ts";

/** What a server's heads may take. */
export interface HeadLimits {
  /** Bytes of all heads of one response, and of its trailers. */
  readonly maxHeadBytes: number;
  readonly maxFields: number;
}

export type Field = readonly [name: string, value: string];

export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  /** Names in lower case. */
  readonly fields: readonly Field[];
  /** HTTP/1.1, and the server does not say that it closes. */
  readonly persistent: boolean;
  readonly framing: Framing;
}

/** Where a body ends. */
export type Framing =
  | { readonly type: "length"; readonly length: number }
  | { readonly type: "chunked" }
  /** With close_notify. */
  | { readonly type: "close" };

const NO_BODY: Framing = { type: "length", length: 0 };
/** The space before an empty reason is often left out. */
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FIELD_LINE =
  /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[\t ]*$/;
const SWITCHING_PROTOCOLS = 101;

/**
 * The head of the final response; interim ones (1xx) are read over.
 *
 * @returns `undefined` when the connection ended before a byte came.
 */
export async function readHead(
  source: ByteSource,
  method: string,
  limits: HeadLimits,
): Promise<ResponseHead | undefined> {
  const budget = { left: limits.maxHeadBytes, fields: limits.maxFields };
  for (let first = true; ; first = false) {
    const line = await source.line(budget.left, "the status line");
    if (line === undefined) {
      if (first) return undefined;
      throw new HttpError("ERR_HTTP_TRUNCATED", "the connection ended after an interim response");
    }
    budget.left -= line.length + 2;
    const [, minor, digits, reason = ""] = STATUS_LINE.exec(line) ?? [];
    if (digits === undefined) throw invalid("a wrong status line");
    const status = Number(digits);
    const fields = await readFields(source, budget, "the head");
    if (status === SWITCHING_PROTOCOLS)
      throw new HttpError("ERR_HTTP_PROTOCOL", "the server changes the protocol unasked");
    const framing = framingOf(status, method, fields, minor === "1");
    if (status < 200) continue;
    const persistent = minor === "1" && !listed(fields, "connection").includes("close");
    return { status, reason, fields, persistent, framing };
  }
}

/** Field lines up to the empty one. */
export async function readFields(
  source: ByteSource,
  budget: { left: number; fields: number },
  what: string,
): Promise<Field[]> {
  const fields: Field[] = [];
  for (;;) {
    const line = await source.line(budget.left, what);
    if (line === undefined) throw new HttpError("ERR_HTTP_TRUNCATED", `the connection ended within ${what}`);
    budget.left -= line.length + 2;
    if (line === "") return fields;
    if (--budget.fields < 0) throw new HttpError("ERR_HTTP_TOO_LARGE", `${what}: too many fields`);
    fields.push(parseField(line, what));
  }
}

function parseField(line: string, what: string): Field {
  const [, name, value = ""] = FIELD_LINE.exec(line) ?? [];
  if (name !== undefined) return [name.toLowerCase(), value];
  if (/^[\t ]/.test(line)) throw invalid(`${what}: a line folded onto the one before (obs-fold)`);
  if (/^[^:]*[\t ]+:/.test(line)) throw invalid(`${what}: white space before a colon`);
  throw invalid(`${what}: a wrong field line`);
}

/** RFC 9112 6.3; what could be read in two ways is refused. */
function framingOf(status: number, method: string, fields: readonly Field[], current: boolean): Framing {
  const lengths = valuesOf(fields, "content-length");
  const codings = listed(fields, "transfer-encoding");
  const encoded = valuesOf(fields, "transfer-encoding").length > 0;
  if (lengths.length > 1) throw invalid("Content-Length more than once");
  const [digits] = lengths;
  if (digits !== undefined && !/^\d{1,15}$/.test(digits)) throw invalid("a wrong Content-Length");
  if (encoded && digits !== undefined) throw invalid("both Transfer-Encoding and Content-Length");
  if (encoded && !current) throw invalid("Transfer-Encoding in HTTP/1.0");
  if (encoded && (codings.length !== 1 || codings[0] !== "chunked"))
    throw invalid("a Transfer-Encoding other than chunked");
  if (status < 200 || status === 204) {
    if (encoded) throw invalid(`Transfer-Encoding with status ${status}`);
    if (Number(digits ?? 0) !== 0) throw invalid(`a Content-Length with status ${status}`);
    return NO_BODY;
  }
  if (method === "HEAD" || status === 304) return NO_BODY;
  if (encoded) return { type: "chunked" };
  return digits === undefined ? { type: "close" } : { type: "length", length: Number(digits) };
}

function valuesOf(fields: readonly Field[], name: string): string[] {
  return fields.filter(([own]) => own === name).map(([, value]) => value);
}

/** The items of a field that is a list, in lower case. */
export function listed(fields: readonly Field[], name: string): string[] {
  const items = valuesOf(fields, name).flatMap((value) => value.split(","));
  return items.map((item) => item.trim().toLowerCase()).filter((item) => item !== "");
}

export function isToken(text: string): boolean {
  return TOKEN.test(text);
}
