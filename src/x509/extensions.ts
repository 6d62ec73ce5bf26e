/** Extensions of RFC 5280 4.2.1, from DER to values. Errors are `ERR_TLS_PEM`; parse.ts renames them. */
import { latin1 } from "../bytes/bytes.ts";
import { contextConstructed, contextPrimitive, DerReader, Tag } from "../bytes/der.ts";
import { fault, type TlsError } from "../errors.ts";
import type { Certificate, Extension, GeneralNames, NameConstraints, OtherName } from "./certificate.ts";
import { DistinguishedName } from "./distinguished.ts";

const MAX_EXTENSIONS = 64;
/** Names in one subjectAltName, and in each half of nameConstraints. */
const MAX_GENERAL_NAMES = 1024;
const MAX_KEY_PURPOSES = 64;
/** Policies, and mappings of them, in one certificate. */
const MAX_POLICIES = 128;

/** Values of the extensions that path validation and identities need. */
export interface ExtensionValues {
  basicConstraints?: { readonly ca: boolean; readonly pathLength: number | undefined };
  keyUsage?: number;
  extendedKeyUsage?: readonly string[];
  subjectAltName?: GeneralNames;
  nameConstraints?: NameConstraints;
  authorityKeyId?: Uint8Array;
  subjectKeyId?: Uint8Array;
  policies?: readonly string[];
  policyMappings?: Certificate["policyMappings"];
  policyConstraints?: Certificate["policyConstraints"];
  inhibitAnyPolicy?: number;
  /** False when certificatePolicies holds a qualifier that is not known. */
  policiesUnderstood?: boolean;
}

const POLICIES = "2.5.29.32";

/** What each known extension's contents mean. */
const KNOWN: Readonly<Record<string, (value: DerReader, into: ExtensionValues) => void>> = {
  "2.5.29.14": (value, into) => {
    into.subjectKeyId = value.octetString();
  },
  "2.5.29.15": (value, into) => {
    into.keyUsage = readKeyUsage(value);
  },
  "2.5.29.17": (value, into) => {
    into.subjectAltName = readGeneralNames(value.sequence(), NAME_ADDRESS);
  },
  "2.5.29.19": (value, into) => {
    into.basicConstraints = readBasicConstraints(value.sequence());
  },
  "2.5.29.30": (value, into) => {
    into.nameConstraints = readNameConstraints(value.sequence());
  },
  [POLICIES]: (value, into) => {
    readPolicies(value.sequence(), into);
  },
  "2.5.29.33": (value, into) => {
    into.policyMappings = readPolicyMappings(value.sequence());
  },
  "2.5.29.35": (value, into) => {
    const identifier = value.sequence();
    const keyId = identifier.optional(contextPrimitive(0));
    identifier.optional(contextConstructed(1));
    identifier.optional(contextPrimitive(2));
    identifier.finish("authorityKeyIdentifier");
    if (keyId !== undefined) into.authorityKeyId = keyId.rest();
  },
  "2.5.29.37": (value, into) => {
    into.extendedKeyUsage = readKeyPurposes(value.sequence());
  },
  "2.5.29.36": (value, into) => {
    into.policyConstraints = readPolicyConstraints(value.sequence());
  },
  "2.5.29.54": (value, into) => {
    into.inhibitAnyPolicy = value.smallInteger();
  },
};

/** OIDs of the critical extensions whose meaning is not, or not wholly, honoured. */
export function unhandledCritical(extensions: readonly Extension[], values: ExtensionValues): string[] {
  return extensions
    .filter(
      ({ oid, critical }) =>
        critical && (KNOWN[oid] === undefined || (oid === POLICIES && values.policiesUnderstood === false)),
    )
    .map(({ oid }) => oid);
}

/** All extensions in order. A second one of the same type is refused (RFC 5280 4.2). */
export function readExtensions(list: DerReader): Extension[] {
  const extensions: Extension[] = [];
  while (list.remaining > 0) {
    if (extensions.length === MAX_EXTENSIONS) throw malformed(`more than ${MAX_EXTENSIONS} extensions`);
    const item = list.sequence();
    const oid = item.oid();
    // An encoded DEFAULT (critical FALSE) is not DER, but issuers write it and it changes nothing.
    const critical = item.peek() === Tag.boolean && item.boolean();
    const value = item.octetString();
    item.finish("the extension");
    if (extensions.some((other) => other.oid === oid)) throw malformed(`extension ${oid} occurs twice`);
    extensions.push({ oid, critical, value });
  }
  if (extensions.length === 0) throw malformed("the list of extensions is empty");
  return extensions;
}

