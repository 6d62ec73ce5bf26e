/** What the shim can prove to be, and which of it fits a peer. */
import { readFileSync } from "node:fs";
import { equal } from "../../src/bytes/bytes.ts";
import { SignatureScheme, type SignatureSchemeName } from "../../src/codec/registry.ts";
import { decode, list, opaque } from "../../src/codec/schema.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import type { Signer } from "../../src/crypto/provider.ts";
import { type PskOptions, resolveIdentity } from "../../src/engine/index.ts";
import { fault } from "../../src/errors.ts";
import type { Identity } from "../../src/handshake/identity.ts";
import { type Credential, type Settings, Unimplemented } from "./flags.ts";

export const provider = createNodeProvider();

/** With `-async`, everything that may answer late does. */
export function late<T>(settings: Settings, value: () => T): T | Promise<T> {
  return settings.async ? new Promise((resolve) => setImmediate(resolve)).then(value) : value();
}

/** An identity as the runner counts them; the default credential has no number. */
export interface Numbered {
  readonly identity: Identity;
  readonly index: number;
  readonly mustMatchIssuer: boolean;
}

/** In the order in which they are tried. */
export function identitiesOf(settings: Settings): readonly Numbered[] {
  const all = [...settings.credentials.entries(), [-1, settings.standard] as const];
  return all.flatMap(([index, credential]) =>
    credential.type === "x509" && credential.certFile !== undefined
      ? [{ identity: identityOf(settings, credential), index, mustMatchIssuer: credential.mustMatchIssuer === true }]
      : [],
  );
}

/**
 * The first that signs what the peer accepts, issued by whom the peer named where that is asked for.
 *
 * @throws TlsError where there are some and none fits.
 */
export function select(
  identities: readonly Numbered[],
  schemes: readonly number[],
  authorities: readonly Uint8Array[],
): Numbered | undefined {
  const signing = identities.filter(({ identity }) =>
    identity.schemes.some((scheme) => schemes.includes(SignatureScheme.codes[scheme])),
  );
  const issued = ({ parsed }: Identity) =>
    parsed.some(({ issuer }) => authorities.some((name) => equal(name, issuer.der)));
  const found = signing.find(({ identity, mustMatchIssuer }) => !mustMatchIssuer || issued(identity));
  if (found === undefined && identities.length > 0) {
    throw fault("ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM", signing.length > 0 ? "NO_MATCHING_ISSUER" : undefined);
  }
  return found;
}

function identityOf(settings: Settings, credential: Credential): Identity {
  const { certFile = "", keyFile = "", signingPrefs, ocspResponse, signedCertTimestamps } = credential;
  const identity = resolveIdentity(
    { cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8") },
    provider,
  );
  const wanted = signingPrefs === undefined ? identity.schemes : schemesOf(signingPrefs);
  const schemes = wanted.filter((name) => identity.schemes.includes(name));
  const signer: Signer = {
    schemes,
    sign: (scheme, message) => late(settings, () => identity.signer.sign(scheme, message) as Uint8Array),
  };
  const declined = settings.useOcspCallback && (settings.declineOcspCallback || settings.failOcspCallback);
  return {
    ...identity,
    schemes,
    signer,
    ocspResponse: declined ? undefined : ocspResponse,
    scts: signedCertTimestamps === undefined ? [] : decode(SctList, signedCertTimestamps, "-signed-cert-timestamps"),
  };
}

/** RFC 6962 3.3, as the runner gives it. */
const SctList = list(opaque(1, 0xffff), "sct", 1, 0xffff);

/** The pre-shared keys, with the runner's numbers. */
export function psksOf({ credentials }: Settings): readonly { readonly psk: PskOptions; readonly index: number }[] {
  return credentials.flatMap((credential, index) => {
    const { type, pskImporterIdentity: identity, pskImporterKey: key, pskImporterContext: context } = credential;
    if (type !== "psk" || identity === undefined || key === undefined) return [];
    const hash = credential.pskImporterSha384 ? ("sha384" as const) : ("sha256" as const);
    return [{ index, psk: { identity, key, hash, importer: { context } } }];
  });
}

/**
 * The schemes that have a name here.
 *
 * @throws Unimplemented if none has.
 */
export function schemesOf(codes: readonly number[]): readonly SignatureSchemeName[] {
  const names = codes.flatMap((code) => (SignatureScheme.name(code) as SignatureSchemeName | undefined) ?? []);
  if (names.length === 0) throw new Unimplemented(`signature scheme 0x${codes[0]?.toString(16)}`);
  return names;
}
