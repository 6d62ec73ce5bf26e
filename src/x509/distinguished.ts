/** Distinguished names: read strictly at once, decoded only when somebody asks (RFC 5280 4.1.2.4, 7.1; RFC 4514). */
import { equal, latin1, utf8 } from "../bytes/bytes.ts";
import { DerReader, Tag } from "../bytes/der.ts";
import { toHex } from "../bytes/hex.ts";
import { fault } from "../errors.ts";

/** One attribute of a distinguished name. */
export interface NameAttribute {
  /** Dotted decimal. */
  readonly type: string;
  /** The text, or `#` and the hexadecimal DER where `isText` is false. */
  readonly value: string;
  /** False when the value is no string, or no string that can be decoded. */
  readonly isText: boolean;
}

/** Attributes in one name. */
const MAX_ATTRIBUTES = 64;

/** RFC 4514 3, then what is usual besides (RFC 4519, RFC 2985). */
const SHORT_NAMES: Readonly<Record<string, string>> = {
  "2.5.4.3": "CN",
  "2.5.4.7": "L",
  "2.5.4.8": "ST",
  "2.5.4.10": "O",
  "2.5.4.11": "OU",
  "2.5.4.6": "C",
  "2.5.4.9": "STREET",
  "0.9.2342.19200300.100.1.25": "DC",
  "0.9.2342.19200300.100.1.1": "UID",
  "2.5.4.4": "SN",
  "2.5.4.5": "serialNumber",
  "2.5.4.12": "title",
  "2.5.4.42": "GN",
  "2.5.4.97": "organizationIdentifier",
  "1.2.840.113549.1.9.1": "emailAddress",
};

/** Attribute types that other modules ask for. */
export const AttributeType = {
  commonName: "2.5.4.3",
  organization: "2.5.4.10",
  organizationalUnit: "2.5.4.11",
  emailAddress: "1.2.840.113549.1.9.1",
} as const;

/**
 * A `Name` (RFC 5280 4.1.2.4). Construction checks the whole structure; text is decoded on first use.
 *
 * @example
 * ```ts
 * const name = new DistinguishedName(fromHex("300f310d300b06035504030c046a6f686e"));
 * console.log(name.text); // CN=john
 * ```
 */
export class DistinguishedName {
  /** The whole encoding. */
  readonly der: Uint8Array;
  #rdns: readonly (readonly NameAttribute[])[] | undefined;
  #rdnKeys: readonly string[] | undefined;
  #key: string | undefined;
  #text: string | undefined;

  /**
   * @param der - The encoded name, kept as a view.
   * @throws TlsError `ERR_TLS_PEM` when it is not a well-formed name.
   */
  constructor(der: Uint8Array) {
    this.der = der;
    walk(der);
  }

  /** True for the name without RDNs. */
  get empty(): boolean {
    return this.der.length === 2;
  }

  /** Relative distinguished names, outermost first, as encoded. */
  get rdns(): readonly (readonly NameAttribute[])[] {
    this.#rdns ??= decode(this.der);
    return this.#rdns;
  }

  /** One string per RDN, equal for RDNs that RFC 5280 7.1 calls equal. */
  get rdnKeys(): readonly string[] {
    this.#rdnKeys ??= this.rdns.map(rdnKey);
    return this.#rdnKeys;
  }

  /** Equal for names that RFC 5280 7.1 calls equal. */
  get key(): string {
    this.#key ??= this.rdnKeys.join("");
    return this.#key;
  }

  /** RFC 4514 string, for people. */
  get text(): string {
    this.#text ??= this.rdns.map(rdnText).reverse().join(",");
    return this.#text;
  }

  /** Values of one attribute type, outermost first. */
  values(type: string): string[] {
    const values: string[] = [];
    for (const rdn of this.rdns) for (const attribute of rdn) if (attribute.type === type) values.push(attribute.value);
    return values;
  }

  /** RFC 5280 7.1 equality. */
  equals(other: DistinguishedName): boolean {
    return equal(this.der, other.der) || this.key === other.key;
  }

