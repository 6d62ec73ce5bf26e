/**
 * Every member that @types/node declares for node:tls, by interface: `true` where it works here, or why it is refused.
 * One table for the code that refuses, for the test that holds it against the declarations, and for readers.
 */
import { fault, type TlsError } from "../../errors.ts";

/** `true`: supported. Otherwise the reason for which it is refused. */
export type Support = true | string;

const STORED = "tickets carry the sessions; servers that share them share `ticketKeys`";
const ENGINES = "OpenSSL engines are not there; a key may be any object with `schemes` and `sign`";
const DH = "in TLS 1.3 finite-field groups have names (RFC 7919): ffdhe2048 and the like in ecdhCurve";
const TRACE = "OpenSSL's trace is not there; mutls/inspect shows every byte";

/**
 * What becomes of each member of node:tls: `true` where it is supported, or why it is refused. Names as @types/node has
 * them, by interface; events as `on <event>`.
 *
 * @example
 * ```ts
 * console.log(MEMBERS.ConnectionOptions.servername); // true
 * console.log(MEMBERS.SecureContextOptions.clientCertEngine); // OpenSSL engines are not there; a key may be any object with `schemes` and `sign`
 * ```
 */
export const MEMBERS = {
  tls: {
    CLIENT_RENEG_LIMIT: true,
    CLIENT_RENEG_WINDOW: true,
    DEFAULT_CIPHERS: true,
    DEFAULT_ECDH_CURVE: true,
    DEFAULT_MAX_VERSION: true,
    DEFAULT_MIN_VERSION: true,
    Server: true,
    TLSSocket: true,
    checkServerIdentity: true,
    connect: true,
    createSecureContext: true,
    createSecurePair: "deprecated in node:tls for long; use TLSSocket over a Duplex",
    createServer: true,
    getCiphers: true,
    rootCertificates: true,
  },
  SecureContextOptions: {
    ALPNCallback: true,
    allowPartialTrustChain: true,
    ca: true,
    cert: true,
    ciphers: true,
    clientCertEngine: ENGINES,
    crl: true,
    dhparam: DH,
    ecdhCurve: true,
    honorCipherOrder: true,
    key: true,
    maxVersion: true,
    minVersion: true,
    passphrase: true,
    pfx: true,
    privateKeyEngine: ENGINES,
    privateKeyIdentifier: ENGINES,
    secureOptions: true,
    secureProtocol: true,
    sessionIdContext: true,
    sessionTimeout: true,
    sigalgs: true,
    ticketKeys: true,
  },
  CommonConnectionOptions: {
    ALPNProtocols: true,
    SNICallback: true,
    enableTrace: TRACE,
    rejectUnauthorized: true,
    requestCert: true,
    secureContext: true,
  },
  TLSSocketOptions: {
    isServer: true,
    requestOCSP: true,
    server: true,
    session: true,
  },
  ConnectionOptions: {
    checkServerIdentity: true,
    host: true,
    lookup: true,
    minDHSize: true,
    path: true,
    port: true,
    pskCallback: true,
    servername: true,
    session: true,
    socket: true,
    timeout: true,
  },
  TlsOptions: {
    handshakeTimeout: true,
    pskCallback: true,
    /** Without effect, as in node:tls over TLS 1.3, which has no hints. */
    pskIdentityHint: true,
    sessionTimeout: true,
    ticketKeys: true,
  },
  ServerOpts: {
    allowHalfOpen: true,
    highWaterMark: true,
    keepAlive: true,
    keepAliveInitialDelay: true,
    noDelay: true,
    pauseOnConnect: true,
  },
  TLSSocket: {
    alpnProtocol: true,
    authorizationError: true,
    authorized: true,
    disableRenegotiation: true,
    enableTrace: TRACE,
    encrypted: true,
    exportKeyingMaterial: true,
    getCertificate: true,
    getCipher: true,
    getEphemeralKeyInfo: true,
    getFinished: true,
    getPeerCertificate: true,
    getPeerFinished: true,
    getPeerX509Certificate: true,
    getProtocol: true,
    /** That of the last ticket; `undefined` before one has come. */
    getSession: true,
    getSharedSigalgs: true,
    getTLSTicket: true,
    getX509Certificate: true,
    isSessionReused: true,
    /** As in node:tls over TLS 1.3, which has no renegotiation: it fails. */
    renegotiate: true,
    servername: true,
    setKeyCert: true,
    setMaxSendFragment: true,
    "on OCSPResponse": true,
    "on keylog": true,
    "on secureConnect": true,
    "on session": true,
  },
  Server: {
    addContext: true,
    getTicketKeys: true,
    setSecureContext: true,
    setTicketKeys: true,
    "on OCSPRequest": true,
    "on keylog": true,
    "on newSession": STORED,
    "on resumeSession": STORED,
    "on secureConnection": true,
    "on tlsClientError": true,
  },
} as const satisfies Record<string, Record<string, Support>>;

/** What @types/node leaves out and node:tls reads. */
const UNDECLARED: Readonly<Record<string, Support>> = {
  onread: "the `onread` buffer is not there; read the socket as a stream",
};

const REFUSED = {
  context: refusals(MEMBERS.SecureContextOptions),
  socket: refusals(MEMBERS.SecureContextOptions, MEMBERS.CommonConnectionOptions, MEMBERS.TLSSocketOptions, UNDECLARED),
  connect: refusals(
    MEMBERS.SecureContextOptions,
    MEMBERS.CommonConnectionOptions,
    MEMBERS.ConnectionOptions,
    UNDECLARED,
  ),
  server: refusals(MEMBERS.SecureContextOptions, MEMBERS.CommonConnectionOptions, MEMBERS.TlsOptions, UNDECLARED),
} as const;

/**
 * Refuses options that would have an effect in node:tls and have none here. Options that nobody knows are ignored, as in
 * node:tls: http and net pass theirs along.
 *
 * @throws TlsError `ERR_TLS_OPTION` naming the option.
 */
export function refuseOptions(kind: keyof typeof REFUSED, options: object): void {
  for (const [name, reason] of REFUSED[kind]) {
    const value = (options as Readonly<Record<string, unknown>>)[name];
    if (value !== undefined && value !== null && value !== false) throw refused(name, reason);
  }
}

/** The error for a member that is refused. */
export function refusedMember<K extends "TLSSocket" | "Server">(kind: K, name: keyof (typeof MEMBERS)[K]): TlsError {
  return refused(`${kind}.${String(name)}`, String(MEMBERS[kind][name]));
}

/** Refuses listeners for events that can never come. */
export function refuseListener(kind: "TLSSocket" | "Server", event: string | symbol): void {
  const support = (MEMBERS[kind] as Readonly<Record<string, Support>>)[`on ${String(event)}`];
  if (typeof support === "string") throw refused(`event "${String(event)}"`, support);
}

function refused(name: string, reason: string): TlsError {
  return fault("ERR_TLS_OPTION", `${name}: ${reason}`);
}

function refusals(...groups: Readonly<Record<string, Support>>[]): readonly (readonly [string, string])[] {
  return groups
    .flatMap((group) => Object.entries(group))
    .filter((entry): entry is [string, string] => typeof entry[1] === "string");
}
