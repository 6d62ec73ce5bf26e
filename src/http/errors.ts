/** What can be wrong with HTTP; what is wrong with TLS is a TlsError. */

/** Stable; switch on these. */
export type HttpErrorCode =
  /** What the server sent is not HTTP/1.1 as RFC 9112 has it. */
  | "ERR_HTTP_INVALID_RESPONSE"
  /** The server chose another protocol, or asked to change it. */
  | "ERR_HTTP_PROTOCOL"
  /** More than the limits allow: head, fields, trailers, a chunk's size line. */
  | "ERR_HTTP_TOO_LARGE"
  /** It ended in the middle. */
  | "ERR_HTTP_TRUNCATED"
  /** The connection ended before a byte of the response. */
  | "ERR_HTTP_CLOSED"
  | "ERR_HTTP_TIMEOUT"
  | "ERR_HTTP_REDIRECT"
  /** `connect` failed; `cause` says why. */
  | "ERR_HTTP_CONNECT"
  /** The request cannot be sent: its URL, method, header fields, body or options. */
  | "ERR_HTTP_REQUEST";

/**
 * A failure of HTTP: a TypeError, as fetch has it, with a code.
 *
 * @example
 * ```ts
 * try {
 *   await fetch("http://localhost/");
 * } catch (error) {
 *   if (error instanceof HttpError) console.log(error.code); // ERR_HTTP_REQUEST
 * }
 * ```
 */
export class HttpError extends TypeError {
  override readonly name = "HttpError";
  readonly code: HttpErrorCode;

  constructor(code: HttpErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

export function invalid(message: string): HttpError {
  return new HttpError("ERR_HTTP_INVALID_RESPONSE", `the response is not HTTP/1.1: ${message}`);
}
