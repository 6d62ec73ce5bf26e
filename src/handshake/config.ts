/** What a handshake is run with: every choice made, nothing optional that has a default. The engine resolves options to this. */
import type { Extension, ExtensionContext } from "../codec/extensions.ts";
import type { ClientHello } from "../codec/messages.ts";
import type { CipherSuiteName, NamedGroupName, SignatureSchemeName } from "../codec/registry.ts";
import type { CipherSuite, CryptoProvider, Group } from "../crypto/provider.ts";
import type { Awaitable, Flow } from "../flow.ts";
import type { Transcript } from "../schedule/transcript.ts";
import type { PeerIdentity } from "../x509/identity.ts";
import type { CertificateVerifier } from "../x509/verifier.ts";
import type { OfferedKeys } from "./client-psk.ts";
import type { CertificateCompressions } from "./compression.ts";
import type { CookieProtector } from "./cookie.ts";
import type { greasedHello } from "./grease.ts";
import type { Identity, IdentityRequest, OidFilter } from "./identity.ts";
import type { ExternalPsk, PskKind, PskMode } from "./psk.ts";
import type { ClientLimits } from "./record-limits.ts";
import type { Session } from "./session.ts";
import type { Sources } from "./sources.ts";
import type { EarlyDataPolicy, TicketPolicy } from "./tickets.ts";

/** What both roles need. */
export interface CommonConfig {
  readonly provider: CryptoProvider;
  readonly sources: Sources;
  /** ms since the epoch. */
  readonly now: () => number;
  /** In order of preference. */
  readonly suites: readonly CipherSuite[];
  /** In order of preference. */
  readonly groups: readonly Group[];
  /** Accepted in CertificateVerify, in order of preference. */
  readonly signatureSchemes: readonly SignatureSchemeName[];
  /** Accepted in certificates: codes, since PKCS#1 v1.5 is allowed there. */
  readonly certificateSignatureSchemes: readonly number[];
  /** In order of preference; empty: no ALPN. */
  readonly alpn: readonly string[];
  readonly verifier: CertificateVerifier;
  /** Asks for stapled OCSP responses. */
  readonly requestStatus: boolean;
  /** Asks for SignedCertificateTimestamps. */
  readonly requestScts: boolean;
  /** RFC 8879; `undefined`: none. */
  readonly compression: CertificateCompressions | undefined;
  /** Longest chain accepted from the peer, in certificates. */
  readonly maxCertificates: number;
  /** May refuse an authenticated peer (`false`: access_denied), or throw a TlsError of its own. */
  readonly authorize: ((peer: PeerIdentity | undefined, facts: Negotiated) => Awaitable<boolean>) | undefined;
  /**
   * Replaces the extensions of one message before it is encoded. Only the replay of recorded handshakes has a use for
   * it; no public option leads here.
   */
  readonly arrange:
    | (<M extends ExtensionContext>(context: M, block: readonly Extension<M>[]) => readonly Extension<M>[])
    | undefined;
}

/** A client's handshake. */
export interface ClientConfig extends CommonConfig {
  /** Host name or IP address; sent as SNI when it is a host name. */
  readonly serverName: string | undefined;
  /** False: the certificate need not name the server; the caller has said so. */
  readonly checkName: boolean;
  /** The groups of the first key_share; a subset of `groups` in the same order. */
  readonly keyShareGroups: readonly NamedGroupName[];
  /** RFC 8446 D.4 */
  readonly compatibilityMode: boolean;
  readonly identities: readonly Identity[];
  /** DER distinguished names for certificate_authorities; empty: not sent. */
  readonly authorities: readonly Uint8Array[];
  /** Chooses in place of the built-in rules. */
  readonly selectIdentity: ((request: IdentityRequest) => Awaitable<Identity | undefined>) | undefined;
  /** Sends the first usable identity even where the server's CA names and filters match none. */
  readonly ignoreRequestHints: boolean;
  /** Resumption, external keys and early data. */
  readonly preSharedKeys: ClientKeys | undefined;
  /** The external key that a connection stands on must be in use still. */
  readonly assertKey: ((config: ClientConfig, key: ExternalKey) => void) | undefined;
  /** Offers to answer requests after the handshake (RFC 8446 4.6.2). */
  readonly postHandshakeAuth: boolean;
  readonly recordLimits: ClientLimits | undefined;
  /** Sends values that peers must ignore, RFC 8701. */
  readonly grease: typeof greasedHello | undefined;
}

/** A client's pre-shared keys, and what is done with them. */
export interface ClientKeys {
  /** External keys, offered in this order behind a session's. */
  readonly psks: readonly ExternalPsk[];
  /** Where sessions for this very configuration are kept. */
  readonly sessions: ClientSessions | undefined;
  /** In order of preference (RFC 8446 4.2.9). */
  readonly pskModes: readonly PskMode[];
  /** An external key and certificates together or nothing, RFC 8773. */
  readonly pskWithCertificates: boolean;
  /** Early data may be sent where a session allows it. */
  readonly earlyData: boolean;
  /** Begins a handshake with them. */
  offer(config: ClientConfig): Flow<OfferedKeys>;
}

/** A client's sessions under one configuration. */
export interface ClientSessions {
  /** One that is used up by taking it, RFC 8446 C.4. */
  take(): Awaitable<Session | undefined>;
  put(session: Session): Awaitable<void>;
}

/** nginx's words for what a server does about client certificates. */
export type ClientAuth = "off" | "optional" | "optional_no_ca" | "on";

/** The part of a server's configuration that a ClientHello callback may replace. */
export interface ServerChoice {
  readonly identities: readonly Identity[];
  readonly clientAuth: ClientAuth;
  readonly verifier: CertificateVerifier;
  readonly alpn: readonly string[];
  /** DER distinguished names for certificate_authorities; empty: not sent. */
  readonly authorities: readonly Uint8Array[];
}

