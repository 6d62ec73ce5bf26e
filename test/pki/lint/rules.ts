/** What certificates must be like, rule by rule with its source; what a linter such as zlint checks. */
import { equal, latin1 } from "../../../src/bytes/bytes.ts";
import { contextConstructed, contextPrimitive, DerReader, Tag } from "../../../src/bytes/der.ts";
import { all, type Element, element, type RawAlgorithm, type RawCertificate, type RawName } from "./dissect.ts";

/** What a certificate is seen beside. */
export interface LintContext {
  /** `undefined`: it is a root. */
  readonly issuer: RawCertificate | undefined;
}

/** What is wrong, or `undefined`. */
export type Check = (certificate: RawCertificate, context: LintContext) => string | undefined;

export interface LintRule {
  readonly id: string;
  /** Where it is written. */
  readonly source: string;
  readonly check: Check;
}

const OID = {
  subjectKeyId: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  nameConstraints: "2.5.29.30",
  crlPoints: "2.5.29.31",
  authorityKeyId: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  access: "1.3.6.1.5.5.7.1.1",
  noCheck: "1.3.6.1.5.5.7.48.1.5",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  ocspSigning: "1.3.6.1.5.5.7.3.9",
  any: "2.5.29.37.0",
  rsa: "1.2.840.113549.1.1.1",
  pss: "1.2.840.113549.1.1.10",
  ec: "1.2.840.10045.2.1",
  ed25519: "1.3.101.112",
} as const;

const rule = (id: string, source: string, check: Check): LintRule => ({ id, source, check });
const when = (wrong: boolean | undefined, text: string) => (wrong ? text : undefined);

const extension = ({ extensions = [] }: RawCertificate, oid: string) => extensions.find((one) => one.oid === oid);
const has = (certificate: RawCertificate, oid: string) => extension(certificate, oid) !== undefined;
const content = (certificate: RawCertificate, oid: string) => {
  const found = extension(certificate, oid);
  return found && new DerReader(found.value);
};

function isCa(certificate: RawCertificate): boolean {
  const constraints = content(certificate, OID.basicConstraints)?.sequence();
  return constraints?.peek() === Tag.boolean && constraints.boolean();
}

