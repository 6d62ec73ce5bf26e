/** From the runner's settings to the library's options. */
import { concat, latin1 } from "../../src/bytes/bytes.ts";
import { toHex } from "../../src/bytes/hex.ts";
import { NamedGroup, type NamedGroupName, type SignatureSchemeName } from "../../src/codec/registry.ts";
import {
  type ClientOptions,
  type Observer,
  type ServerOptions,
  sealedTickets,
  strikeRegister,
} from "../../src/engine/index.ts";
import { fault, TlsError } from "../../src/errors.ts";
import type { CertificateCompression } from "../../src/handshake/compression.ts";
import type { ClientHelloInfo } from "../../src/handshake/config.ts";
import type { IdentityRequest } from "../../src/handshake/identity.ts";
import type { Session } from "../../src/handshake/session.ts";
import { acceptAnyVerifier, type CertificateVerifier } from "../../src/x509/verifier.ts";
import { identitiesOf, late, provider, psksOf, schemesOf, select } from "./credentials.ts";
import { type Settings, Unimplemented } from "./flags.ts";

const TLS_1_3 = 0x0304;
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

/** One connection: what the runner wants of it, and what callbacks learn on the way. */
export interface Scene {
  readonly settings: Settings;
  /** Counts as another connection: what follows rejected early data. */
  readonly retry: Settings;
  readonly memory: Memory;
  readonly isResumption: boolean;
  selectedCredential: number;
  peerVerifyPrefs: readonly number[] | undefined;
  authorities: readonly Uint8Array[] | undefined;
  advertisedAlpn: readonly string[] | undefined;
  verified: boolean;
  /** By their SSLKEYLOGFILE names. */
  readonly secrets: Map<string, Uint8Array>;
}

function common(scene: Scene) {
  const { settings, memory } = scene;
  if (settings.noTls13 || (settings.maxVersion ?? TLS_1_3) < TLS_1_3) throw new Unimplemented("-max-version");
  const observer: Observer = (seen) => {
    if (seen.kind === "secret") scene.secrets.set(seen.label, seen.secret.slice());
  };
  return {
    provider,
    // It stands still, so that ages are what the runner says they are.
    clock: () => STARTED + memory.clockOffset,
    verifier: verifierFor(scene),
    ...(settings.curves && { groups: settings.curves.map(groupName) }),
    signatureSchemes: verifiable(settings),
    ...(settings.maxSendFragment && { maxFragment: settings.maxSendFragment }),
    ...(settings.maxCertList && { maxHandshakeMessage: settings.maxCertList }),
    maxCertificates: 1000,
    // The original's servers ask for neither, and always send GREASE.
    requestStatus: settings.enableOcspStapling === true && !settings.server,
    requestScts: settings.enableSignedCertTimestamps === true && !settings.server,
    certificateCompression: compressionsOf(settings),
    grease: settings.enableGrease === true || settings.server === true,
    psks: psksOf(settings).map(({ psk }) => psk),
    ...(settings.exportTrafficSecrets && { observer }),
  };
}

export function clientOptions(scene: Scene): ClientOptions {
  const { settings, memory } = scene;
  const { hostName, advertiseAlpn } = settings;
  const identities = identitiesOf(settings);
  let { session } = memory;
  memory.session = undefined;
  return {
    ...common(scene),
    serverName: hostName,
    checkServerName: false,
    keyShares: keySharesOf(settings),
    alpn: advertiseAlpn === undefined ? [] : prefixedStrings(advertiseAlpn),
    identities: [],
    selectIdentity: ({ signatureSchemes, authorities }: IdentityRequest) =>
      late(settings, () => {
        Object.assign(scene, { peerVerifyPrefs: signatureSchemes, authorities });
        if (settings.failCertCallback) throw new Error("CERT_CB_ERROR");
        const found = select(identities, signatureSchemes, authorities);
        scene.selectedCredential = found?.index ?? -1;
        return found?.identity;
      }),
    sessions: {
      take: () => {
        const taken = settings.noTicket ? undefined : session;
        session = undefined;
        return late(settings, () => taken);
      },
      put: (_scope, kept) => {
        memory.session = kept;
      },
    },
    offerEarlyData: settings.enableEarlyData === true,
  };
}

export function serverOptions(scene: Scene): ServerOptions {
  const { settings, memory } = scene;
  const { tickets, antiReplay } = memory;
  const { selectAlpn, declineAlpn, rejectAlpn, useClientCaList } = settings;
  if (useClientCaList !== undefined && !useClientCaList.startsWith("<")) throw new Unimplemented("-use-client-ca-list");
  const identities = identitiesOf(settings);
  const keys = psksOf(settings);
  const store: typeof tickets = {
    ...tickets,
    issue: (...args) => (settings.skipTicket ? undefined : late(settings, () => tickets.issue(...args) as Uint8Array)),
    redeem: (...args) => late(settings, () => tickets.redeem(...args) as Uint8Array | undefined),
  };
  return {
    ...common(scene),
    identities: [],
    clientAuth: settings.requireAnyClientCertificate ? "on" : settings.verifyPeer ? "optional" : "off",
    ...(!settings.noTicket && { tickets: { store, count: 2 } }),
    ...(settings.enableEarlyData && { acceptEarlyData: { antiReplay, maxSize: 14_336, tolerance: 60 } }),
    onClientHello: (hello) =>
      late(settings, () => {
        Object.assign(scene, { advertisedAlpn: hello.alpn, peerVerifyPrefs: hello.signatureSchemes });
        failCallbacks(settings, hello);
        const alpn = rejectAlpn ? ["no such protocol"] : !selectAlpn || declineAlpn ? [] : [selectAlpn];
        // Whoever brings a key needs no certificate.
        const usable = keys.length > 0 && hello.signatureSchemes.length === 0 ? [] : identities;
        const found = select(usable, hello.signatureSchemes, certificateAuthorities(hello));
        scene.selectedCredential = found?.index ?? -1;
        return { identities: found === undefined ? [] : [found.identity], alpn };
      }),
  };
}

