/** From the runner's settings to the library's options. */
import { readFileSync } from "node:fs";
import { concat, equal, utf8 } from "../../src/bytes/bytes.ts";
import { toHex } from "../../src/bytes/hex.ts";
import {
  NamedGroup,
  type NamedGroupName,
  SignatureScheme,
  type SignatureSchemeName,
} from "../../src/codec/registry.ts";
import { decode, list, opaque } from "../../src/codec/schema.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import type { CryptoProvider, Signer } from "../../src/crypto/provider.ts";
import {
  type ClientOptions,
  type PskOptions,
  resolveIdentity,
  type ServerOptions,
  sealedTickets,
  strikeRegister,
} from "../../src/engine/index.ts";
import { fault, TlsError } from "../../src/errors.ts";
import type { CertificateCompression } from "../../src/handshake/compression.ts";
import type { ClientHelloInfo } from "../../src/handshake/config.ts";
import type { Identity, IdentityRequest } from "../../src/handshake/identity.ts";
import type { Session } from "../../src/handshake/session.ts";
import { acceptAnyVerifier, type CertificateVerifier } from "../../src/x509/verifier.ts";
import { type Credential, type Settings, Unimplemented } from "./flags.ts";

const TLS_1_3 = 0x0304;

export const provider = createNodeProvider();
const STARTED = Date.now();

/** What is remembered from one connection of this process to the next. */
export interface Memory {
  /** Certificates that have been judged. */
  readonly seen: Set<string>;
  /** Of the connection before. */
  previous: { readonly alpn: string | undefined; readonly early: boolean } | undefined;
  readonly tickets: ReturnType<typeof sealedTickets>;
  readonly antiReplay: ReturnType<typeof strikeRegister>;
  /** Of a client: the last session the server gave. */
  session: Session | undefined;
  /** ms by which the clock runs ahead. */
  clockOffset: number;
}

/** What callbacks learn on the way, to be held against the runner's expectations. */
export interface Findings {
  selectedCredential: number;
  peerVerifyPrefs: readonly number[] | undefined;
  authorities: readonly Uint8Array[] | undefined;
  hello: ClientHelloInfo | undefined;
  verified: boolean;
}

export function rememberNothing(): Memory {
  return {
    seen: new Set(),
    previous: undefined,
    tickets: sealedTickets(),
    antiReplay: strikeRegister({ clock: () => STARTED }),
    session: undefined,
    clockOffset: 0,
  };
}

/** With `-async`, everything that may answer late does. */
function late<T>(settings: Settings, value: () => T): T | Promise<T> {
  return settings.async ? new Promise((resolve) => setImmediate(resolve)).then(value) : value();
}

function common(settings: Settings, memory: Memory, findings: Findings) {
  if (settings.noTls13 || (settings.maxVersion ?? TLS_1_3) < TLS_1_3) throw new Unimplemented("TLS 1.2");
  const groups = settings.curves?.map(groupName);
  return {
    provider,
    // It stands still, so that ages are what the runner says they are.
    clock: () => STARTED + memory.clockOffset,
    verifier: verifierFor(settings, memory, findings),
    ...(groups && { groups }),
    ...(settings.verifyPrefs && { signatureSchemes: verifiable(settings.verifyPrefs) }),
    ...(settings.maxSendFragment && { maxFragment: settings.maxSendFragment }),
    ...(settings.maxCertList && { maxHandshakeMessage: settings.maxCertList }),
    requestStatus: settings.enableOcspStapling === true,
    requestScts: settings.enableSignedCertTimestamps === true,
    certificateCompression: compressionsOf(settings),
    grease: settings.enableGrease === true,
    psks: settings.credentials.filter(({ type }) => type === "psk").map(pskOf),
    pskModes: ["psk_dhe_ke"] as const,
  };
}

export function clientOptions(settings: Settings, memory: Memory, findings: Findings): ClientOptions {
  const { keyShares, noKeyShares, hostName, advertiseAlpn } = settings;
  const identities = identitiesOf(settings);
  const session = memory.session;
  memory.session = undefined;
  let offered = false;
  return {
    ...common(settings, memory, findings),
    serverName: hostName,
    checkServerName: false,
    ...(keyShares && { keyShares: keyShares.map(groupName) }),
    ...(noKeyShares && { keyShares: [] }),
    alpn: advertiseAlpn === undefined ? [] : prefixedStrings(advertiseAlpn),
    identities: [],
    selectIdentity: (request: IdentityRequest) =>
      late(settings, () => {
        findings.peerVerifyPrefs = request.signatureSchemes;
        findings.authorities = request.authorities;
        if (settings.failCertCallback) throw new Error("CERT_CB_ERROR");
        return select(identities, request.signatureSchemes, request.authorities, findings);
      }),
    sessions: {
      take: () => {
        if (offered || settings.noTicket) return undefined;
        offered = true;
        return late(settings, () => session);
      },
      put: (_scope, kept) => {
        memory.session = kept;
      },
    },
    offerEarlyData: settings.enableEarlyData === true,
  };
}

