/** From the runner's settings to the library's options. */
import { readFileSync } from "node:fs";
import { equal, utf8 } from "../../src/bytes/bytes.ts";
import {
  NamedGroup,
  type NamedGroupName,
  SignatureScheme,
  type SignatureSchemeName,
} from "../../src/codec/registry.ts";
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
    verifier: verifierFor(settings, findings),
    ...(groups && { groups }),
    ...(settings.verifyPrefs && { signatureSchemes: verifiable(settings.verifyPrefs) }),
    ...(settings.maxSendFragment && { maxFragment: settings.maxSendFragment }),
    ...(settings.maxCertList && { maxHandshakeMessage: settings.maxCertList }),
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
        const alpn = rejectAlpn ? ["no such protocol"] : !selectAlpn || declineAlpn ? [] : [selectAlpn];
        const authorities = find47(hello);
        const chosen = select(identities, hello.signatureSchemes, authorities, findings);
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
function verifierFor(settings: Settings, findings: Findings): CertificateVerifier {
  const any = acceptAnyVerifier();
  return {
    *verify(request) {
      findings.verified = true;
      const identity = yield* any.verify(request);
      if (settings.async) {
        yield { need: "promise", operation: "verify_certificate", promise: new Promise((r) => setImmediate(r)) };
      }
      if (settings.verifyFail) throw settings.useCustomVerifyCallback ? fault("CERT_REJECTED") : REFUSAL();
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
  const { certFile, keyFile, signingPrefs } = settings;
  if (certFile !== undefined && keyFile !== undefined) {
    const identity = identityOf(settings, { type: "x509", certFile, keyFile, ...(signingPrefs && { signingPrefs }) });
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
): Identity | undefined {
  const found = details.find(
    ({ identity, mustMatchIssuer }) =>
      signsFor(identity, schemes) &&
      (!mustMatchIssuer || identity.parsed.some(({ issuer }) => authorities.some((name) => equal(name, issuer.der)))),
  );
  if (found === undefined && details.length > 0) {
    const fitting = details.some(({ identity }) => signsFor(identity, schemes));
    throw fault("ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM", fitting ? "NO_MATCHING_ISSUER" : undefined);
  }
  if (found !== undefined) findings.selectedCredential = found.index;
  return found?.identity;
}

function signsFor({ schemes }: Identity, accepted: readonly number[]): boolean {
  return schemes.some((scheme) => accepted.includes(SignatureScheme.codes[scheme]));
}

function identityOf(settings: Settings, { certFile, keyFile, signingPrefs }: Credential): Identity {
  const [cert, key] = [certFile, keyFile].map((file) => readFileSync(file as string, "utf8")) as [string, string];
  const identity = resolveIdentity({ cert, key }, provider as CryptoProvider);
  const schemes = signingPrefs?.map(schemeName).filter((name) => identity.schemes.includes(name)) ?? identity.schemes;
  const signer: Signer = {
    schemes,
    sign: (scheme, message) => late(settings, () => identity.signer.sign(scheme, message) as Uint8Array),
  };
  return { ...identity, schemes, signer };
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