/** The values of the extensions that are known here. */
export function readExtensionValues(extensions: readonly Extension[]): ExtensionValues {
  const values: ExtensionValues = {};
  for (const { oid, value } of extensions) {
    const read = KNOWN[oid];
    if (read === undefined) continue;
    const reader = new DerReader(value);
    read(reader, values);
    reader.finish(`extension ${oid}`);
  }
  return values;
}

/** The qualifiers of RFC 5280 4.2.1.4: a pointer to the CPS and a notice, neither of which has a bearing here. */
const QUALIFIERS = ["1.3.6.1.5.5.7.2.1", "1.3.6.1.5.5.7.2.2"];

/** True when every qualifier is known, which a critical certificatePolicies demands (RFC 5280 4.2.1.4). */
function readPolicies(sequence: DerReader, into: ExtensionValues): void {
  let understood = true;
  const policies: string[] = [];
  while (sequence.remaining > 0) {
    const policy = sequence.sequence();
    const oid = policy.oid();
    if (policies.includes(oid)) throw malformed(`policy ${oid} occurs twice (RFC 5280 4.2.1.4)`);
    policies.push(oid);
    if (policies.length > MAX_POLICIES) throw malformed(`more than ${MAX_POLICIES} policies`);
    const qualifiers = policy.optional(Tag.sequence);
    policy.finish("a policy");
    while (qualifiers !== undefined && qualifiers.remaining > 0) {
      const qualifier = qualifiers.sequence();
      understood &&= QUALIFIERS.includes(qualifier.oid());
      qualifier.raw();
      qualifier.finish("a policy qualifier");
    }
  }
  if (policies.length === 0) throw malformed("an empty list of policies");
  into.policies = policies;
  into.policiesUnderstood = understood;
}

/** RFC 5280 4.2.1.5 */
function readPolicyMappings(sequence: DerReader): Certificate["policyMappings"] {
  const mappings: { issuer: string; subject: string }[] = [];
  while (sequence.remaining > 0) {
    const mapping = sequence.sequence();
    mappings.push({ issuer: mapping.oid(), subject: mapping.oid() });
    mapping.finish("a policy mapping");
    if (mappings.length > MAX_POLICIES) throw malformed(`more than ${MAX_POLICIES} policy mappings`);
  }
  if (mappings.length === 0) throw malformed("an empty list of policy mappings");
  return mappings;
}

/** RFC 5280 4.2.1.11: IMPLICIT INTEGERs, one of which at least is there. */
function readPolicyConstraints(sequence: DerReader): NonNullable<Certificate["policyConstraints"]> {
  const [requireExplicit, inhibitMapping] = [0, 1].map((number) =>
    sequence.peek() === contextPrimitive(number) ? sequence.smallInteger(contextPrimitive(number)) : undefined,
  );
  sequence.finish("policyConstraints");
  if (requireExplicit === undefined && inhibitMapping === undefined) throw malformed("empty policyConstraints");
  return { requireExplicit, inhibitMapping };
}

/** RFC 5280 4.2.1.9 */
function readBasicConstraints(sequence: DerReader): { ca: boolean; pathLength: number | undefined } {
  const ca = sequence.peek() === Tag.boolean && sequence.boolean();
  // Without cA the path length should not be there (RFC 5280 4.2.1.9), and means nothing.
  const pathLength = sequence.peek() === Tag.integer ? sequence.smallInteger() : undefined;
  sequence.finish("basicConstraints");
  return { ca, pathLength };
}

/** RFC 5280 4.2.1.3: bit 0 is the highest of the first byte. */
function readKeyUsage(value: DerReader): number {
  const { bytes } = value.bitString();
  if (bytes.length > 2) throw malformed("keyUsage has more bits than there are");
  let usage = 0;
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    if (((bytes[bit >> 3] as number) & (0x80 >> (bit & 7))) !== 0) usage |= 1 << bit;
  }
  return usage;
}

/** RFC 5280 4.2.1.12 */
function readKeyPurposes(sequence: DerReader): string[] {
  const purposes: string[] = [];
  while (sequence.remaining > 0) {
    if (purposes.length === MAX_KEY_PURPOSES) throw malformed(`more than ${MAX_KEY_PURPOSES} key purposes`);
    purposes.push(sequence.oid());
  }
  if (purposes.length === 0) throw malformed("extKeyUsage is empty");
  return purposes;
}

