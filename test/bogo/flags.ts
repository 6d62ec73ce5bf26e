/**
 * The runner's flags that this shim answers, and what each means to it. Any other makes it exit with 89, "unimplemented"
 * (ssl/test/PORTING.md of BoringSSL).
 */

/** How a flag's value is written. */
type Kind = "bool" | "int" | "string" | "base64" | "ints" | "credential";

/** One connection's settings; each has the flag's name in camel case. */
export interface Settings {
  port: number;
  shimId: bigint;
  ipv6?: boolean;
  server?: boolean;
  resumeCount?: number;
  async?: boolean;
  minVersion?: number;
  maxVersion?: number;
  expectVersion?: number;
  noTls13?: boolean;
  curves?: number[];
  keyShares?: number[];
  noKeyShares?: boolean;
  signingPrefs?: number[];
  verifyPrefs?: number[];
  expectPeerVerifyPref?: number[];
  certFile?: string;
  keyFile?: string;
  credentials: Credential[];
  expectSelectedCredential?: number;
  verifyPeer?: boolean;
  verifyFail?: boolean;
  useCustomVerifyCallback?: boolean;
  requireAnyClientCertificate?: boolean;
  expectNoPeerCert?: boolean;
  expectPeerCertFile?: string;
  expectVerifyResult?: boolean;
  expectPeerSignatureAlgorithm?: number;
  expectCurveId?: number;
  expectCipher?: number;
  expectHrr?: boolean;
  expectNoHrr?: boolean;
  hostName?: string;
  expectServerName?: string;
  expectNoServerName?: boolean;
  advertiseAlpn?: string;
  selectAlpn?: string;
  declineAlpn?: boolean;
  rejectAlpn?: boolean;
  expectAlpn?: string;
  expectAdvertisedAlpn?: string;
  shimWritesFirst?: boolean;
  shimInitialWrite?: string;
  repeatShimInitialWrite?: number;
  shimShutsDown?: boolean;
  checkCloseNotify?: boolean;
  implicitHandshake?: boolean;
  writeDifferentRecordSizes?: boolean;
  readWithUnfinishedWrite?: boolean;
  handshakeNeverDone?: boolean;
  maxSendFragment?: number;
  maxCertList?: number;
  keyUpdate?: boolean;
  keyUpdateBeforeRead?: boolean;
  exportKeyingMaterial?: number;
  exportLabel?: string;
  exportContext?: string;
  useExportContext?: boolean;
  useEarlyCallback?: boolean;
  failEarlyCallback?: boolean;
  installDdosCallback?: boolean;
  failDdosCallback?: boolean;
  failCertCallback?: boolean;
  noTicket?: boolean;
  expectNoSession?: boolean;
  expectSessionMiss?: boolean;
  expectTicketRenewal?: boolean;
  expectTicketSupportsEarlyData?: boolean;
  resumptionDelay?: number;
  useTicketCallback?: boolean;
  useTicketAeadCallback?: boolean;
  skipTicket?: boolean;
  enableEarlyData?: boolean;
  expectAcceptEarlyData?: boolean;
  expectRejectEarlyData?: boolean;
  expectNoOfferEarlyData?: boolean;
  expectEarlyDataReason?: string;
  enableOcspStapling?: boolean;
  ocspResponse?: Uint8Array;
  expectOcspResponse?: Uint8Array;
  useOcspCallback?: boolean;
  setOcspInCallback?: boolean;
  declineOcspCallback?: boolean;
  failOcspCallback?: boolean;
  enableSignedCertTimestamps?: boolean;
  signedCertTimestamps?: Uint8Array;
  expectSignedCertTimestamps?: Uint8Array;
  installCertCompressionAlgs?: boolean;
  installOneCertCompressionAlg?: number;
  enableGrease?: boolean;
  expectMsgCallback?: string;
  reverifyOnResume?: boolean;
  expectTicketAgeSkew?: number;
  useClientCaList?: string;
  expectClientCaList?: string;
  [other: string]: unknown;
}