/** A server's handshake. */
export interface ServerConfig extends CommonConfig, ServerChoice {
  /** Refuses names that no identity carries (unrecognized_name) in place of falling back to the first identity. */
  readonly strictServerName: boolean;
  /** RFC 8446 4.2.5; empty: not sent. */
  readonly oidFilters: readonly OidFilter[];
  /** Asks for certificates after the handshake (RFC 8446 4.6.2). */
  readonly postHandshakeAuth: boolean;
  /** Longest TLSInnerPlaintext taken from clients that ask, in bytes (RFC 8449). */
  readonly recordSizeLimit: number | undefined;
  /** Sends values that peers must ignore, RFC 8701. */
  readonly grease: boolean;
  /** In order of preference; what is accepted (RFC 8446 4.2.9). */
  readonly pskModes: readonly PskMode[];
  /** Shows certificates beside an external key to clients that ask for both, RFC 8773. */
  readonly pskWithCertificates: boolean;
  /** The external key of this name. */
  readonly findPsk: ((identity: Uint8Array) => Awaitable<ExternalPsk | undefined>) | undefined;
  readonly tickets: TicketPolicy | undefined;
  readonly earlyData: EarlyDataPolicy | undefined;
  /** Every handshake is retried, with its state in a cookie. */
  readonly cookies: CookieProtector | undefined;
  readonly onClientHello: ((hello: ClientHelloInfo) => Awaitable<Partial<ServerChoice> | undefined>) | undefined;
}

/** What a ClientHello callback sees. */
export interface ClientHelloInfo {
  readonly serverName: string | undefined;
  readonly alpn: readonly string[];
  readonly signatureSchemes: readonly number[];
  readonly cipherSuites: readonly number[];
  readonly groups: readonly number[];
  readonly raw: ClientHello;
}

/** What both sides agreed on, whoever they are. */
export interface Negotiated {
  readonly cipherSuite: CipherSuiteName;
  /** `undefined` where a pre-shared key was used without a key exchange. */
  readonly group: NamedGroupName | undefined;
  readonly alpn: string | undefined;
  readonly serverName: string | undefined;
  /** A HelloRetryRequest was needed. */
  readonly retried: boolean;
  /** The pre-shared key that authenticates both sides in place of certificates. */
  readonly psk: { readonly kind: PskKind; readonly identity: Uint8Array } | undefined;
}

/** The outcome of a handshake. */
export interface HandshakeResult extends Negotiated {
  readonly clientRandom: Uint8Array;
  /**
   * Under which generation of whom to trust the peer was last judged; of the context, unless a ClientHello callback has
   * chosen another verifier.
   */
  readonly generation: number;
  /** The peer, verified; `undefined` where it presented no certificate. */
  readonly peer: PeerIdentity | undefined;
  /** The peer's chain as received, DER. */
  readonly peerCertificates: readonly Uint8Array[];
  readonly peerSignatureScheme: SignatureSchemeName | undefined;
  /** What the peer stapled, DER OCSPResponse: as received. */
  readonly peerOcspResponse: Uint8Array | undefined;
  /** The peer's SignedCertificateTimestamps, RFC 6962 3.2: as received. */
  readonly peerScts: readonly Uint8Array[];
  /** The identity this side presented. */
  readonly identity: Identity | undefined;
  readonly signatureScheme: SignatureSchemeName | undefined;
  /** The server asked for a client certificate. */
  readonly clientAuthRequested: boolean;
  /** The connection goes on from an earlier one: the peer has shown its certificate there. */
  readonly resumed: boolean;
  /**
   * Tickets are of use: a client keeps sessions, or has offered a mode that this server would resume in (RFC 8446 4.2.9).
   */
  readonly resumable: boolean;
  /** The external key's name that this connection stands on, or the one that it goes on from. */
  readonly externalIdentity: Uint8Array | undefined;
  /** And which key had that name then. */
  readonly externalFingerprint: Uint8Array | undefined;
  /** When the peer proved who it is with its certificate's key, ms since the epoch; on resumption long ago. */
  readonly authenticatedAt: number;
  /** What became of early data; `undefined` when there was to be none. */
  readonly earlyData: "accepted" | "rejected" | undefined;
  readonly exporterSecret: Uint8Array;
  readonly resumptionSecret: Uint8Array;
  /** What authentication after the handshake goes on from; `undefined` where there can be none. */
  readonly afterwards: Afterwards | undefined;
  /** The server's, for this client. */
  readonly choice: ServerChoice | undefined;
}

/** RFC 8446 4.4: a request after the handshake is answered in its context. */
export interface Afterwards {
  /** ClientHello…client Finished; to be cloned. */
  readonly transcript: Transcript;
}

/** The external key that a connection stands on, if it does. */
export type ExternalKey = Pick<HandshakeResult, "externalIdentity" | "externalFingerprint">;

/** What is known of a peer from its certificate. */
export type PeerFacts = Pick<
  HandshakeResult,
  "generation" | "peer" | "peerCertificates" | "peerSignatureScheme" | "peerOcspResponse" | "peerScts"
>;

/** A peer that showed no certificate. */
export const NOBODY: PeerFacts = {
  generation: 0,
  peer: undefined,
  peerCertificates: [],
  peerSignatureScheme: undefined,
  peerOcspResponse: undefined,
  peerScts: [],
};

/** What a verdict rests on: rises with every replacement, in the configuration and in the verifier that a callback chose. */
export function generationOf(config: CommonConfig, verifier: CertificateVerifier): number {
  const own = config.verifier.generation ?? 0;
  return verifier === config.verifier ? own : own + (verifier.generation ?? 0);
}
