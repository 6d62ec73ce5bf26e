/** A standard Response of what has come: its body is read as it is asked for. */
import { ignore } from "../transport/stream.ts";
import type { BodyReader } from "./body.ts";
import { HttpError, invalid } from "./errors.ts";
import { listed, type ResponseHead } from "./head.ts";

/** What becomes of a body. */
export interface BodyEnds {
  /** It has been read to its end. */
  complete(): void;
  /** Nobody wants the rest, or it has failed. */
  abandon(reason: unknown): void;
}

/** What DecompressionStream calls what RFC 9110 8.4.1 does. */
const CODINGS: Readonly<Record<string, CompressionFormat>> = { gzip: "gzip", "x-gzip": "gzip", deflate: "deflate" };
/** Codings of one body. */
const MAX_CODINGS = 4;

export function responseOf(
  head: ResponseHead,
  body: BodyReader,
  { complete, abandon }: BodyEnds,
  { url, redirected }: { readonly url: string; readonly redirected: boolean },
): Response {
  const { status, reason, fields, framing } = head;
  const headers = new Headers();
  for (const [name, value] of fields) headers.append(name, value);
  const empty = framing.type === "length" && framing.length === 0;
  if (empty) complete();
  // No Response has a body with these, whatever is sent after 205.
  const bodiless = status === 204 || status === 205 || status === 304;
  if (bodiless && !empty) abandon(invalid(`a body with status ${status}`));
  const stream = empty || bodiless ? null : decoded(body, complete, abandon, head);
  const response = new Response(stream, { status, statusText: reason, headers });
  // No constructor sets these.
  Object.defineProperties(response, { url: { value: url }, redirected: { value: redirected } });
  return response;
}

/** Read only when it is asked for: what nobody reads stays with the server. */
function streamOf(
  body: BodyReader,
  complete: () => void,
  abandon: (reason: unknown) => void,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        try {
          const piece = await body();
          // A copy: what lies behind it in the same array is nobody's business.
          if (piece !== undefined) return controller.enqueue(new Uint8Array(piece));
        } catch (error) {
          abandon(error);
          throw error;
        }
        complete();
        controller.close();
      },
      cancel: abandon,
    },
    { highWaterMark: 0 },
  );
}

/** Without the codings that this platform can undo; a body in any other is handed on as it is. */
function decoded(
  body: BodyReader,
  complete: () => void,
  abandon: (reason: unknown) => void,
  { fields }: ResponseHead,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const codings = listed(fields, "content-encoding").filter((coding) => coding !== "identity");
  if (codings.length > MAX_CODINGS) throw new HttpError("ERR_HTTP_TOO_LARGE", `${codings.length} content codings`);
  const formats = codings.reverse().map((coding) => CODINGS[coding]);
  if (
    codings.length === 0 ||
    typeof DecompressionStream === "undefined" ||
    !formats.every((format) => format !== undefined)
  ) {
    return streamOf(body, complete, abandon);
  }
  let broken: { readonly reason: unknown } | undefined;
  const whole = async () => {
    try {
      return await body();
    } catch (reason) {
      broken = { reason };
      throw reason;
    }
  };
  const coded = streamOf(whole, complete, abandon);
  const reader = formats
    .reduce((inner, format) => inner.pipeThrough(new DecompressionStream(format)), coded)
    .getReader();
  const read = async () => {
    try {
      const { done, value } = await reader.read();
      return done ? undefined : value;
    } catch (cause) {
      if (broken !== undefined) throw broken.reason;
      throw new HttpError("ERR_HTTP_INVALID_RESPONSE", "the body is not what its Content-Encoding says", { cause });
    }
  };
  return streamOf(read, ignore, (reason) => void reader.cancel(reason).catch(ignore));
}
