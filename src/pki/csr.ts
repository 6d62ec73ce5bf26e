/** Certification requests, PKCS#10: made here (RFC 2986 4). What others have made is read in csr-read.ts. */
import * as asn1js from "asn1js";
import * as pkijs from "pkijs";
import { writePem } from "../bytes/pem.ts";
import { fromDer, signed, toDer } from "./asn1.ts";
import { encodeExtensions, subjectAltName } from "./extensions.ts";
import { type SubjectKey, subjectKey } from "./keys.ts";
import { type AlternativeNames, countNames, encodeSubject, nameFrom, type SubjectInput } from "./names.ts";

/** What to ask for. What it may be used for is the CA's to decide. */
export interface RequestInput extends AlternativeNames {
  /** A CN, or attributes in order; empty by default. */
  readonly subject?: SubjectInput | undefined;
}

/** extensionRequest, RFC 2985 5.4.2. */
const EXTENSION_REQUEST = "1.2.840.113549.1.9.14";

/**
 * A certification request, PEM, signed with the key that it is for. The key may be non-extractable.
 *
 * @param key - A pair of WebCrypto's with the usage `sign`, or a public key with its signer.
 * @throws TlsError `ERR_TLS_OPTION` for a name that is not of its form; `ERR_TLS_KEY` for a key that cannot sign.
 *
 * @example
 * ```ts
 * const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
 * const request = await createCertificationRequest({ subject: "alice", emails: ["alice@example.com"] }, pair);
 * console.log(request.split("\n")[0]); // -----BEGIN CERTIFICATE REQUEST-----
 * ```
 */
export async function createCertificationRequest(
  input: RequestInput,
  key: CryptoKeyPair | SubjectKey,
): Promise<string> {
  const own = "spki" in key ? key : await subjectKey(key);
  const subject = input.subject ?? [];
  const extensions = countNames(input) === 0 ? [] : encodeExtensions([subjectAltName(input, subject.length === 0)]);
  const request = new pkijs.CertificationRequest({
    version: 0,
    subject: nameFrom(encodeSubject(subject)),
    subjectPublicKeyInfo: new pkijs.PublicKeyInfo({ schema: fromDer(own.spki) }),
    // Without any attribute the field is there all the same (RFC 2986 4.1).
    attributes:
      extensions.length === 0
        ? []
        : [
            new pkijs.Attribute({
              type: EXTENSION_REQUEST,
              values: [new asn1js.Sequence({ value: extensions.map((one) => fromDer(toDer(one))) })],
            }),
          ],
  });
  return writePem("CERTIFICATE REQUEST", await signed(request, own));
}
