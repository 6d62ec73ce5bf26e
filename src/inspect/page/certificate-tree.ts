/** An X.509 certificate as a tree in which every byte of its DER has a name (RFC 5280 4.1). */
import { DerReader } from "../../bytes/der.ts";
import { toHex } from "../../bytes/hex.ts";
import { printable } from "../../bytes/text.ts";
import { TlsError } from "../../errors.ts";
import type { TreeNode } from "./tree.ts";

/** What an element is called, and what stands in it. */
interface Shape {
  readonly name: string;
  readonly note: string;
  /** Of RFC 5280. */
  readonly section: string;
  /** Identifier octet of an element that may be absent. */
  readonly tag?: number;
  /** Its elements in order. */
  readonly parts?: readonly Shape[];
  /** Any number of the same. */
  readonly each?: Shape;
}

const shape = (name: string, section: string, note: string, more: Partial<Shape> = {}): Shape => ({
  name,
  section,
  note,
  ...more,
});

const algorithm = (name: string, section: string, note: string): Shape =>
  shape(name, section, note, {
    parts: [
      shape("algorithm", "4.1.1.2", "the algorithm's object identifier"),
      shape("parameters", "4.1.1.2", "what the algorithm needs to know besides, a curve for example"),
    ],
  });

const distinguishedName = (name: string, section: string, note: string): Shape =>
  shape(name, section, note, {
    each: shape("RelativeDistinguishedName", "4.1.2.4", "one level of the name", {
      each: shape("AttributeTypeAndValue", "4.1.2.4", "one attribute of the name", {
        parts: [shape("type", "4.1.2.4", "which attribute"), shape("value", "4.1.2.4", "what it says")],
      }),
    }),
  });

const EXTENSION = shape("Extension", "4.2", "something else that the issuer says about the key or its owner", {
  parts: [
    shape("extnID", "4.2", "which extension"),
    shape("critical", "4.2", "whoever does not know this extension must refuse the certificate", { tag: 0x01 }),
    shape("extnValue", "4.2", "what the extension says, DER inside an octet string"),
  ],
});

const TBS_CERTIFICATE = shape("tbsCertificate", "4.1.2", "what the issuer has signed", {
  parts: [
    shape("version", "4.1.2.1", "2 stands for X.509 version 3", {
      tag: 0xa0,
      parts: [shape("version", "4.1.2.1", "2: version 3")],
    }),
    shape("serialNumber", "4.1.2.2", "the issuer's number for this certificate"),
    algorithm("signature", "4.1.2.3", "how the certificate is signed, the same as outside"),
    distinguishedName("issuer", "4.1.2.4", "who has signed the certificate"),
    shape("validity", "4.1.2.5", "from when to when the issuer vouches for it", {
      parts: [shape("notBefore", "4.1.2.5", "not valid earlier"), shape("notAfter", "4.1.2.5", "not valid later")],
    }),
    distinguishedName("subject", "4.1.2.6", "whose key it is"),
    shape("subjectPublicKeyInfo", "4.1.2.7", "the public key: its owner proves to hold the private one", {
      parts: [
        algorithm("algorithm", "4.1.2.7", "what kind of key"),
        shape("subjectPublicKey", "4.1.2.7", "the key itself"),
      ],
    }),
    shape("issuerUniqueID", "4.1.2.8", "of X.509 version 2", { tag: 0x81 }),
    shape("subjectUniqueID", "4.1.2.8", "of X.509 version 2", { tag: 0x82 }),
    shape("extensions", "4.1.2.9", "of X.509 version 3", {
      tag: 0xa3,
      parts: [shape("extensions", "4.2", "names, purposes, key identifiers and more", { each: EXTENSION })],
    }),
  ],
});

const CERTIFICATE = shape("Certificate", "4.1.1", "an X.509 certificate", {
  parts: [
    TBS_CERTIFICATE,
    algorithm("signatureAlgorithm", "4.1.1.2", "how it is signed"),
    shape("signatureValue", "4.1.1.3", "the issuer's signature over tbsCertificate"),
  ],
});

/** Object identifiers that certificates of today carry. */
const NAMES: Readonly<Record<string, string>> = {
  "2.5.4.3": "commonName",
  "2.5.4.6": "countryName",
  "2.5.4.7": "localityName",
  "2.5.4.8": "stateOrProvinceName",
  "2.5.4.10": "organizationName",
  "2.5.4.11": "organizationalUnitName",
  "2.5.29.14": "subjectKeyIdentifier",
  "2.5.29.15": "keyUsage",
  "2.5.29.17": "subjectAltName",
  "2.5.29.19": "basicConstraints",
  "2.5.29.35": "authorityKeyIdentifier",
  "2.5.29.37": "extKeyUsage",
  "1.2.840.10045.2.1": "id-ecPublicKey",
  "1.2.840.10045.3.1.7": "secp256r1",
  "1.3.132.0.34": "secp384r1",
  "1.2.840.10045.4.3.2": "ecdsa-with-SHA256",
  "1.2.840.10045.4.3.3": "ecdsa-with-SHA384",
  "1.2.840.113549.1.1.1": "rsaEncryption",
  "1.2.840.113549.1.1.5": "sha1WithRSAEncryption",
  "1.2.840.113549.1.1.10": "id-RSASSA-PSS",
  "1.2.840.113549.1.1.11": "sha256WithRSAEncryption",
  "1.3.101.112": "id-Ed25519",
  "1.3.6.1.5.5.7.3.1": "id-kp-serverAuth",
  "1.3.6.1.5.5.7.3.2": "id-kp-clientAuth",
};