export function serverOptions(settings: Settings, memory: Memory, findings: Findings): ServerOptions {
  const identities = identitiesOf(settings);
  const store = {
    issue: (...args: Parameters<typeof memory.tickets.issue>) =>
      settings.skipTicket ? undefined : late(settings, () => memory.tickets.issue(...args) as Uint8Array),
    redeem: (...args: Parameters<typeof memory.tickets.redeem>) =>
      late(settings, () => memory.tickets.redeem(...args) as Uint8Array | undefined),
  };
  const { selectAlpn, declineAlpn, rejectAlpn } = settings;
  return {
    ...common(settings, memory, findings),
    identities: [],
    clientAuth: settings.requireAnyClientCertificate ? "on" : settings.verifyPeer ? "optional" : "off",
    ...(!settings.noTicket && { tickets: { store, count: 2 } }),
    ...(settings.enableEarlyData && {
      acceptEarlyData: { antiReplay: memory.antiReplay, maxSize: 14_336, tolerance: 60 },
    }),
    onClientHello: (hello) =>
      late(settings, () => {
        findings.hello = hello;
        findings.peerVerifyPrefs = hello.signatureSchemes;
        if (settings.failEarlyCallback || settings.failDdosCallback)
          throw fault("ERR_TLS_CALLBACK_FAILED", "CONNECTION_REJECTED");
        if (settings.failCertCallback) throw fault("ERR_TLS_CALLBACK_FAILED", "CERT_CB_ERROR");
        const asksForStatus = hello.raw.extensions?.some(({ name }) => name === "status_request");
        if (settings.failOcspCallback && settings.useOcspCallback && asksForStatus)
          throw fault("ERR_TLS_CALLBACK_FAILED", "OCSP_CB_ERROR");
        const alpn = rejectAlpn ? ["no such protocol"] : !selectAlpn || declineAlpn ? [] : [selectAlpn];
        const authorities = find47(hello);
        const withPsks = settings.credentials.some(({ type }) => type === "psk");
        const chosen = select(identities, hello.signatureSchemes, authorities, findings, withPsks);
        return { identities: chosen === undefined ? identities.slice(0, 1) : [chosen], alpn };
      }),
  };
}

/** The client's certificate_authorities. */
function find47({ raw }: ClientHelloInfo): readonly Uint8Array[] {
  const found = raw.extensions?.find(({ name }) => name === "certificate_authorities");
  return (found?.value as readonly Uint8Array[] | undefined) ?? [];
}

/** Accepts every chain, or none. */
function verifierFor(settings: Settings, memory: Memory, findings: Findings): CertificateVerifier {
  const any = acceptAnyVerifier();
  return {
    *verify(request) {
      findings.verified = true;
      const der = Buffer.from(request.certificates[0] as Uint8Array).toString("hex");
      // At a resumption the original looks again only when told to.
      const again = memory.seen.has(der) && !settings.reverifyOnResume;
      memory.seen.add(der);
      const identity = yield* any.verify(request);
      if (settings.async) {
        yield { need: "promise", operation: "verify_certificate", promise: new Promise((r) => setImmediate(r)) };
      }
      if (settings.failOcspCallback && !settings.server && settings.useOcspCallback)
        throw fault("ERR_TLS_STATUS_RESPONSE", "OCSP_CB_ERROR");
      const strict = settings.verifyPeer || settings.requireAnyClientCertificate || settings.useCustomVerifyCallback;
      if (settings.verifyFail && strict && !again)
        throw settings.useCustomVerifyCallback ? fault("CERT_REJECTED") : REFUSAL();
      return { ...identity, verified: true };
    },
  };
}

/** What the original's older kind of callback makes of a refusal. */
const REFUSAL = () => new TlsError("CERT_REJECTED", "-verify-fail", { alert: "handshake_failure", direction: "sent" });

interface ShimIdentity {
  readonly identity: Identity;
  readonly index: number;
  readonly mustMatchIssuer: boolean;
}

function identitiesOf(settings: Settings): ShimIdentity["identity"][] & { details?: ShimIdentity[] } {
  const listed: ShimIdentity[] = settings.credentials.flatMap((credential, index) =>
    credential.type === "x509"
      ? [{ identity: identityOf(settings, credential), index, mustMatchIssuer: credential.mustMatchIssuer === true }]
      : [],
  );
  const { certFile, keyFile, ...rest } = settings;
  if (certFile !== undefined && keyFile !== undefined) {
    const identity = identityOf(settings, { ...rest, type: "x509", certFile, keyFile });
    listed.push({ identity, index: -1, mustMatchIssuer: false });
  }
  return Object.assign(
    listed.map(({ identity }) => identity),
    { details: listed },
  );
}

