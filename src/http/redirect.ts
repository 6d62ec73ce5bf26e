/** What comes of a redirect (fetch 4.4, RFC 9110 15.4). */
import { HttpError } from "./errors.ts";
import type { ResponseHead } from "./head.ts";
import { type OutgoingRequest, parseUrl } from "./request.ts";

const STATUSES: readonly number[] = [301, 302, 303, 307, 308];
/** They are for one origin. */
const PRIVATE: readonly string[] = ["authorization", "cookie"];
/** They describe a body. */
const OF_BODY: readonly string[] = ["content-encoding", "content-language", "content-location", "content-type"];

/** Where a response sends its client; `undefined` when it does not. */
export function locationOf({ status, fields }: ResponseHead): string | undefined {
  if (!STATUSES.includes(status)) return undefined;
  const locations = fields.filter(([name]) => name === "location");
  if (locations.length > 1) throw redirect("more than one Location");
  return locations[0]?.[1];
}

/**
 * The request that follows.
 *
 * @throws HttpError `ERR_HTTP_REDIRECT` for another scheme, or a body that cannot be sent again.
 */
export function followed(request: OutgoingRequest, status: number, location: string): OutgoingRequest {
  const url = target(request.url, location);
  const { method } = request;
  const toGet = status === 303 ? method !== "GET" && method !== "HEAD" : status <= 302 && method === "POST";
  if (!toGet && request.body?.once)
    throw redirect(`status ${status}, and the body is a stream that cannot be sent again`);
  const crossed = url.origin !== request.url.origin;
  const fields = request.fields.filter(
    ([name]) => !(crossed && PRIVATE.includes(name)) && !(toGet && OF_BODY.includes(name)),
  );
  return { url, fields, method: toGet ? "GET" : method, body: toGet ? undefined : request.body };
}

function target(base: URL, location: string): URL {
  try {
    return parseUrl(new URL(location, base).href);
  } catch (cause) {
    throw redirect("a Location that is no https: URL", cause);
  }
}

export function redirect(message: string, cause?: unknown): HttpError {
  return new HttpError("ERR_HTTP_REDIRECT", `the redirect cannot be followed: ${message}`, { cause });
}
