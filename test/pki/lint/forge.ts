/** For each rule, a certificate that breaks it: made by the tests' own encoder, since the library makes no such thing. */
import { utf8 } from "../../../src/bytes/bytes.ts";
import { contextConstructed, contextPrimitive, derEncode, Tag } from "../../../src/bytes/der.ts";
import {
  encodeBitString,
  encodeInteger,
  encodeNumber,
  encodeOid,
  encodeSequence,
  encodeTime,
} from "../../support/der.ts";

/** The parts of a certificate, DER each. */
interface Recipe {
  version: Uint8Array;
  serial: Uint8Array;
  inner: Uint8Array;
  outer: Uint8Array;
  issuer: Uint8Array;
  notBefore: Uint8Array;
  notAfter: Uint8Array;
  subject: Uint8Array;
  key: Uint8Array;
  /** Between the key and the extensions. */
  between: Uint8Array;
  extensions: Record<string, Uint8Array>;
  signature: Uint8Array;
}

const seq = encodeSequence;
const none = new Uint8Array();
const bytes = (...list: number[]) => Uint8Array.from(list);
const random = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 37 + 65) & 0xff);
const octets = (content: Uint8Array) => derEncode(Tag.octetString, content);
const oids = (...list: string[]) => seq(...list.map(encodeOid));
const attribute = (oid: string, tag: number, text: string) => seq(encodeOid(oid), derEncode(tag, utf8(text)));
const name = (...attributes: Uint8Array[]) => seq(...attributes.map((one) => derEncode(Tag.set, one)));
const CN = "2.5.4.3";
const commonName = (text: string) => name(attribute(CN, Tag.utf8String, text));
const algorithm = (oid: string, ...parameters: Uint8Array[]) => seq(encodeOid(oid), ...parameters);
const NULL = derEncode(Tag.null);
const ECDSA = algorithm("1.2.840.10045.4.3.2");
const both = (value: Uint8Array) => ({ inner: value, outer: value });
const point = (first = 4) => bytes(first, ...random(64));
const P256 = encodeOid("1.2.840.10045.3.1.7");
const ecKey = (parameters = P256, first = 4) =>
  seq(algorithm("1.2.840.10045.2.1", parameters), encodeBitString(point(first)));
const rsaKey = (modulusLength: number, exponent = bytes(1, 0, 1), parameters: readonly Uint8Array[] = [NULL]) =>
  seq(
    algorithm("1.2.840.113549.1.1.1", ...parameters),
    encodeBitString(seq(encodeInteger(bytes(0x81, ...random(modulusLength - 1))), encodeInteger(exponent))),
  );
const edKey = (length: number) => seq(algorithm("1.3.101.112"), encodeBitString(random(length)));
const signaturePair = seq(encodeInteger(random(32)), encodeInteger(random(32)));
const bitString = (...content: number[]) => derEncode(Tag.bitString, bytes(...content));
const critical = derEncode(Tag.boolean, bytes(0xff));
const extension = (oid: string, value: Uint8Array, ...flag: Uint8Array[]) =>
  seq(encodeOid(oid), ...flag, octets(value));
const general = (number: number, text: string) => derEncode(contextPrimitive(number), utf8(text));
const altName = (...names: Uint8Array[]) => extension("2.5.29.17", seq(...names));
const constraints = (...content: Uint8Array[]) => extension("2.5.29.19", seq(...content), critical);
const usage = (...content: number[]) => extension("2.5.29.15", bitString(...content), critical);
const purposes = (...list: string[]) => extension("2.5.29.37", oids(...list));
const TRUE = derEncode(Tag.boolean, bytes(0xff));
const SERVER = "1.3.6.1.5.5.7.3.1";
const OCSP = "1.3.6.1.5.5.7.3.9";
const authority = (...content: Uint8Array[]) => extension("2.5.29.35", seq(...content));
const place = (uri: Uint8Array) => seq(derEncode(contextConstructed(0), derEncode(contextConstructed(0), uri)));
const hour = 3_600_000;
const T0 = Date.UTC(2030, 0, 1);
const CA_KEY_ID = random(20);

