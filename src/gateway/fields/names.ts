/**
 * Which header fields of a client are passed on. Servers behind see fields by other names than they were sent under: CGI
 * and what descends from it take every character that is no letter or digit for the same. So do the rules here.
 */

/** A field by which nobody is to be taken for anybody, as servers behind may read it. */
export function foldedName(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, "-");
}

/** Set by this side alone. */
const OWN_FIELDS: readonly string[] = [
  // RFC 9440.
  "client-cert",
  "client-cert-chain",
  // RFC 7239; all of X-Forwarded-…, Envoy's X-Forwarded-Client-Cert among them, goes by the prefixes below.
  "forwarded",
  "x-real-ip",
  "via",
  // RFC 8470: kept as a fact, and set anew.
  "early-data",
  "host",
  "content-length",
  // Another method than the one that was judged.
  "x-http-method",
  "x-http-method-override",
  "x-method-override",
];

/** nginx's, HAProxy's and Apache's customs for the same facts; and another path than the one that was judged. */
const OWN_PREFIXES: readonly string[] = [
  "x-forwarded-",
  "x-client-cert",
  "x-ssl-",
  "ssl-client-",
  "x-original-",
  "x-rewrite-",
];

/** RFC 9110 7.6.1 and 11.7: for this hop; `Expect` is answered here. */
const HOP_FIELDS: readonly string[] = [
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-authentication-info",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
  "expect",
];

/** Fields in the order in which they came: name and value in turn. */
export type RawFields = readonly string[];

/** Each field with its value. */
export function* pairs(raw: RawFields): Generator<readonly [name: string, value: string]> {
  for (let index = 0; index + 1 < raw.length; index += 2) yield [raw[index] as string, raw[index + 1] as string];
}

/** All values of one field. */
export function valuesOf(raw: RawFields, name: string): string[] {
  const values: string[] = [];
  for (const [own, value] of pairs(raw)) if (own.toLowerCase() === name) values.push(value);
  return values;
}

/** What `Connection` names: for this hop, too. */
function listed(raw: RawFields): ReadonlySet<string> {
  return new Set(
    valuesOf(raw, "connection").flatMap((value) => value.split(",").map((option) => foldedName(option.trim()))),
  );
}

/**
 * A client's fields that are passed on, in their order.
 *
 * @param own - Names of fields, beside the usual ones, that this side sets.
 */
export function passedOn(raw: RawFields, own: readonly string[]): string[] {
  const dropped = new Set([...OWN_FIELDS, ...HOP_FIELDS, ...own.map(foldedName)]);
  const hop = listed(raw);
  return [...pairs(raw)].flatMap(([name, value]) => {
    const folded = foldedName(name);
    const kept = !dropped.has(folded) && !hop.has(folded) && !OWN_PREFIXES.some((prefix) => folded.startsWith(prefix));
    return kept ? [name, value] : [];
  });
}

/** Fields of responses, which none but this side may send; RFC 9440 2.2 and 2.3, RFC 8470 5.1. */
const NOT_IN_RESPONSES: readonly string[] = ["client-cert", "client-cert-chain", "early-data"];

/** A response's fields that are passed on, in their order. */
export function passedBack(raw: RawFields): string[] {
  const dropped = new Set([...HOP_FIELDS, ...NOT_IN_RESPONSES]);
  const hop = listed(raw);
  return [...pairs(raw)].flatMap(([name, value]) => {
    const folded = name.toLowerCase();
    return dropped.has(folded) || hop.has(folded) ? [] : [name, value];
  });
}
