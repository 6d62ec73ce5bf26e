/** fetch with client certificates, in every runtime, over any byte stream: HTTP/1.1 over this library's sessions. */
import { explainErrors } from "../causes.ts";
import { nobleProvider } from "../crypto/noble.ts";
import { createWebCryptoProvider } from "../crypto/webcrypto.ts";
import { liveClient } from "../engine/context.ts";
import { everyFeature } from "../engine/features/index.ts";
import { withDefaults } from "../transport/establish.ts";
import { createFetch, type FetchInit, type TlsFetch } from "./fetch.ts";

export type { PrepareClient } from "./contexts.ts";
export { HttpError, type HttpErrorCode } from "./errors.ts";
export { createFetch, type FetchInit, type FetchOptions, type FetchTransport, type TlsFetch } from "./fetch.ts";
export type { Connector } from "./open.ts";
export type { RequestOptions } from "./request.ts";

let shared: TlsFetch | undefined;

/**
 * The platform's fetch, but for who makes the connection: `tls` says whom to trust and who this side is, `connect` leads to
 * the server. Connections are kept for the next request with the same `tls` and `connect`, and for no other.
 *
 * HTTP/1.1, strictly (RFC 9112): what could be read in two ways is an error. Bodies stream both ways. A redirect to another
 * origin is followed without this side's certificate, Authorization and Cookie, unless `credentials` is `include`. There are
 * no cookies and there is no cache; `manual` gives the redirect as it is.
 *
 * Uses WebCrypto with noble as fallback, as the root entry point does; {@link createFetch} takes any other's, and limits.
 *
 * @throws HttpError, a TypeError with a code; TlsError for all that concerns TLS: a certificate that the server refuses, too,
 * which in TLS 1.3 comes with the response (RFC 8446 2). What `signal` is aborted with.
 * @example
 * ```ts
 * const tls = { trust: ca, identities: [{ cert, key }] };
 * const response = await fetch(`${origin}/hello`, { tls, connect: open });
 * console.log(response.status, await response.text()); // 200 hello localhost
 * ```
 */
export function fetch(input: string | URL | Request, init?: FetchInit): Promise<Response> {
  if (shared === undefined) {
    explainErrors();
    const provider = () => createWebCryptoProvider({ fallback: nobleProvider });
    shared = createFetch({ clientContext: (options) => liveClient(withDefaults(options, provider), everyFeature) });
  }
  return shared(input, init);
}