const leaf = (): Recipe => ({
  version: derEncode(contextConstructed(0), encodeNumber(2)),
  serial: encodeInteger(random(16)),
  ...both(ECDSA),
  issuer: commonName("issuer"),
  notBefore: encodeTime(T0),
  notAfter: encodeTime(T0 + hour),
  subject: commonName("leaf"),
  key: ecKey(),
  between: none,
  extensions: {
    constraints: constraints(),
    usage: usage(7, 0x80),
    purposes: purposes(SERVER),
    names: altName(general(2, "www.example.com")),
    keyId: extension("2.5.29.14", octets(random(20).reverse())),
    authority: authority(derEncode(contextPrimitive(0), CA_KEY_ID)),
  },
  signature: encodeBitString(signaturePair),
});

const ca = (): Recipe => ({
  ...leaf(),
  issuer: commonName("issuer"),
  subject: commonName("issuer"),
  notAfter: encodeTime(T0 + 2 * hour),
  extensions: {
    constraints: constraints(TRUE),
    usage: usage(1, 0x06),
    keyId: extension("2.5.29.14", octets(CA_KEY_ID)),
    authority: authority(derEncode(contextPrimitive(0), CA_KEY_ID)),
  },
});

function build(recipe: Recipe): Uint8Array {
  const { version, serial, inner, outer, issuer, notBefore, notAfter, subject, key, between, signature } = recipe;
  const extensions = derEncode(contextConstructed(3), seq(...Object.values(recipe.extensions)));
  const validity = seq(notBefore, notAfter);
  return seq(seq(version, serial, inner, issuer, validity, subject, key, between, extensions), outer, signature);
}

type Change = Partial<Omit<Recipe, "extensions">> & { readonly extensions?: Record<string, Uint8Array> };
const changed = (base: Recipe, change: Change): Uint8Array =>
  build({ ...base, ...change, extensions: { ...base.extensions, ...change.extensions } });
const a = (change: Change) => changed(leaf(), change);
const authorityWith = (change: Change) => changed(ca(), change);
const with1 = (extensionDer: Uint8Array) => a({ extensions: { more: extensionDer } });
const subject = (attributeDer: Uint8Array) => a({ subject: name(attributeDer) });
const names = (...list: Uint8Array[]) => a({ extensions: { names: altName(...list) } });

/** The root that all of these are seen below, and a certificate without fault. */
export const FORGED_ISSUER = build(ca());
export const FAULTLESS = build(leaf());

const utc = (text: string) => derEncode(Tag.utcTime, utf8(text));
const pss = (...fields: Uint8Array[]) => both(algorithm("1.2.840.113549.1.1.10", seq(...fields)));
const explicit = (number: number, value: Uint8Array) => derEncode(contextConstructed(number), value);
const hash = (last: number) => algorithm(`2.16.840.1.101.3.4.2.${last}`, NULL);
const ED = algorithm("1.3.101.112");