/** One `-new-x509-credential` or `-new-psk-credential` and the flags that follow it. */
export interface Credential {
  readonly type: "x509" | "psk";
  certFile?: string;
  keyFile?: string;
  signingPrefs?: number[];
  mustMatchIssuer?: boolean;
  ocspResponse?: Uint8Array;
  signedCertTimestamps?: Uint8Array;
  pskImporterKey?: Uint8Array;
  pskImporterIdentity?: Uint8Array;
  pskImporterContext?: Uint8Array;
  pskImporterSha256?: boolean;
  pskImporterSha384?: boolean;
  [other: string]: unknown;
}

const FLAGS: Readonly<Record<string, Kind>> = {
  port: "int",
  "shim-id": "string",
  ipv6: "bool",
  server: "bool",
  "resume-count": "int",
  async: "bool",
  "min-version": "int",
  "max-version": "int",
  "expect-version": "int",
  "no-tls13": "bool",
  curves: "ints",
  "key-shares": "ints",
  "no-key-shares": "bool",
  "signing-prefs": "ints",
  "verify-prefs": "ints",
  "expect-peer-verify-pref": "ints",
  "cert-file": "string",
  "key-file": "string",
  "new-x509-credential": "credential",
  "new-psk-credential": "credential",
  "must-match-issuer": "bool",
  "psk-importer-key": "base64",
  "psk-importer-identity": "base64",
  "psk-importer-context": "base64",
  "psk-importer-sha256": "bool",
  "psk-importer-sha384": "bool",
  "expect-selected-credential": "int",
  "verify-peer": "bool",
  "verify-fail": "bool",
  "use-custom-verify-callback": "bool",
  "require-any-client-certificate": "bool",
  "expect-no-peer-cert": "bool",
  "expect-peer-cert-file": "string",
  "expect-verify-result": "bool",
  "expect-peer-signature-algorithm": "int",
  "expect-curve-id": "int",
  "expect-cipher": "int",
  "expect-hrr": "bool",
  "expect-no-hrr": "bool",
  "host-name": "string",
  "expect-server-name": "string",
  "expect-no-server-name": "bool",
  "advertise-alpn": "string",
  "select-alpn": "string",
  "decline-alpn": "bool",
  "reject-alpn": "bool",
  "expect-alpn": "string",
  "expect-advertised-alpn": "string",
  "shim-writes-first": "bool",
  "shim-initial-write": "string",
  "repeat-shim-initial-write": "int",
  "shim-shuts-down": "bool",
  "check-close-notify": "bool",
  "implicit-handshake": "bool",
  "write-different-record-sizes": "bool",
  "read-with-unfinished-write": "bool",
  "handshake-never-done": "bool",
  "max-send-fragment": "int",
  "max-cert-list": "int",
  "key-update": "bool",
  "key-update-before-read": "bool",
  "export-keying-material": "int",
  "export-label": "string",
  "export-context": "string",
  "use-export-context": "bool",
  "use-early-callback": "bool",
  "fail-early-callback": "bool",
  "install-ddos-callback": "bool",
  "fail-ddos-callback": "bool",
  "fail-cert-callback": "bool",
  "no-ticket": "bool",
  "expect-no-session": "bool",
  "expect-session-miss": "bool",
  "expect-ticket-renewal": "bool",
  "expect-ticket-supports-early-data": "bool",
  "resumption-delay": "int",
  "use-ticket-callback": "bool",
  "use-ticket-aead-callback": "bool",
  "skip-ticket": "bool",
  "enable-early-data": "bool",
  "expect-accept-early-data": "bool",
  "expect-reject-early-data": "bool",
  "expect-no-offer-early-data": "bool",
  "expect-early-data-reason": "string",
  "enable-ocsp-stapling": "bool",
  "ocsp-response": "base64",
  "expect-ocsp-response": "base64",
  "use-ocsp-callback": "bool",
  "set-ocsp-in-callback": "bool",
  "decline-ocsp-callback": "bool",
  "fail-ocsp-callback": "bool",
  "enable-signed-cert-timestamps": "bool",
  "signed-cert-timestamps": "base64",
  "expect-signed-cert-timestamps": "base64",
  "install-cert-compression-algs": "bool",
  "install-one-cert-compression-alg": "int",
  "enable-grease": "bool",
  "expect-msg-callback": "string",
  "reverify-on-resume": "bool",
  "expect-ticket-age-skew": "int",
  "use-client-ca-list": "string",
  "expect-client-ca-list": "string",
};