/** Elements of ours that hold DER in a string of octets. */
const WRAPPED = "extnValue";

/** Deeper, an element is one leaf. */
const MAX_DEPTH = 16;

/**
 * The tree of a certificate that stands in `bytes`.
 *
 * @returns `undefined` where it is no certificate in DER.
 */
export function certificateTree(bytes: Uint8Array, start: number, end: number): TreeNode | undefined {
  try {
    const reader = new DerReader(bytes, start, end);
    const node = element(reader, CERTIFICATE, 0);
    reader.finish("the certificate");
    return node;
  } catch (error) {
    // Shown as it is: bytes.
    if (error instanceof TlsError) return undefined;
    throw error;
  }
}

function element(reader: DerReader, known: Shape | undefined, depth: number): TreeNode {
  const start = reader.position;
  const { tag, content } = reader.element();
  const { name, section, note } = known ?? shape(tagName(tag), "4.1", "DER");
  const described = { section: `RFC 5280 ${section}`, note };
  const first = content.position;
  const header: TreeNode = {
    name: "tag, length",
    start,
    end: first,
    value: `${tagName(tag)}, ${content.end - first} bytes`,
    section: "RFC 5280 4.1",
    note: "how DER announces every element",
    children: [],
  };
  const inside = depth < MAX_DEPTH ? childrenOf(content, tag, known, depth + 1) : undefined;
  const children =
    inside ??
    (content.end > first
      ? [
          {
            name: "content",
            start: first,
            end: content.end,
            value: valueText(reader.bytes, tag, first, content.end),
            ...described,
            children: [],
          },
        ]
      : []);
  const only = children.length === 1 ? children[0]?.value : undefined;
  return {
    name,
    start,
    end: reader.position,
    value: summary(name, children) ?? only ?? "",
    ...described,
    children: [header, ...children],
  };
}

/** `undefined` for what is not looked into. */
function childrenOf(content: DerReader, tag: number, known: Shape | undefined, depth: number): TreeNode[] | undefined {
  const wrapped = known?.name === WRAPPED;
  if ((tag & 0x20) === 0 && !wrapped) return undefined;
  const children: TreeNode[] = [];
  const parts = [...(known?.parts ?? [])];
  const inner = new DerReader(content.bytes, content.position, content.end);
  while (inner.remaining > 0) {
    while (parts[0]?.tag !== undefined && parts[0].tag !== inner.peek()) parts.shift();
    children.push(element(inner, known?.each ?? parts.shift(), depth));
  }
  return children;
}

/** What tells an element from its neighbours. */
function summary(name: string, children: readonly TreeNode[]): string | undefined {
  if (name === "AttributeTypeAndValue") return `${children[0]?.value ?? ""}=${children[1]?.value ?? ""}`;
  if (name === "Extension") return children[0]?.value;
  if (name === "algorithm" || name === "signature" || name === "signatureAlgorithm") return children[0]?.value;
  return undefined;
}

const TAG_NAMES: Readonly<Record<number, string>> = {
  1: "BOOLEAN",
  2: "INTEGER",
  3: "BIT STRING",
  4: "OCTET STRING",
  5: "NULL",
  6: "OBJECT IDENTIFIER",
  12: "UTF8String",
  19: "PrintableString",
  20: "TeletexString",
  22: "IA5String",
  23: "UTCTime",
  24: "GeneralizedTime",
  48: "SEQUENCE",
  49: "SET",
};

function tagName(tag: number): string {
  return TAG_NAMES[tag] ?? `[${tag & 0x1f}]`;
}

function valueText(bytes: Uint8Array, tag: number, start: number, end: number): string {
  const content = bytes.subarray(start, end);
  switch (tag) {
    case 1:
      return content[0] === 0 ? "FALSE" : "TRUE";
    case 6:
      return objectIdentifier(content);
    case 12:
    case 19:
    case 22:
    case 23:
    case 24:
    case 0x82:
    case 0x86:
      return printable(new TextDecoder().decode(content));
    default:
      return content.length <= 8 ? toHex(content) : `${content.length} bytes`;
  }
}

function objectIdentifier(content: Uint8Array): string {
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of content) {
    arc = arc * 128 + (byte & 0x7f);
    if (byte < 0x80) {
      if (arcs.length === 0) arcs.push(Math.min(2, Math.floor(arc / 40)), arc - 40 * Math.min(2, Math.floor(arc / 40)));
      else arcs.push(arc);
      arc = 0;
    }
  }
  const text = arcs.join(".");
  return NAMES[text] ?? text;
}