/** By the rule that each breaks; others may be broken with it. */
export const BROKEN: Readonly<Record<string, Uint8Array>> = {
  version_3: a({ version: derEncode(contextConstructed(0), encodeNumber(1)) }),
  serial_positive: a({ serial: derEncode(Tag.integer, bytes(0x80, ...random(15))) }),
  serial_at_most_20_octets: a({ serial: encodeInteger(random(21)) }),
  serial_minimal: a({ serial: derEncode(Tag.integer, bytes(0, ...random(15))) }),
  serial_unpredictable: a({ serial: encodeInteger(bytes(1, 2, 3, 4)) }),
  algorithms_equal: a({ outer: algorithm("1.2.840.10045.4.3.3") }),
  signature_hash_strong: a(both(algorithm("1.2.840.113549.1.1.5", NULL))),
  ecdsa_without_parameters: a(both(algorithm("1.2.840.10045.4.3.2", NULL))),
  rsa_signature_with_null: a(both(algorithm("1.2.840.113549.1.1.11"))),
  ed25519_without_parameters: a(both(algorithm("1.3.101.112", NULL))),
  pss_one_hash: a(
    pss(explicit(0, hash(1)), explicit(1, algorithm("1.2.840.113549.1.1.8", hash(2))), explicit(2, encodeNumber(32))),
  ),
  signature_whole_octets: a({ signature: bitString(1, 2, 4, 6) }),
  ecdsa_signature_der: a({ signature: encodeBitString(random(64)) }),
  ed25519_signature_64: a({ ...both(ED), signature: encodeBitString(random(63)) }),
  issuer_named: a({ issuer: name() }),
  issuer_is_its_subject: a({ issuer: name(attribute(CN, Tag.printableString, "issuer")) }),
  not_before_form: a({ notBefore: derEncode(Tag.generalizedTime, utf8("20300101000000Z")) }),
  not_after_form: a({ notAfter: utc("3001010100Z") }),
  validity_in_order: a({ notAfter: encodeTime(T0 - hour) }),
  within_issuers_validity: a({ notAfter: encodeTime(T0 + 3 * hour) }),
  ca_subject_named: authorityWith({ subject: name() }),
  somehow_named: a({ subject: name(), extensions: { names: altName() } }),
  country_printable_2: subject(attribute("2.5.4.6", Tag.utf8String, "DE")),
  serial_number_attribute_printable: subject(attribute("2.5.4.5", Tag.utf8String, "7")),
  email_attribute_ia5: subject(attribute("1.2.840.113549.1.9.1", Tag.utf8String, "a@example.com")),
  directory_string_utf8_or_printable: subject(attribute(CN, Tag.teletexString, "leaf")),
  attribute_bounds: subject(attribute(CN, Tag.utf8String, "x".repeat(65))),
  attribute_not_empty: subject(attribute(CN, Tag.utf8String, "")),
  one_attribute_in_rdn: a({
    subject: seq(
      derEncode(Tag.set, attribute(CN, Tag.utf8String, "leaf"), attribute("2.5.4.10", Tag.utf8String, "Example")),
    ),
  }),
  key_whole_octets: a({ key: seq(algorithm("1.2.840.10045.2.1", P256), bitString(4, ...point().slice(0, 64), 0x10)) }),
  ec_named_curve: a({ key: ecKey(seq(encodeNumber(1))) }),
  ec_point_uncompressed: a({ key: ecKey(P256, 2) }),
  rsa_key_with_null: a({ key: rsaKey(256, bytes(1, 0, 1), []) }),
  rsa_at_least_2048: a({ key: rsaKey(128) }),
  rsa_exponent: a({ key: rsaKey(256, bytes(3)) }),
  ed25519_key_32: a({ key: edKey(31) }),
  no_unique_ids: a({ between: derEncode(contextPrimitive(1), bytes(0, 7)) }),
  extensions_not_empty: build({ ...leaf(), extensions: {} }),
  extension_once: with1(constraints()),
  critical_false_left_out: with1(extension("1.2.3.4", NULL, derEncode(Tag.boolean, bytes(0)))),
  authority_key_id_there: a({ extensions: { authority: none } }),
  authority_key_id_is_issuers: a({ extensions: { authority: authority(derEncode(contextPrimitive(0), random(19))) } }),
  authority_key_id_key_only: a({
    extensions: {
      authority: authority(derEncode(contextPrimitive(0), CA_KEY_ID), derEncode(contextPrimitive(2), bytes(7))),
    },
  }),
  authority_key_id_not_critical: a({
    extensions: { authority: extension("2.5.29.35", seq(derEncode(contextPrimitive(0), CA_KEY_ID)), critical) },
  }),
  subject_key_id_in_ca: authorityWith({ extensions: { keyId: none } }),
  subject_key_id_not_critical: a({ extensions: { keyId: extension("2.5.29.14", octets(random(20)), critical) } }),
  key_usage_in_ca: authorityWith({ extensions: { usage: usage(7, 0x80) } }),
  key_usage_critical: a({ extensions: { usage: extension("2.5.29.15", bitString(7, 0x80)) } }),
  key_usage_not_empty: a({ extensions: { usage: usage(0) } }),
  key_usage_named_bits: a({ extensions: { usage: usage(0, 0x80) } }),
  cert_sign_for_ca_only: a({ extensions: { usage: usage(2, 0x84) } }),
  end_entity_signs: a({ extensions: { usage: usage(5, 0x20) } }),
  signing_key_does_not_encipher: a({ extensions: { usage: usage(5, 0xa0) } }),
  basic_constraints_critical_in_ca: authorityWith({ extensions: { constraints: extension("2.5.29.19", seq(TRUE)) } }),
  basic_constraints_default: a({ extensions: { constraints: constraints(derEncode(Tag.boolean, bytes(0))) } }),
  path_length_in_ca_only: a({ extensions: { constraints: constraints(encodeNumber(0)) } }),
  alt_name_not_empty: a({ extensions: { names: altName() } }),
  alt_name_critical_without_subject: a({ subject: name() }),
  dns_name_syntax: names(general(2, "www example.com")),
  ip_address_length: names(derEncode(contextPrimitive(7), random(5))),
  email_syntax: names(general(1, "nobody")),
  uri_absolute: names(general(6, "/path")),
  alt_name_once: names(general(2, "www.example.com"), general(2, "www.example.com")),
  name_constraints_in_ca_only: with1(
    extension("2.5.29.30", seq(derEncode(contextConstructed(0), seq(general(2, "example.com")))), critical),
  ),
  name_constraints_critical: authorityWith({
    extensions: { more: extension("2.5.29.30", seq(derEncode(contextConstructed(0), seq(general(2, "example.com"))))) },
  }),
  name_constraints_not_empty: authorityWith({ extensions: { more: extension("2.5.29.30", seq(), critical) } }),
  purposes_not_empty: a({ extensions: { purposes: purposes() } }),
  purposes_once: a({ extensions: { purposes: purposes(SERVER, SERVER) } }),
  purposes_in_end_entity: a({ extensions: { purposes: none } }),
  no_any_purpose: a({ extensions: { purposes: purposes("2.5.29.37.0") } }),
  server_named: names(general(1, "a@example.com")),
  crl_points_http: with1(extension("2.5.29.31", seq(place(general(6, "https://example.com/crl"))))),
  crl_points_not_critical: with1(extension("2.5.29.31", seq(place(general(6, "http://example.com/crl"))), critical)),
  access_http: with1(
    extension("1.3.6.1.5.5.7.1.1", seq(seq(encodeOid("1.3.6.1.5.5.7.48.1"), general(2, "ocsp.example.com")))),
  ),
  access_not_critical: with1(
    extension(
      "1.3.6.1.5.5.7.1.1",
      seq(seq(encodeOid("1.3.6.1.5.5.7.48.1"), general(6, "http://ocsp.example.com"))),
      critical,
    ),
  ),
  ocsp_signer_is_no_ca: authorityWith({ extensions: { purposes: purposes(OCSP) } }),
  no_check_for_ocsp_only: with1(extension("1.3.6.1.5.5.7.48.1.5", NULL)),
  no_check_null: a({ extensions: { purposes: purposes(OCSP), more: extension("1.3.6.1.5.5.7.48.1.5", none) } }),
};

/** Below a CA that may have none below it. */
export const CA_BELOW = {
  issuer: authorityWith({ extensions: { constraints: constraints(TRUE, encodeNumber(0)) } }),
  certificate: authorityWith({ subject: commonName("CA below") }),
};
