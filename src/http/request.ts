/** From what fetch is given to what goes on the wire. */
import { utf8 } from "../bytes/bytes.ts";
import { HttpError } from "./errors.ts";
import { type Field, isToken } from "./head.ts";

/** A body that is sent. */
export interface OutgoingBody {
  /** Bytes; `undefined`: not known before it has been sent, so it goes in chunks. */
  readonly length: number | undefined;
  /** Once only; other bodies as often as wanted. */
  readonly once: boolean;
  open(): ReadableStream<Uint8Array>;
}

/** One request, for one URL. */
export interface OutgoingRequest {
  readonly url: URL;
  readonly method: string;
  /** Names in lower case; without those that say how the message is framed. */
  readonly fields: readonly Field[];
  readonly body: OutgoingBody | undefined;
}

/** What of a request's own is read; what else fetch has would change nothing here, and is refused by name. */
export interface RequestOptions {
  readonly method?: string | undefined;
  readonly headers?: HeadersInit | undefined;
  readonly body?: BodyInit | null | undefined;
  readonly duplex?: "half" | undefined;
  readonly redirect?: RequestRedirect | undefined;
  readonly credentials?: RequestCredentials | undefined;
  readonly signal?: AbortSignal | null | undefined;
}

/** This end's to set: they say where the message goes, where it ends, and what becomes of the connection. */
const RESERVED: readonly string[] = [
  "host",
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authorization",
  "content-length",
  "transfer-encoding",
  "te",
  "trailer",
  "upgrade",
  "expect",
];
/** Written in any case (fetch 2.2.1). */
const METHODS: readonly string[] = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"];
const REFUSED_METHODS: readonly string[] = ["CONNECT", "TRACE", "TRACK"];
/** They have a body even where it is empty. */
const WITH_BODY: readonly string[] = ["POST", "PUT", "PATCH"];
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const INPUT_HEADERS = ["accept", "accept-encoding"] as const;

/**
 * @throws HttpError `ERR_HTTP_REQUEST`.
 */
export async function outgoing(input: string | URL | Request, options: RequestOptions): Promise<OutgoingRequest> {
  const given = typeof input === "string" || input instanceof URL ? undefined : input;
  if (given?.integrity) throw refused("an integrity, which nobody checks here");
  const url = parseUrl(given?.url ?? String(input));
  const method = parseMethod(options.method ?? given?.method ?? "GET");
  const fields = parseFields(options.headers ?? given?.headers ?? []);
  const init = options.body === undefined ? given?.body : options.body;
  if (init === null || init === undefined) return { url, method, fields: withDefaults(fields), body: undefined };
  if (method === "GET" || method === "HEAD") throw refused(`a body with ${method}`);
  if (options.body === undefined && given?.bodyUsed) throw refused("a body that has been read");
  const { body, type } = await parseBody(init);
  const typed = type === null || fields.some(([name]) => name === "content-type");
  return { url, method, fields: withDefaults(typed ? fields : [...fields, ["content-type", type]]), body };
}

/** The head on the wire (RFC 9112 3). */
export function encodeHead({ url, method, fields, body }: OutgoingRequest): Uint8Array {
  const framing: Field[] = [];
  if (body !== undefined) {
    framing.push(
      body.length === undefined ? ["transfer-encoding", "chunked"] : ["content-length", String(body.length)],
    );
  } else if (WITH_BODY.includes(method)) framing.push(["content-length", "0"]);
  const lines = [["host", url.host] as const, ...fields, ...framing].map(([name, value]) => `${name}: ${value}\r\n`);
  const text = `${method} ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join("")}\r\n`;
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/** The fetch standard's, and what this platform can decode. */
function withDefaults(fields: readonly Field[]): Field[] {
  // A part of what is coded cannot be decoded.
  const whole = !fields.some(([name]) => name === "range");
  const codings = whole && typeof DecompressionStream !== "undefined" ? "gzip, deflate" : "identity";
  const values = { accept: "*/*", "accept-encoding": codings };
  const absent = INPUT_HEADERS.filter((name) => !fields.some(([own]) => own === name));
  return [...absent.map((name): Field => [name, values[name]]), ...fields];
}

export function parseUrl(text: string): URL {
  if (!URL.canParse(text)) throw refused(`"${text}" is no absolute URL`);
  const url = new URL(text);
  if (url.protocol !== "https:") throw refused(`${url.protocol} is not https:, and TLS is all there is here`);
  if (url.username !== "" || url.password !== "") throw refused("a URL with a user or a password");
  url.hash = "";
  return url;
}

function parseMethod(text: string): string {
  if (!isToken(text)) throw refused("a method that is no token");
  const upper = text.toUpperCase();
  if (REFUSED_METHODS.includes(upper)) throw refused(`the method ${upper}`);
  return METHODS.includes(upper) ? upper : text;
}

/** Whatever the platform's Headers lets through is held to RFC 9110 5.5 here: nothing in a field can end it. */
function parseFields(init: HeadersInit): Field[] {
  return [...new Headers(init)].map(([given, value]) => {
    const name = given.toLowerCase();
    if (!isToken(name) || !VALUE.test(value))
      throw refused(`the header field ${JSON.stringify(name)} has what none may have`);
    if (RESERVED.includes(name)) throw refused(`the header field ${name}, which is not the caller's to set`);
    return [name, value];
  });
}

async function parseBody(init: BodyInit): Promise<{ readonly body: OutgoingBody; readonly type: string | null }> {
  if (init instanceof ReadableStream) {
    if (init.locked) throw refused("a body that somebody else reads");
    return { body: { length: undefined, once: true, open: () => init as ReadableStream<Uint8Array> }, type: null };
  }
  if (init instanceof Blob) {
    const body = { length: init.size, once: false, open: () => init.stream() };
    return { body, type: init.type === "" ? null : init.type };
  }
  // The platform knows what each kind of body is as bytes.
  const response = new Response(init);
  const type = response.headers.get("content-type");
  const bytes = typeof init === "string" ? utf8(init) : new Uint8Array(await response.arrayBuffer());
  return { body: { length: bytes.length, once: false, open: () => streamOf(bytes) }, type };
}

function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      if (bytes.length > 0) controller.enqueue(bytes);
      controller.close();
    },
  });
}

export function refused(message: string): HttpError {
  return new HttpError("ERR_HTTP_REQUEST", `the request cannot be sent: ${message}`);
}