/** The first that signs what the peer accepts, issued by whom the peer named where that is asked for. */
function select(
  { details = [] }: ReturnType<typeof identitiesOf>,
  schemes: readonly number[],
  authorities: readonly Uint8Array[],
  findings: Findings,
  psks = false,
): Identity | undefined {
  const found = details.find(
    ({ identity, mustMatchIssuer }) =>
      signsFor(identity, schemes) &&
      (!mustMatchIssuer || identity.parsed.some(({ issuer }) => authorities.some((name) => equal(name, issuer.der)))),
  );
  if (found === undefined && details.length > 0) {
    if (psks) return undefined;
    const fitting = details.some(({ identity }) => signsFor(identity, schemes));
    throw fault("ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM", fitting ? "NO_MATCHING_ISSUER" : undefined);
  }
  if (found !== undefined) findings.selectedCredential = found.index;
  return found?.identity;
}

function signsFor({ schemes }: Identity, accepted: readonly number[]): boolean {
  return schemes.some((scheme) => accepted.includes(SignatureScheme.codes[scheme]));
}

function identityOf(settings: Settings, credential: Credential): Identity {
  const { certFile, keyFile, signingPrefs, ocspResponse, signedCertTimestamps } = credential;
  const [cert, key] = [certFile, keyFile].map((file) => readFileSync(file as string, "utf8")) as [string, string];
  const identity = resolveIdentity({ cert, key }, provider as CryptoProvider);
  const schemes = signingPrefs?.map(schemeName).filter((name) => identity.schemes.includes(name)) ?? identity.schemes;
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
    scts: signedCertTimestamps === undefined ? [] : sctsOf(signedCertTimestamps),
  };
}

/** The runner gives the extension's content; what is not one is not sent. */
function sctsOf(list: Uint8Array): readonly Uint8Array[] {
  return decode(list16, list);
}
const list16 = list(opaque(1, 0xffff), "sct", 1, 0xffff);

/** The runner's own algorithms: a prefix added, two zeros cut off, a random byte added. */
function compressionsOf(settings: Settings): readonly CertificateCompression[] {
  const all: readonly CertificateCompression[] = [
    {
      algorithm: 0xff02,
      compress: (plain) => concat(Uint8Array.of(1, 2, 3, 4), plain),
      decompress: (bytes) => {
        if (toHex(bytes.subarray(0, 4)) !== "01020304") throw new Error("not compressed so");
        return bytes.subarray(4);
      },
    },
    {
      algorithm: 0xff01,
      compress: (plain) => plain.subarray(2),
      decompress: (bytes) => concat(new Uint8Array(2), bytes),
    },
    {
      algorithm: 0xff03,
      compress: (plain) => concat(provider.random(1), plain),
      decompress: (bytes) => bytes.subarray(1),
    },
  ];
  const one = settings.installOneCertCompressionAlg;
  return all.filter(({ algorithm }) => settings.installCertCompressionAlgs || algorithm === one);
}

function pskOf(credential: Credential): PskOptions {
  return {
    identity: credential.pskImporterIdentity ?? utf8(""),
    key: credential.pskImporterKey ?? new Uint8Array(0),
    hash: credential.pskImporterSha384 ? "sha384" : "sha256",
    importer: { context: credential.pskImporterContext ?? new Uint8Array(0) },
  };
}

function groupName(code: number): NamedGroupName {
  const name = NamedGroup.name(code) as NamedGroupName | undefined;
  if (name === undefined || !provider.groups.some((group) => group.name === name)) {
    throw new Unimplemented(`group ${name ?? code}`);
  }
  return name;
}

function schemeName(code: number): SignatureSchemeName {
  return (SignatureScheme.name(code) ?? `unknown ${code}`) as SignatureSchemeName;
}

const VERIFIABLE = [
  "ecdsa_secp256r1_sha256",
  "ed25519",
  "ecdsa_secp384r1_sha384",
  "ecdsa_secp521r1_sha512",
  "rsa_pss_rsae_sha256",
  "rsa_pss_rsae_sha384",
  "rsa_pss_rsae_sha512",
];

function verifiable(codes: readonly number[]): readonly SignatureSchemeName[] {
  const names = codes.map(schemeName).filter((name) => VERIFIABLE.includes(name));
  if (names.length === 0) throw new Unimplemented(`verify with ${codes.join()} alone`);
  return names;
}

/** The runner writes lists of protocols as the wire has them. */
export function prefixedStrings(text: string): string[] {
  const found: string[] = [];
  for (let rest = text; rest.length > 0; ) {
    const length = rest.charCodeAt(0);
    found.push(rest.slice(1, 1 + length));
    rest = rest.slice(1 + length);
  }
  return found;
}