/** Those that ask for nothing here, each with the reason. */
const IMMATERIAL: Readonly<Record<string, { kind: Kind; because: string }>> = {
  "trust-cert": { kind: "string", because: "chains are judged as -verify-fail says, whoever issued them" },
  "use-old-client-cert-callback": { kind: "bool", because: "there is one way to choose a certificate" },
  "renegotiate-freely": { kind: "bool", because: "TLS 1.3 has no renegotiation" },
  "renegotiate-ignore": { kind: "bool", because: "TLS 1.3 has no renegotiation" },
  "renegotiate-once": { kind: "bool", because: "TLS 1.3 has no renegotiation" },
  "false-start": { kind: "bool", because: "TLS 1.3 has no False Start" },
  "no-legacy-server-connect": { kind: "bool", because: "TLS 1.3 has no renegotiation" },
  "expect-no-session-id": { kind: "bool", because: "TLS 1.3 has no session IDs to cache" },
  "partial-write": { kind: "bool", because: "the engine says how much it takes" },
  "no-op-extra-handshake": { kind: "bool", because: "there is no call that could do nothing" },
  "handshake-twice": { kind: "bool", because: "there is no call that could do nothing" },
  "read-size": { kind: "int", because: "plaintext comes as it is" },
  "peek-then-read": { kind: "bool", because: "plaintext is handed over once" },
  "no-tls12": { kind: "bool", because: "TLS 1.3 is the only version" },
  "no-tls11": { kind: "bool", because: "TLS 1.3 is the only version" },
  "no-tls1": { kind: "bool", because: "TLS 1.3 is the only version" },
  "expect-extended-master-secret": { kind: "bool", because: "TLS 1.3 always binds the handshake" },
  "server-preference": { kind: "bool", because: "the server's preference always counts" },
};

/** Thrown for what this shim does not do. */
export class Unimplemented extends Error {}

/** The settings of the first connection, of resumptions, and of a client's second try after rejected early data. */
export function parseFlags(argv: readonly string[]): { initial: Settings; resume: Settings; retry: Settings } {
  const all = [0, 1, 2].map((): Settings => ({ port: 0, shimId: 0n, credentials: [] }));
  const [initial, resume, retry] = all as [Settings, Settings, Settings];
  for (let index = 0; index < argv.length; index++) {
    let name = (argv[index] as string).slice(1);
    if (name.startsWith("on-handshaker-")) throw new Unimplemented(name);
    if (name.startsWith("on-shim-")) name = name.slice("on-shim-".length);
    const scope = /^on-(initial|resume|retry)-/.exec(name);
    if (scope !== null) name = name.slice(scope[0].length);
    const kind = FLAGS[name] ?? IMMATERIAL[name]?.kind;
    if (kind === undefined) throw new Unimplemented(argv[index]);
    const text = kind === "bool" || kind === "credential" ? "" : (argv[++index] as string);
    if (IMMATERIAL[name] !== undefined) continue;
    const targets = scope === null ? all : [{ initial, resume, retry }[scope[1] as "initial"]];
    for (const target of targets) assign(target, name, kind, text);
  }
  return { initial, resume, retry };
}

const PER_CREDENTIAL: readonly string[] = [
  "cert-file",
  "key-file",
  "signing-prefs",
  "must-match-issuer",
  "ocsp-response",
  "signed-cert-timestamps",
  "psk-importer-key",
  "psk-importer-identity",
  "psk-importer-context",
  "psk-importer-sha256",
  "psk-importer-sha384",
];

function assign(settings: Settings, name: string, kind: Kind, text: string): void {
  if (kind === "credential") {
    settings.credentials.push({ type: name === "new-psk-credential" ? "psk" : "x509" });
    return;
  }
  const last = settings.credentials.at(-1);
  const target: Record<string, unknown> = last !== undefined && PER_CREDENTIAL.includes(name) ? last : settings;
  const key = name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
  switch (kind) {
    case "bool":
      target[key] = true;
      break;
    case "int":
      target[key] = Number(text);
      break;
    case "string":
      target[key] = name === "shim-id" ? BigInt(text) : text;
      break;
    case "base64":
      target[key] = new Uint8Array(Buffer.from(text, "base64"));
      break;
    case "ints":
      target[key] = [...((target[key] as number[] | undefined) ?? []), Number(text)];
      break;
  }
}
