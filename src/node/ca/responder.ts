/** Answers OCSP requests from the folder of a CA, as it stands at that moment (RFC 6960). */
import { readFile } from "node:fs/promises";
import { toHex } from "../../bytes/hex.ts";
import { readPem } from "../../bytes/pem.ts";
import { fault, TlsError } from "../../errors.ts";
import type { CertificateSigner } from "../../pki/keys.ts";
import {
  type CertificateStatus,
  createOcspResponse,
  isIssuedBy,
  type OcspRequest,
  ocspRefusal,
  type RequestedStatus,
  readOcspRequest,
} from "../../pki/ocsp.ts";
import { parseCertificate } from "../../x509/parse.ts";
import type { CertificateAuthority } from "./authority.ts";
import { readSubjectKey } from "./keys.ts";
import { type CaCertificate, isIssuer, readOne } from "./state.ts";

/** Who signs the answers. */
export interface ResponderOptions {
  /** PEM file of a certificate of the profile `ocsp`, and of its key: then the CA's own key need not be here. */
  readonly delegate?: { readonly certFile: string; readonly keyFile: string; readonly passphrase?: string | undefined };
  /** How long an answer is good for, ms; an hour by default. */
  readonly lifetime?: number | undefined;
}

/** What came of a request. */
export interface ResponderAnswer {
  /** OCSPResponse, DER. */
  readonly response: Uint8Array;
  /** How long whoever asks the same may go on with this answer, seconds; undefined: it must not be kept (RFC 5019 6.2). */
  readonly maxAge: number | undefined;
}

/** Asked with an OCSPRequest, DER, of whatever form. Never rejects: what cannot be answered is refused (RFC 6960 4.2.1). */
export type Responder = (request: Uint8Array) => Promise<ResponderAnswer>;

const HOUR = 3_600_000;

/**
 * A responder for all that the CA's issuers have issued. Certificates of the same issuers that are not in the folder are
 * `unknown`, those of others are refused as `unauthorized`.
 *
 * @param onError - Called with what went wrong inside; the client only learns `internalError`.
 * @throws TlsError `ERR_TLS_KEY` when the key that is to sign cannot be read, or is not that of its certificate;
 * `ERR_TLS_OPTION` for a delegate's certificate that is none, or for a lifetime that is none.
 *
 * @example
 * ```ts
 * const folder = fs.mkdtempSync("/tmp/mutls-example-");
 * const authority = await createAuthority(folder);
 * const { spki } = await generateKeyPair("P-256");
 * const { certificate } = await authority.issue({ profile: "client", spki, subject: "alice" });
 * const respond = await ocspResponder(authority);
 * const { response } = await respond(encodeOcspRequest(certificate, authority.certificates[0].certificate));
 * console.log(parseOcspResponse(response).responses[0]?.status); // good
 * fs.rmSync(folder, { recursive: true });
 * ```
 */
export async function ocspResponder(
  authority: CertificateAuthority,
  { delegate, lifetime = HOUR }: ResponderOptions = {},
  onError: (error: unknown) => void = () => undefined,
): Promise<Responder> {
  const speakers = await speakersOf(authority, delegate);
  // Better now than with each request: what cannot sign an answer about nothing can sign none.
  for (const speaker of speakers) await answer([], undefined, speaker, lifetime);
  return async (der) => {
    let request: OcspRequest;
    try {
      request = readOcspRequest(der);
    } catch (error) {
      if (!(error instanceof TlsError)) onError(error);
      return refuse("malformedRequest");
    }
    try {
      const speaker = speakers.find(({ issuer }) =>
        request.certificates.some((asked) => isIssuedBy(asked, issuer.der)),
      );
      // RFC 6960 2.3: whoever cannot speak for any of them says so, unsigned.
      if (speaker === undefined) return refuse("unauthorized");
      const statuses: CertificateStatus[] = [];
      // One by one: many clients at once would have more files open than a process may.
      for (const asked of request.certificates) statuses.push(await statusOf(authority, speaker.issuer, asked));
      return await answer(statuses, request.nonce, speaker, lifetime);
    } catch (error) {
      onError(error);
      return refuse("internalError");
    }
  };
}

/** No answer is good for longer than the certificate that it is verified with. */
async function answer(
  statuses: readonly CertificateStatus[],
  nonce: Uint8Array | undefined,
  { issuer, certificate, signer }: Speaker,
  lifetime: number,
): Promise<ResponderAnswer> {
  const now = Date.now();
  const { notAfter } = certificate === undefined ? issuer.certificate : parseCertificate(certificate);
  const nextUpdate = Math.min(now + lifetime, notAfter);
  const input = { statuses, nonce, thisUpdate: now, nextUpdate };
  const response = await createOcspResponse(input, { issuer: issuer.der, certificate, signer });
  return { response, maxAge: nonce === undefined ? Math.floor((nextUpdate - now) / 1000) : undefined };
}

interface Speaker {
  readonly issuer: CaCertificate;
  readonly certificate: Uint8Array | undefined;
  readonly signer: CertificateSigner;
}

/** Who signs for which issuer: its own key, or the one that it has delegated to. */
async function speakersOf(
  authority: CertificateAuthority,
  delegate: ResponderOptions["delegate"],
): Promise<readonly Speaker[]> {
  const { certificates } = authority;
  if (delegate === undefined) {
    const own = certificates.map(async (issuer, i): Promise<Speaker[]> => {
      try {
        return [{ issuer, certificate: undefined, signer: (await authority.issuer(issuer)).signer }];
      } catch (error) {
        // The root's key may be kept elsewhere; without that of who issues there is nothing to say.
        if (i === 0 || !(error instanceof TlsError)) throw error;
        return [];
      }
    });
    return (await Promise.all(own)).flat();
  }
  const [pem, keyPem] = await Promise.all([delegate.certFile, delegate.keyFile].map((file) => readFile(file, "utf8")));
  const certificate = readPem(pem as string).find(({ label }) => label === "CERTIFICATE")?.der;
  if (certificate === undefined) throw fault("ERR_TLS_OPTION", `${delegate.certFile} holds no certificate`);
  const signer = await readSubjectKey(keyPem as string, delegate.passphrase);
  return [{ issuer: certificates[0], certificate, signer }];
}

/** RFC 6960 2.2: revoked where it says so, good where it was issued, unknown otherwise. */
async function statusOf(
  { folder }: CertificateAuthority,
  issuer: CaCertificate,
  certificate: RequestedStatus,
): Promise<CertificateStatus> {
  const isOurs = isIssuedBy(certificate, issuer.der);
  const entry = isOurs ? await readOne(folder, toHex(certificate.serialNumber)) : undefined;
  if (entry === undefined || !isIssuer(issuer.certificate, entry.certificate))
    return { certificate, status: "unknown" };
  return { certificate, status: entry.revocation ?? "good" };
}

function refuse(status: Parameters<typeof ocspRefusal>[0]): ResponderAnswer {
  return { response: ocspRefusal(status), maxAge: undefined };
}
