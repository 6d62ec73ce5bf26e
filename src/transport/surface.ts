/** What every entry point exports besides its own `connect` and `accept`. */
export { parsePrivateKey } from "../crypto/keys.ts";
export type { CryptoProvider, Signer } from "../crypto/provider.ts";
export type {
  ClientChanges,
  ClientContext,
  EarlyDataOptions,
  EngineContext,
  EngineEvent,
  IdentityOptions,
  Observation,
  Observer,
  PskOptions,
  Recheck,
  ReplaceableContext,
  ServerChanges,
  ServerContext,
  TicketOptions,
  VerdictLimit,
} from "../engine/index.ts";
export { padTo } from "../engine/padding.ts";
export {
  type SealedCookiesOptions,
  type SealedTickets,
  type SealedTicketsOptions,
  type SessionCache,
  type SessionCacheOptions,
  type StrikeRegisterOptions,
  sealedCookies,
  sealedTickets,
  sessionCache,
  storedTickets,
  strikeRegister,
  type TicketStorage,
} from "../engine/resumption.ts";
export {
  type AlertName,
  type CertificateRejection,
  type RejectedPath,
  type Side,
  TlsError,
  type TlsErrorCode,
} from "../errors.ts";
export type { Awaitable } from "../flow.ts";
export type { CertificateCompression } from "../handshake/compression.ts";
export type { ClientAuth, ClientHelloInfo, Negotiated } from "../handshake/config.ts";
export type { CookieProtector } from "../handshake/cookie.ts";
export type { Identity, IdentityRequest } from "../handshake/identity.ts";
export { decodeSession, encodeSession, type Session } from "../handshake/session.ts";
export type { AntiReplay, TicketStore } from "../handshake/tickets.ts";
export type { Certificate } from "../x509/certificate.ts";
export type { PeerIdentity, PeerNames } from "../x509/identity.ts";
export { parseCertificate } from "../x509/parse.ts";
export { type PinMismatch, type PinOptions, pinnedVerifier, pinOf } from "../x509/pins.ts";
export { type ReplaceableVerifier, replaceableVerifier } from "../x509/replaceable.ts";
export {
  type CrlSource,
  type RevocationChecker,
  type RevocationFetch,
  type RevocationOptions,
  revocationChecker,
} from "../x509/revocation.ts";
export { type TrustSource, TrustStore, trustStore } from "../x509/trust.ts";
export {
  acceptAnyVerifier,
  type CertificateVerifier,
  type TrustVerifierOptions,
  trustVerifier,
  type VerifyRequest,
} from "../x509/verifier.ts";
export { webZlibCompression } from "./compression.ts";
export { type BufferConnection, connectionStream } from "./connection.ts";
export type { AcceptOptions, ClientConfiguration, ConnectOptions, ServerConfiguration } from "./establish.ts";
export { type MemoryPairOptions, memoryPair } from "./memory.ts";
export { type RelayOptions, type StreamConnector, viaRelay } from "./relay.ts";
export { RELAY_PROTOCOL } from "./relay-protocol.ts";
export { type Presenter, type Renewal, type RenewalEvent, type RenewalOptions, renewal } from "./renewal.ts";
export type { ClientSessionOptions, SessionEvent, SessionFacts, SessionOptions, TlsSession } from "./session.ts";
export type { ByteStream } from "./stream.ts";
export { type Timers, timeLimit } from "./timers.ts";
export {
  type WebSocketConstructor,
  WebSocketError,
  type WebSocketLike,
  type WebSocketStreamOptions,
  webSocketStream,
} from "./web-socket.ts";
