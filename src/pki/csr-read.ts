/** Certification requests that others have made: read strictly, held to their own signature (RFC 2986 4). */
import { contextConstructed, DerReader, Tag } from "../bytes/der.ts";
import { readPem } from "../bytes/pem.ts";
import { keyAlgorithm } from "../crypto/keys.ts";
import type { PublicKey } from "../crypto/provider.ts";
import { fault, TlsError } from "../errors.ts";
import type { GeneralNames } from "../x509/certificate.ts";
import { DistinguishedName } from "../x509/distinguished.ts";
import { readExtensions, readExtensionValues } from "../x509/extensions.ts";
import { keyProblem, signatureProblem } from "./strength.ts";

/** Bytes of a request, DER: room for RSA of 8192 bits and some hundred names. */
const MAX_REQUEST = 32 * 1024;
/** Attributes in one request; openssl, Java and Windows write up to four. */
const MAX_ATTRIBUTES = 16;

/** A request whose sender has proved to hold the private key. What it asks for is not granted yet. */
export interface CertificationRequest {
  readonly der: Uint8Array;
  readonly subject: DistinguishedName;
  readonly publicKey: PublicKey;
  /** Names asked for. */
  readonly subjectAltName: GeneralNames | undefined;
}

const EXTENSION_REQUEST = "1.2.840.113549.1.9.14";

/**
 * Reads a certification request and verifies its proof of possession: that it is signed with the key it is for. Only the
 * names in it are read; what the certificate may be used for is the issuer's to decide.
 *
 * @param request - PEM, or DER of at most 32 KiB.
 * @throws TlsError `ERR_TLS_CSR` when it is malformed, not signed by its key, or for a key that is too weak.
 *
 * @example
 * ```ts
 * const key = await generateKeyPair("P-256");
 * const request = await readCertificationRequest(await createCertificationRequest({ subject: "alice" }, key));
 * console.log(request.subject.text); // CN=alice
 * ```
 */
export async function readCertificationRequest(request: string | Uint8Array): Promise<CertificationRequest> {
  try {
    const { signatureAlgorithm, tbs, signature, ...read } = readRequest(requestDer(request));
    const { spki } = read.publicKey;
    const problem = keyProblem(spki) ?? (await signatureProblem(spki, signatureAlgorithm, tbs, signature));
    if (problem !== undefined) throw fault("ERR_TLS_CSR", problem);
    return read;
  } catch (cause) {
    if (!(cause instanceof TlsError) || cause.code !== "ERR_TLS_PEM") throw cause;
    throw fault("ERR_TLS_CSR", cause.detail, { cause });
  }
}

function requestDer(request: string | Uint8Array): Uint8Array {
  if (request.length > 2 * MAX_REQUEST) throw malformed(`more than ${MAX_REQUEST} bytes`);
  const isDer = typeof request !== "string" && request[0] === Tag.sequence;
  const blocks = isDer ? [] : readPem(request).filter(({ label }) => /^(NEW )?CERTIFICATE REQUEST$/.test(label));
  if (blocks.length > 1) throw malformed(`${blocks.length} requests in one text`);
  const der = isDer ? request : blocks[0]?.der;
  if (der === undefined) throw malformed("no certification request in the input");
  if (der.length > MAX_REQUEST) throw malformed(`more than ${MAX_REQUEST} bytes`);
  return der;
}

function readRequest(der: Uint8Array) {
  const input = new DerReader(der);
  const outer = input.sequence();
  input.finish("the request");
  const tbs = outer.raw();
  const signatureAlgorithm = outer.raw();
  const signature = outer.bitStringBytes();
  outer.finish("the signature");

  const info = new DerReader(tbs).sequence();
  if (info.smallInteger() !== 0) throw malformed("the version is not known");
  const subject = new DistinguishedName(info.raw());
  const spki = info.raw();
  const publicKey = { spki, algorithm: keyAlgorithm(spki) };
  // Some leave the field out where it is empty, which RFC 2986 4.1 does not allow but which changes nothing.
  const attributes = info.optional(contextConstructed(0));
  info.finish("the request's info");
  const subjectAltName = attributes === undefined ? undefined : readAttributes(attributes);
  return { der, subject, publicKey, subjectAltName, tbs, signatureAlgorithm, signature };
}

/** The names among the attributes. Of the others none has a bearing on what is issued. */
function readAttributes(set: DerReader): GeneralNames | undefined {
  const seen = new Set<string>();
  let names: GeneralNames | undefined;
  while (set.remaining > 0) {
    const attribute = set.sequence();
    const type = attribute.oid();
    const values = attribute.set();
    attribute.finish("an attribute");
    if (seen.has(type)) throw malformed(`attribute ${type} occurs twice`);
    if (seen.size === MAX_ATTRIBUTES) throw malformed(`more than ${MAX_ATTRIBUTES} attributes`);
    seen.add(type);
    if (values.remaining === 0) throw malformed(`attribute ${type} has no value (RFC 2986 4.1)`);
    if (type !== EXTENSION_REQUEST) continue;
    const list = values.sequence();
    values.finish("the extension request");
    // An extension request may be empty: keytool writes such ones.
    if (list.remaining > 0) names = readExtensionValues(readExtensions(list)).subjectAltName;
  }
  return names;
}

function malformed(detail: string): TlsError {
  return fault("ERR_TLS_PEM", detail);
}
