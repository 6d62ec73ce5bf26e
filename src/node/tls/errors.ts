/** Errors that are Node's own in node:tls, and no faults of TLS. */

/** An error with one of Node's codes. */
export function nodeError(code: string, message: string, options?: ErrorOptions): NodeJS.ErrnoException {
  return Object.assign(new Error(message, options), { code });
}

/** A wrong argument, as Node says it. */
export function argumentError(code: string, message: string): TypeError & { readonly code: string } {
  return Object.assign(new TypeError(message), { code });
}

/** What the application's own callback made of the handshake, in place of the fault that it was wrapped in. */
export function ownError(error: Error & { readonly code?: string }): Error {
  return error.code === "ERR_TLS_CALLBACK_FAILED" && error.cause instanceof Error ? error.cause : error;
}