/** Fails where one of the original's several callbacks is to fail. */
function failCallbacks(settings: Settings, hello: ClientHelloInfo): void {
  if (settings.failEarlyCallback) {
    throw new TlsError("ERR_TLS_CALLBACK_FAILED", "CONNECTION_REJECTED", {
      alert: "handshake_failure",
      direction: "sent",
    });
  }
  const stapling = hello.raw.extensions?.some(({ name }) => name === "status_request");
  const failing = [
    [settings.failDdosCallback, "CONNECTION_REJECTED"],
    [settings.failCertCallback, "CERT_CB_ERROR"],
    [settings.failOcspCallback && settings.useOcspCallback && stapling, "OCSP_CB_ERROR"],
  ] as const;
  const found = failing.find(([fails]) => fails);
  if (found !== undefined) throw fault("ERR_TLS_CALLBACK_FAILED", found[1]);
}

function certificateAuthorities({ raw }: ClientHelloInfo): readonly Uint8Array[] {
  const found = raw.extensions?.find(({ name }) => name === "certificate_authorities");
  return (found?.value as readonly Uint8Array[] | undefined) ?? [];
}

/** Accepts every chain, or none. */
function verifierFor(scene: Scene): CertificateVerifier {
  const { memory } = scene;
  const any = acceptAnyVerifier();
  return {
    *verify(request) {
      // A second chain in one connection: the server did not take the session, nor the early data with it.
      const rejected = scene.verified && scene.settings.expectRejectEarlyData === true;
      const settings = rejected ? scene.retry : scene.settings;
      const { failOcspCallback, server, useOcspCallback, useCustomVerifyCallback } = settings;
      const name = toHex(request.certificates[0] as Uint8Array);
      // At a resumption the original looks again only when told to.
      const again = scene.isResumption && memory.seen.has(name) && !settings.reverifyOnResume && !rejected;
      memory.seen.add(name);
      scene.verified = true;
      const identity = yield* any.verify(request);
      if (settings.async) {
        yield { need: "promise", operation: "verify_certificate", promise: new Promise((r) => setImmediate(r)) };
      }
      if (failOcspCallback && !server && useOcspCallback) throw fault("ERR_TLS_STATUS_RESPONSE", "OCSP_CB_ERROR");
      const strict = settings.verifyPeer || settings.requireAnyClientCertificate || useCustomVerifyCallback;
      if (settings.verifyFail && strict && !again) {
        if (useCustomVerifyCallback) throw fault("CERT_REJECTED");
        // What the original's older kind of callback makes of a refusal.
        throw new TlsError("CERT_REJECTED", "-verify-fail", { alert: "handshake_failure", direction: "sent" });
      }
      return { ...identity, verified: !settings.verifyFail };
    },
  };
}

/** The runner's own algorithms: a prefix added, two zeros cut off, a random byte added. */
const COMPRESSIONS: readonly CertificateCompression[] = [
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

function compressionsOf(settings: Settings): readonly CertificateCompression[] {
  const one = settings.installOneCertCompressionAlg;
  return COMPRESSIONS.filter(({ algorithm }) => settings.installCertCompressionAlgs || algorithm === one);
}

/** Of the groups that the server is said to have, the one preferred here; else what is asked for. */
function keySharesOf(settings: Settings): readonly NamedGroupName[] | undefined {
  const { curves = [], keyShares, noKeyShares, serverSupportedGroupsHint = [] } = settings;
  const hinted = curves.find((code) => serverSupportedGroupsHint.includes(code));
  if (hinted !== undefined) return [groupName(hinted)];
  return noKeyShares ? [] : keyShares?.map(groupName);
}

function groupName(code: number): NamedGroupName {
  const name = NamedGroup.name(code) as NamedGroupName | undefined;
  if (name === undefined || !provider.groups.some((group) => group.name === name)) {
    throw new Unimplemented(`group 0x${code.toString(16)}`);
  }
  return name;
}

/** What the original accepts unless told otherwise, as far as it is for TLS 1.3. */
const DEFAULT_SCHEMES: readonly SignatureSchemeName[] = [
  "ecdsa_secp256r1_sha256",
  "rsa_pss_rsae_sha256",
  "ecdsa_secp384r1_sha384",
  "rsa_pss_rsae_sha384",
  "rsa_pss_rsae_sha512",
];

function verifiable({ verifyPrefs }: Settings): readonly SignatureSchemeName[] {
  if (verifyPrefs === undefined) return DEFAULT_SCHEMES;
  // In TLS 1.3 these may sign certificates only; where nothing else is asked for, the runner tries just that.
  const names = schemesOf(verifyPrefs).filter((name) => !/pkcs1|sha1$/.test(name));
  return names.length === 0 ? DEFAULT_SCHEMES : names;
}

/** The runner writes lists of protocols as the wire has them. */
function prefixedStrings(text: string): string[] {
  const bytes = Buffer.from(text);
  const found: string[] = [];
  for (let at = 0; at < bytes.length; at += 1 + (bytes[at] as number)) {
    found.push(latin1(bytes.subarray(at + 1, at + 1 + (bytes[at] as number))));
  }
  return found;
}