  /** True when this name lies in the subtree below `base` (RFC 5280 4.2.1.10, 7.1). */
  within(base: DistinguishedName): boolean {
    return base.rdnKeys.every((key, index) => this.rdnKeys[index] === key);
  }
}

function walk(der: Uint8Array): void {
  const input = new DerReader(der);
  const rdns = input.sequence();
  input.finish("the name");
  let count = 0;
  while (rdns.remaining > 0) {
    const rdn = rdns.set();
    if (rdn.remaining === 0) throw fault("ERR_TLS_PEM", "an RDN is empty");
    while (rdn.remaining > 0) {
      if (++count > MAX_ATTRIBUTES) throw fault("ERR_TLS_PEM", `a name of more than ${MAX_ATTRIBUTES} attributes`);
      const attribute = rdn.sequence();
      if (isShortOid(attribute)) attribute.skip();
      else attribute.oid();
      attribute.skip();
      attribute.finish("the attribute");
    }
  }
}

/** True before an OID of three single-byte arcs such as 2.5.4.3, which cannot be malformed and need no decoding yet. */
function isShortOid({ bytes, position, end }: DerReader): boolean {
  if (position + 5 > end || bytes[position] !== Tag.oid || bytes[position + 1] !== 3) return false;
  return ((bytes[position + 2] as number) | (bytes[position + 3] as number) | (bytes[position + 4] as number)) < 0x80;
}

function decode(der: Uint8Array): NameAttribute[][] {
  const rdns = new DerReader(der).sequence();
  const names: NameAttribute[][] = [];
  while (rdns.remaining > 0) {
    const rdn = rdns.set();
    const attributes: NameAttribute[] = [];
    while (rdn.remaining > 0) {
      const attribute = rdn.sequence();
      const type = attribute.oid();
      const { tag, raw, content } = attribute.element();
      const text = stringValue(tag, content.rest());
      attributes.push({ type, value: text ?? `#${toHex(raw)}`, isText: text !== undefined });
    }
    names.push(attributes);
  }
  return names;
}

/** The text of a DirectoryString or IA5String. `undefined` for other types and for text that is no text. */
function stringValue(tag: number, content: Uint8Array): string | undefined {
  switch (tag) {
    case Tag.printableString:
    case Tag.ia5String:
    case Tag.teletexString:
      return latin1(content);
    case Tag.utf8String:
      return decodeText("utf-8", content);
    case Tag.bmpString:
      return decodeText("utf-16be", content);
    default:
      return undefined;
  }
}

function decodeText(encoding: string, content: Uint8Array): string | undefined {
  try {
    return new TextDecoder(encoding, { fatal: true, ignoreBOM: true }).decode(content);
  } catch {
    // Not the text it claims to be: shown and compared as bytes.
    return undefined;
  }
}

/** Case-insensitive and white-space-folded (RFC 5280 7.1); lengths in front keep different lists different. */
function rdnKey(rdn: readonly NameAttribute[]): string {
  const parts = rdn.map(({ type, value, isText }) => {
    if (!isText) return `${type}${value};`;
    const folded = value.normalize("NFKC").toLowerCase().trim().replace(/\s+/g, " ");
    return `${type}=${folded.length}:${folded};`;
  });
  return `${parts.length === 1 ? parts[0] : parts.sort().join("")}/`;
}

function rdnText(rdn: readonly NameAttribute[]): string {
  return rdn
    .map(({ type, value, isText }) => `${SHORT_NAMES[type] ?? type}=${isText ? escapeValue(value) : value}`)
    .join("+");
}

/** RFC 4514 2.4. Control and direction characters as well, so that a name cannot forge a log line. */
function escapeValue(value: string): string {
  return value
    .replace(/[\\"+,;<>]/g, "\\$&")
    .replace(/^[ #]| $/g, "\\$&")
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (character) => toHex(utf8(character)).replace(/../g, "\\$&"));
}