/** RFC 5280 4.2.1.10 */
function readNameConstraints(sequence: DerReader): NameConstraints {
  const permitted = sequence.optional(contextConstructed(0));
  const excluded = sequence.optional(contextConstructed(1));
  sequence.finish("nameConstraints");
  if (permitted === undefined && excluded === undefined) throw malformed("nameConstraints is empty");
  return { permitted: readSubtrees(permitted), excluded: readSubtrees(excluded) };
}

function readSubtrees(subtrees: DerReader | undefined): GeneralNames {
  const names = new Names(RANGE_ADDRESS);
  if (subtrees === undefined) return names;
  if (subtrees.remaining === 0) throw malformed("a list of subtrees is empty");
  while (subtrees.remaining > 0) {
    const subtree = subtrees.sequence();
    names.read(subtree);
    // minimum 0 is the default and so absent in DER; another value, or any maximum, must be refused.
    subtree.finish("the base of a subtree");
  }
  return names;
}

/** RFC 5280 4.2.1.6: at least one name. */
function readGeneralNames(sequence: DerReader, address: AddressForm): GeneralNames {
  if (sequence.remaining === 0) throw malformed("a list of names is empty");
  const names = new Names(address);
  while (sequence.remaining > 0) names.read(sequence);
  return names;
}

/** What an iPAddress must look like. */
type AddressForm = (bytes: Uint8Array) => boolean;

const NAME_ADDRESS: AddressForm = ({ length }) => length === 4 || length === 16;

/** Address and mask; the mask is a prefix, as in RFC 4632. */
const RANGE_ADDRESS: AddressForm = (bytes) => {
  if (bytes.length !== 8 && bytes.length !== 32) return false;
  let ended = false;
  for (const byte of bytes.subarray(bytes.length / 2)) {
    const inverted = ~byte & 0xff;
    if ((inverted & (inverted + 1)) !== 0 || (ended && byte !== 0)) return false;
    ended ||= byte !== 0xff;
  }
  return true;
};

/** Collects GeneralNames by form. */
class Names implements GeneralNames {
  readonly dns: string[] = [];
  readonly ip: Uint8Array[] = [];
  readonly email: string[] = [];
  readonly uri: string[] = [];
  readonly directory: DistinguishedName[] = [];
  readonly other: OtherName[] = [];
  readonly unread: number[] = [];
  readonly #address: AddressForm;
  #count = 0;

  constructor(address: AddressForm) {
    this.#address = address;
  }

  /** The next GeneralName of `list`. */
  read(list: DerReader): void {
    if (++this.#count > MAX_GENERAL_NAMES) throw malformed(`more than ${MAX_GENERAL_NAMES} names`);
    const { tag, content } = list.element();
    switch (tag) {
      case contextConstructed(0): {
        const type = content.oid();
        const explicit = content.read(contextConstructed(0));
        const value = explicit.raw();
        explicit.finish("the value of an otherName");
        content.finish("an otherName");
        this.other.push({ type, value });
        break;
      }
      case contextPrimitive(1):
        this.email.push(ascii(content));
        break;
      case contextPrimitive(2):
        this.dns.push(ascii(content));
        break;
      case contextConstructed(4):
        this.directory.push(new DistinguishedName(content.rest()));
        break;
      case contextPrimitive(6):
        this.uri.push(ascii(content));
        break;
      case contextPrimitive(7): {
        const bytes = content.rest();
        if (!this.#address(bytes)) throw malformed(`an iPAddress of ${bytes.length} bytes is malformed`);
        this.ip.push(bytes);
        break;
      }
      case contextConstructed(3):
      case contextConstructed(5):
      case contextPrimitive(8):
        this.unread.push(tag & 0x1f);
        break;
      default:
        throw malformed(`a name with the unknown tag 0x${tag.toString(16)}`);
    }
  }
}

/** IA5String contents. NUL and other control characters have no place in a name and have fooled C programs. */
function ascii(content: DerReader): string {
  const bytes = content.rest();
  for (const byte of bytes)
    if (byte < 0x20 || byte > 0x7e) throw malformed("a name holds a byte that is not ASCII text");
  return latin1(bytes);
}

function malformed(detail: string): TlsError {
  return fault("ERR_TLS_PEM", detail);
}
