/** The header fields of a request as it goes to the server behind, and what of its framing is not to be trusted. */
import { fault } from "../../errors.ts";
import type { PeerIdentity } from "../../x509/identity.ts";
import type { Host } from "../host.ts";
import type { Refusal } from "../target.ts";
import type { IdentityFields } from "./identity.ts";
import { foldedName, pairs, passedOn, type RawFields, valuesOf } from "./names.ts";

/** Where a body ends. */
export type Framing = { readonly length: number } | "chunked" | "none";

/** Fields of one request. */
const MAX_FIELDS = 100;

/**
 * How a request says where it ends, RFC 9112 6.3; refused where two readers could disagree, though the parser underneath
 * has taken it.
 *
 * @param version - Such as `1.1`.
 */
export function readFraming(raw: RawFields, version: string): Framing | Refusal {
  const refused = (rule: string, reason: string, status = 400) => ({ status, rule, reason });
  if (raw.length > 2 * MAX_FIELDS) return refused("field-count", `more than ${MAX_FIELDS} header fields`, 431);
  const lengths = valuesOf(raw, "content-length");
  const codings = valuesOf(raw, "transfer-encoding");
  for (const [name] of pairs(raw)) {
    const folded = foldedName(name);
    if (FRAMING.includes(folded) && folded !== name.toLowerCase()) {
      return refused("framing-spelling", `a field ${name} that servers take for ${folded}`);
    }
  }
  if (codings.length > 0 && lengths.length > 0) {
    return refused("framing-conflict", "both Transfer-Encoding and Content-Length");
  }
  if (codings.length > 0) {
    if (version !== "1.1") return refused("framing-version", `Transfer-Encoding in HTTP/${version}`);
    const isChunked = codings.length === 1 && codings[0]?.toLowerCase() === "chunked";
    return isChunked ? "chunked" : refused("framing-coding", "a Transfer-Encoding other than chunked", 501);
  }
  const [length] = lengths;
  if (length === undefined) return "none";
  if (lengths.length > 1 || !/^\d{1,15}$/.test(length)) return refused("framing-length", "no single Content-Length");
  return { length: Number(length) };
}

const FRAMING = ["content-length", "transfer-encoding", "host"];

/** What is known of the connection that a request came on. */
export interface ForwardFacts {
  readonly host: Host;
  readonly framing: Framing;
  readonly version: string;
  readonly client: PeerIdentity | undefined;
  readonly roles: readonly string[];
  /** An IP address. */
  readonly clientAddress: string | undefined;
  /** It may be a replay, RFC 8470 5.1. */
  readonly early: boolean;
}

/** Which fields say where a request came from. */
export type ForwardedField = "forwarded" | "x-forwarded";

/** The request's fields, in order: the client's, then this side's. */
export function requestFields(
  raw: RawFields,
  facts: ForwardFacts,
  identity: IdentityFields,
  forwarded: readonly ForwardedField[],
): string[] {
  const { host, framing, client, roles, early, version } = facts;
  return [
    ...["Host", host.field],
    ...passedOn(raw, identity.names),
    ...(framing === "chunked" ? ["Transfer-Encoding", "chunked"] : []),
    ...(typeof framing === "object" ? ["Content-Length", String(framing.length)] : []),
    ...forwarded.flatMap((kind) => FORWARDED[kind](facts)),
    // RFC 9110 7.6.3.
    ...["Via", [...valuesOf(raw, "via"), `${version} mutls`].join(", ")],
    ...identity.fields(client, roles),
    ...(early ? ["Early-Data", "1"] : []),
  ];
}

/** @throws TlsError `ERR_TLS_OPTION` for what is no such field. */
export function forwardedFields(given: readonly ForwardedField[] = ["forwarded", "x-forwarded"]) {
  const unknown = given.find((kind) => !Object.hasOwn(FORWARDED, kind));
  if (unknown !== undefined) throw fault("ERR_TLS_OPTION", `forwarded: "${unknown}"`);
  return given;
}

const FORWARDED: Readonly<Record<ForwardedField, (facts: ForwardFacts) => readonly string[]>> = {
  "x-forwarded": ({ clientAddress, host }) => [
    ...(clientAddress === undefined ? [] : ["X-Forwarded-For", clientAddress]),
    ...["X-Forwarded-Proto", "https", "X-Forwarded-Host", host.field],
  ],
  // RFC 7239 6: IPv6 in brackets, and then in quotes, as is what has a colon.
  forwarded: ({ clientAddress, host }) => {
    const node = clientAddress?.includes(":") ? `"[${clientAddress}]"` : clientAddress;
    const name = /[^A-Za-z0-9._-]/.test(host.field) ? `"${host.field}"` : host.field;
    return ["Forwarded", `for=${node ?? "unknown"};host=${name};proto=https`];
  },
};

/** Whether a previous hop has said that a request may be a replay: whatever it says with that field (RFC 8470 5.1). */
export function saysEarly(raw: RawFields): boolean {
  for (const [name] of pairs(raw)) if (foldedName(name) === "early-data") return true;
  return false;
}