/** Bits of the key usage, bit 0 first. */
function usage(certificate: RawCertificate): readonly boolean[] {
  const bytes = content(certificate, OID.keyUsage)?.bitString().bytes ?? new Uint8Array();
  return Array.from({ length: 9 }, (_, bit) => (((bytes[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1) === 1);
}
const DIGITAL_SIGNATURE = 0;
const KEY_ENCIPHERMENT = 2;
const KEY_AGREEMENT = 4;
const CERT_SIGN = 5;

function purposes(certificate: RawCertificate): string[] {
  const list = content(certificate, OID.extendedKeyUsage)?.sequence();
  return list === undefined ? [] : all(list, (reader) => reader.oid());
}

function names(certificate: RawCertificate, number?: number): Element[] {
  const list = content(certificate, OID.subjectAltName)?.sequence();
  const found = list === undefined ? [] : all(list, element);
  return number === undefined ? found : found.filter(({ tag }) => tag === contextPrimitive(number));
}

function attributes({ rdns }: RawName) {
  return rdns.flat();
}
const both = ({ issuer, subject }: RawCertificate) => [...attributes(issuer), ...attributes(subject)];

const DIRECTORY_STRINGS = ["2.5.4.3", "2.5.4.7", "2.5.4.8", "2.5.4.9", "2.5.4.10", "2.5.4.11"];
/** Upper bounds of RFC 5280 A.1. */
const BOUNDS: Readonly<Record<string, number>> = {
  "2.5.4.3": 64,
  "2.5.4.5": 64,
  "2.5.4.6": 2,
  "2.5.4.7": 128,
  "2.5.4.8": 128,
  "2.5.4.10": 64,
  "2.5.4.11": 64,
  "1.2.840.113549.1.9.1": 255,
};

const ECDSA = /^1\.2\.840\.10045\.4\.3\./;
const PKCS1 = ["1.2.840.113549.1.1.11", "1.2.840.113549.1.1.12", "1.2.840.113549.1.1.13"];
const STRONG = [...PKCS1, OID.pss, OID.ed25519, "1.2.840.10045.4.3.2", "1.2.840.10045.4.3.3", "1.2.840.10045.4.3.4"];
const isNull = (parameters: Element | undefined) => parameters?.tag === Tag.null && parameters.content.length === 0;

/** The year of a time that has its form; `undefined` for one that has not. */
function yearOf({ tag, content: bytes }: Element): number | undefined {
  const text = latin1(bytes);
  if (tag === Tag.utcTime) return /^\d{12}Z$/.test(text) ? fullYear(Number(text.slice(0, 2))) : undefined;
  return tag === Tag.generalizedTime && /^\d{14}Z$/.test(text) ? Number(text.slice(0, 4)) : undefined;
}
const fullYear = (two: number) => two + (two >= 50 ? 1900 : 2000);

/** RFC 5280 4.1.2.5 */
export function timeProblem(time: Element): string | undefined {
  const year = yearOf(time);
  if (year === undefined) return "no UTCTime or GeneralizedTime with seconds and Z";
  const isUtc = time.tag === Tag.utcTime;
  return when(isUtc !== year < 2050, `the year ${year} as ${isUtc ? "UTCTime" : "GeneralizedTime"}`);
}
const moment = (time: Element) => new DerReader(time.raw).time();

function pssProblem({ oid, parameters }: RawAlgorithm): string | undefined {
  if (oid !== OID.pss) return undefined;
  if (parameters === undefined) return "without parameters";
  const fields = all(new DerReader(parameters.content), element);
  const [hash, mask] = fields;
  if (hash?.tag !== contextConstructed(0) || mask?.tag !== contextConstructed(1)) return "the default, SHA-1";
  const inner = new DerReader(mask.content).sequence();
  inner.oid();
  return when(!equal(inner.rest(), hash.content), "another hash for the mask");
}

/** A URI in a [6]. */
const isUri = (bytes: Uint8Array, scheme: RegExp) => scheme.test(latin1(bytes));

/** URIs among the names of distribution points or access descriptions; other forms as `undefined`. */
function pointUris(certificate: RawCertificate): (string | undefined)[] {
  const list = content(certificate, OID.crlPoints)?.sequence();
  if (list === undefined) return [];
  return all(list, (reader) => {
    const point = reader.sequence().optional(contextConstructed(0))?.optional(contextConstructed(0));
    const place = point && element(point);
    return place?.tag === contextPrimitive(6) ? latin1(place.content) : undefined;
  });
}

function accessUris(certificate: RawCertificate): (string | undefined)[] {
  const list = content(certificate, OID.access)?.sequence();
  if (list === undefined) return [];
  return all(list, (reader) => {
    const description = reader.sequence();
    description.oid();
    const place = element(description);
    return place.tag === contextPrimitive(6) ? latin1(place.content) : undefined;
  });
}

const keyId = (certificate: RawCertificate) => content(certificate, OID.subjectKeyId)?.octetString();

/** Modulus and exponent. */
function rsaNumbers({ key }: RawCertificate): [Uint8Array, Uint8Array] | undefined {
  if (key.algorithm.oid !== OID.rsa && key.algorithm.oid !== OID.pss) return undefined;
  const numbers = new DerReader(key.bytes).sequence();
  return [numbers.unsigned(), numbers.unsigned()];
}

/** The rules. */
export const CERTIFICATE_RULES: readonly LintRule[] = [
  rule("version_3", "RFC 5280 4.1.2.1", ({ version }) => when(version !== 2, `version field ${version}`)),
  rule("serial_positive", "RFC 5280 4.1.2.2", ({ serial }) =>
    when(((serial[0] ?? 0x80) & 0x80) !== 0 || serial.every((byte) => byte === 0), "negative or zero"),
  ),
  rule("serial_at_most_20_octets", "RFC 5280 4.1.2.2", ({ serial }) => when(serial.length > 20, `${serial.length}`)),
  rule("serial_minimal", "X.690 8.3.2", ({ serial }) =>
    when(serial.length > 1 && serial[0] === 0 && (serial[1] as number) < 0x80, "a zero in front"),
  ),
  rule("serial_unpredictable", "CA/B BR 7.1", ({ serial }) =>
    when(serial.length < 8 || new Set(serial).size < 4, "too short, or of too few different octets for 64 random bits"),
  ),
  rule("algorithms_equal", "RFC 5280 4.1.1.2", ({ inner, outer }) => when(!equal(inner.der, outer.der), "they differ")),
  rule("signature_hash_strong", "RFC 8446 4.4.2.4", ({ outer }) => when(!STRONG.includes(outer.oid), outer.oid)),
  rule("ecdsa_without_parameters", "RFC 5758 3.2", ({ outer }) =>
    when(ECDSA.test(outer.oid) && outer.parameters !== undefined, "parameters"),
  ),
  rule("rsa_signature_with_null", "RFC 4055 5", ({ outer }) =>
    when(PKCS1.includes(outer.oid) && !isNull(outer.parameters), "no NULL"),
  ),
  rule("ed25519_without_parameters", "RFC 8410 3", ({ outer }) =>
    when(outer.oid === OID.ed25519 && outer.parameters !== undefined, "parameters"),
  ),
  rule("pss_one_hash", "RFC 4055 3.1", ({ outer }) => pssProblem(outer)),
  rule("signature_whole_octets", "RFC 5280 4.1.1.3", ({ signature }) =>
    when(signature.unusedBits !== 0, "unused bits"),
  ),
  rule("ecdsa_signature_der", "RFC 3279 2.2.3", ({ outer, signature }) => {
    if (!ECDSA.test(outer.oid)) return undefined;
    try {
      const pair = new DerReader(signature.bytes).sequence();
      pair.unsigned();
      pair.unsigned();
      return when(pair.remaining > 0, "more than r and s");
    } catch (error) {
      return (error as Error).message;
    }
  }),
  rule("ed25519_signature_64", "RFC 8032 5.1.6", ({ outer, signature }) =>
    when(outer.oid === OID.ed25519 && signature.bytes.length !== 64, `${signature.bytes.length} octets`),
  ),
  rule("issuer_named", "RFC 5280 4.1.2.4", ({ issuer }) => when(issuer.rdns.length === 0, "empty")),
  rule("issuer_is_its_subject", "RFC 5280 4.1.2.6", (certificate, { issuer = certificate }) =>
    when(!equal(certificate.issuer.der, issuer.subject.der), "not the issuer's subject, octet by octet"),
  ),
  rule("not_before_form", "RFC 5280 4.1.2.5", ({ notBefore }) => timeProblem(notBefore)),
  rule("not_after_form", "RFC 5280 4.1.2.5", ({ notAfter }) => timeProblem(notAfter)),
  rule("validity_in_order", "RFC 5280 4.1.2.5", ({ notBefore, notAfter }) =>
    timeProblem(notBefore) === undefined && timeProblem(notAfter) === undefined
      ? when(moment(notBefore) >= moment(notAfter), "ends before it begins")
      : undefined,
  ),
  rule("within_issuers_validity", "RFC 5280 6.1.3", ({ notAfter }, { issuer }) =>
    issuer !== undefined && timeProblem(notAfter) === undefined
      ? when(moment(notAfter) > moment(issuer.notAfter), "outlives its issuer")
      : undefined,
  ),
  rule("ca_subject_named", "RFC 5280 4.1.2.6", (certificate) =>
    when(isCa(certificate) && certificate.subject.rdns.length === 0, "empty"),
  ),
  rule("somehow_named", "RFC 5280 4.1.2.6", (certificate) =>
    when(
      certificate.subject.rdns.length === 0 && names(certificate).length === 0,
      "neither subject nor subjectAltName",
    ),
  ),
  rule("country_printable_2", "RFC 5280 A.1", (certificate) =>
    when(
      both(certificate).some(
        ({ oid, value }) =>
          oid === "2.5.4.6" && (value.tag !== Tag.printableString || !/^[A-Z]{2}$/.test(latin1(value.content))),
      ),
      "not two letters as PrintableString",
    ),
  ),
  rule("serial_number_attribute_printable", "RFC 5280 A.1", (certificate) =>
    when(
      both(certificate).some(({ oid, value }) => oid === "2.5.4.5" && value.tag !== Tag.printableString),
      "not so",
    ),
  ),
  rule("email_attribute_ia5", "RFC 5280 A.1", (certificate) =>
    when(
      both(certificate).some(({ oid, value }) => oid === "1.2.840.113549.1.9.1" && value.tag !== Tag.ia5String),
      "not so",
    ),
  ),
  rule("directory_string_utf8_or_printable", "RFC 5280 4.1.2.4", (certificate) =>
    when(
      both(certificate).some(
        ({ oid, value }) =>
          DIRECTORY_STRINGS.includes(oid) && value.tag !== Tag.utf8String && value.tag !== Tag.printableString,
      ),
      "TeletexString, BMPString or UniversalString",
    ),
  ),
  rule("attribute_bounds", "RFC 5280 A.1", (certificate) => {
    const text = (value: Element) => [...new TextDecoder().decode(value.content)].length;
    const long = both(certificate).find(({ oid, value }) => text(value) > (BOUNDS[oid] ?? Number.POSITIVE_INFINITY));
    return long && `${long.oid} has ${text(long.value)} characters`;
  }),
  rule("attribute_not_empty", "RFC 5280 A.1", (certificate) =>
    when(
      both(certificate).some(({ value }) => value.content.length === 0),
      "an empty attribute",
    ),
  ),
  rule("one_attribute_in_rdn", "RFC 5280 4.1.2.4", ({ issuer, subject }) =>
    when(
      [...issuer.rdns, ...subject.rdns].some((rdn) => rdn.length !== 1),
      "several, whose order DER fixes",
    ),
  ),
  rule("key_whole_octets", "RFC 5280 4.1.2.7", ({ key }) => when(key.unusedBits !== 0, "unused bits")),
  rule("ec_named_curve", "RFC 5480 2.1.1", ({ key }) =>
    when(key.algorithm.oid === OID.ec && key.algorithm.parameters?.tag !== Tag.oid, "explicit or implicit parameters"),
  ),
  rule("ec_point_uncompressed", "RFC 5480 2.2", ({ key }) =>
    when(key.algorithm.oid === OID.ec && key.bytes[0] !== 4, "compressed"),
  ),
  rule("rsa_key_with_null", "RFC 3279 2.3.1", ({ key }) =>
    when(key.algorithm.oid === OID.rsa && !isNull(key.algorithm.parameters), "no NULL"),
  ),
  rule("rsa_at_least_2048", "CA/B BR 6.1.5", (certificate) => {
    const [modulus] = rsaNumbers(certificate) ?? [];
    return modulus && when(modulus.length < 256, `${8 * modulus.length} bits`);
  }),
  rule("rsa_exponent", "CA/B BR 6.1.6", (certificate) => {
    const [, exponent] = rsaNumbers(certificate) ?? [];
    return (
      exponent && when(exponent.length < 3 || ((exponent[exponent.length - 1] as number) & 1) === 0, "even or small")
    );
  }),
  rule("ed25519_key_32", "RFC 8410 4", ({ key }) =>
    when(
      key.algorithm.oid === OID.ed25519 && (key.algorithm.parameters !== undefined || key.bytes.length !== 32),
      "parameters, or not 32 octets",
    ),
  ),
  rule("no_unique_ids", "RFC 5280 4.1.2.8", ({ uniqueIds }) => when(uniqueIds > 0, `${uniqueIds}`)),
  rule("extensions_not_empty", "RFC 5280 4.1.2.9", ({ extensions }) => when(extensions?.length === 0, "empty")),
  rule("extension_once", "RFC 5280 4.2", ({ extensions = [] }) =>
    when(new Set(extensions.map(({ oid }) => oid)).size < extensions.length, "twice"),
  ),
  rule("critical_false_left_out", "X.690 11.5", ({ extensions = [] }) =>
    when(
      extensions.some(({ critical }) => critical === false),
      "FALSE is written",
    ),
  ),
  rule("authority_key_id_there", "RFC 5280 4.2.1.1", (certificate, { issuer }) =>
    when(issuer !== undefined && !has(certificate, OID.authorityKeyId), "missing"),
  ),
  rule("authority_key_id_is_issuers", "RFC 5280 4.2.1.1", (certificate, { issuer = certificate }) => {
    const id = content(certificate, OID.authorityKeyId)?.sequence().optional(contextPrimitive(0))?.rest();
    const wanted = keyId(issuer);
    return id && wanted && when(!equal(id, wanted), "not the issuer's subjectKeyIdentifier");
  }),
  rule("authority_key_id_key_only", "RFC 5280 4.2.1.1", (certificate) => {
    const sequence = content(certificate, OID.authorityKeyId)?.sequence();
    return (
      sequence &&
      when(
        all(sequence, element).some(({ tag }) => tag !== contextPrimitive(0)),
        "issuer and serial",
      )
    );
  }),
  rule("authority_key_id_not_critical", "RFC 5280 4.2.1.1", (certificate) =>
    when(extension(certificate, OID.authorityKeyId)?.critical, "critical"),
  ),
  rule("subject_key_id_in_ca", "RFC 5280 4.2.1.2", (certificate) =>
    when(isCa(certificate) && !has(certificate, OID.subjectKeyId), "missing"),
  ),
  rule("subject_key_id_not_critical", "RFC 5280 4.2.1.2", (certificate) =>
    when(extension(certificate, OID.subjectKeyId)?.critical, "critical"),
  ),
  rule("key_usage_in_ca", "RFC 5280 4.2.1.3", (certificate) =>
    when(isCa(certificate) && !usage(certificate)[CERT_SIGN], "no keyCertSign"),
  ),
  rule("key_usage_critical", "RFC 5280 4.2.1.3", (certificate) =>
    when(has(certificate, OID.keyUsage) && extension(certificate, OID.keyUsage)?.critical !== true, "not critical"),
  ),
  rule("key_usage_not_empty", "RFC 5280 4.2.1.3", (certificate) =>
    when(has(certificate, OID.keyUsage) && !usage(certificate).includes(true), "no bit"),
  ),
  rule("key_usage_named_bits", "X.690 11.2.2", (certificate) => {
    const bits = content(certificate, OID.keyUsage)?.bitString();
    if (bits === undefined || bits.bytes.length === 0) return undefined;
    const last = bits.bytes[bits.bytes.length - 1] as number;
    return when(((last >> bits.unusedBits) & 1) === 0, "zeros at the end");
  }),
  rule("cert_sign_for_ca_only", "RFC 5280 4.2.1.9", (certificate) =>
    when(!isCa(certificate) && usage(certificate)[CERT_SIGN], "keyCertSign without cA"),
  ),
  rule("end_entity_signs", "RFC 8446 4.4.2.2", (certificate) =>
    when(
      !isCa(certificate) && has(certificate, OID.keyUsage) && !usage(certificate)[DIGITAL_SIGNATURE],
      "no digitalSignature",
    ),
  ),
  rule("signing_key_does_not_encipher", "RFC 8813 3, RFC 8410 5", (certificate) => {
    const { oid } = certificate.key.algorithm;
    const bits = usage(certificate);
    const wrong = bits[KEY_ENCIPHERMENT] || (oid === OID.ed25519 && bits[KEY_AGREEMENT]);
    return when((oid === OID.ec || oid === OID.ed25519) && wrong, "keyEncipherment or keyAgreement");
  }),
  rule("basic_constraints_critical_in_ca", "RFC 5280 4.2.1.9", (certificate) =>
    when(isCa(certificate) && extension(certificate, OID.basicConstraints)?.critical !== true, "not critical"),
  ),
  rule("basic_constraints_default", "X.690 11.5", (certificate) => {
    const sequence = content(certificate, OID.basicConstraints)?.sequence();
    return sequence && when(sequence.peek() === Tag.boolean && !sequence.boolean(), "FALSE is written");
  }),
  rule("path_length_in_ca_only", "RFC 5280 4.2.1.9", (certificate) => {
    const sequence = content(certificate, OID.basicConstraints)?.sequence();
    sequence?.optional(Tag.boolean);
    return sequence && when(sequence.remaining > 0 && !isCa(certificate), "without cA");
  }),
  rule("path_length_left", "RFC 5280 4.2.1.9", (certificate, { issuer }) => {
    const sequence = issuer && content(issuer, OID.basicConstraints)?.sequence();
    sequence?.optional(Tag.boolean);
    return when(isCa(certificate) && sequence?.peek() === Tag.integer && sequence.smallInteger() === 0, "none is left");
  }),
  rule("alt_name_not_empty", "RFC 5280 4.2.1.6", (certificate) =>
    when(has(certificate, OID.subjectAltName) && names(certificate).length === 0, "empty"),
  ),
  rule("alt_name_critical_without_subject", "RFC 5280 4.2.1.6", (certificate) => {
    const found = extension(certificate, OID.subjectAltName);
    const wanted = certificate.subject.rdns.length === 0;
    return when(found !== undefined && (found.critical ?? false) !== wanted, wanted ? "not critical" : "critical");
  }),
  rule("dns_name_syntax", "RFC 5280 4.2.1.6", (certificate) => {
    const preferred = /^(\*\.)?(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
    const wrong = names(certificate, 2).find(({ content: bytes }) => !preferred.test(latin1(bytes)));
    return wrong && latin1(wrong.content);
  }),
  rule("ip_address_length", "RFC 5280 4.2.1.6", (certificate) =>
    when(
      names(certificate, 7).some(({ content: { length } }) => length !== 4 && length !== 16),
      "neither 4 nor 16 octets",
    ),
  ),
  rule("email_syntax", "RFC 5280 4.2.1.6", (certificate) =>
    when(
      names(certificate, 1).some(({ content: bytes }) => !/^[!-?A-~]+@[a-z0-9.-]+$/i.test(latin1(bytes))),
      "no mailbox",
    ),
  ),
  rule("uri_absolute", "RFC 5280 4.2.1.6", (certificate) =>
    when(
      names(certificate, 6).some(({ content: bytes }) => !isUri(bytes, /^[a-z][a-z0-9+.-]*:[!-~]+$/i)),
      "relative, or not ASCII",
    ),
  ),
  rule("alt_name_once", "CA/B BR 7.1.2", (certificate) => {
    const list = names(certificate).map(({ raw }) => latin1(raw));
    return when(new Set(list).size < list.length, "twice");
  }),
  rule("name_constraints_in_ca_only", "RFC 5280 4.2.1.10", (certificate) =>
    when(has(certificate, OID.nameConstraints) && !isCa(certificate), "not a CA"),
  ),
  rule("name_constraints_critical", "RFC 5280 4.2.1.10", (certificate) =>
    when(
      has(certificate, OID.nameConstraints) && extension(certificate, OID.nameConstraints)?.critical !== true,
      "not critical",
    ),
  ),
  rule("name_constraints_not_empty", "RFC 5280 4.2.1.10", (certificate) => {
    const sequence = content(certificate, OID.nameConstraints)?.sequence();
    if (sequence === undefined) return undefined;
    const lists = all(sequence, element);
    return when(lists.length === 0 || lists.some((list) => list.content.length === 0), "empty");
  }),
  rule("purposes_not_empty", "RFC 5280 4.2.1.12", (certificate) =>
    when(has(certificate, OID.extendedKeyUsage) && purposes(certificate).length === 0, "empty"),
  ),
  rule("purposes_once", "CA/B BR 7.1.2.7", (certificate) => {
    const list = purposes(certificate);
    return when(new Set(list).size < list.length, "twice");
  }),
  rule("purposes_in_end_entity", "CA/B BR 7.1.2.7", (certificate) =>
    when(!isCa(certificate) && !has(certificate, OID.extendedKeyUsage), "missing"),
  ),
  rule("no_any_purpose", "RFC 5280 4.2.1.12", (certificate) => when(purposes(certificate).includes(OID.any), "any")),
  rule("server_named", "RFC 9525 6.3", (certificate) =>
    when(
      purposes(certificate).includes(OID.serverAuth) &&
        names(certificate).every(({ tag }) => ![2, 6, 7].map(contextPrimitive).includes(tag)),
      "no dNSName, iPAddress or URI",
    ),
  ),
  rule("crl_points_http", "RFC 5280 4.2.1.13", (certificate) =>
    when(
      pointUris(certificate).some((uri) => uri === undefined || !/^(http|ldap):\/\/./.test(uri)),
      "no http or ldap URI as fullName",
    ),
  ),
  rule("crl_points_not_critical", "RFC 5280 4.2.1.13", (certificate) =>
    when(extension(certificate, OID.crlPoints)?.critical, "critical"),
  ),
  rule("access_http", "RFC 5280 4.2.2.1", (certificate) =>
    when(
      accessUris(certificate).some((uri) => uri === undefined || !/^(http|ldap):\/\/./.test(uri)),
      "no http or ldap URI",
    ),
  ),
  rule("access_not_critical", "RFC 5280 4.2.2.1", (certificate) =>
    when(extension(certificate, OID.access)?.critical, "critical"),
  ),
  rule("ocsp_signer_is_no_ca", "CA/B BR 7.1.2.8", (certificate) =>
    when(purposes(certificate).includes(OID.ocspSigning) && isCa(certificate), "a CA for OCSP"),
  ),
  rule("no_check_for_ocsp_only", "RFC 6960 4.2.2.2.1", (certificate) =>
    when(has(certificate, OID.noCheck) && !purposes(certificate).includes(OID.ocspSigning), "nocheck for others"),
  ),
  rule("no_check_null", "RFC 6960 4.2.2.2.1", (certificate) => {
    const found = extension(certificate, OID.noCheck);
    return found && when(latin1(found.value) !== "\x05\0", "not NULL");
  }),
];
