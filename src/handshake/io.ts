/** How a handshake flow touches the world: it asks for messages, and it emits effects. It never sees a record. */
import type { HandshakeMessage } from "../codec/messages.ts";
import type { CipherSuite, Hash } from "../crypto/provider.ts";
import { type CauseCode, fault, TlsError } from "../errors.ts";
import { type Awaitable, type Flow, type HandshakeName, type Operation, type StateName, wait } from "../flow.ts";
import type { PeerFacts } from "./config.ts";

/** Which keys protect a record. */
export type Epoch = "initial" | "early" | "handshake" | "application";

/** Names of secrets as SSLKEYLOGFILE spells them, RFC 9850 2.1. */
export type SecretLabel =
  | "CLIENT_EARLY_TRAFFIC_SECRET"
  | "EARLY_EXPORTER_SECRET"
  | "CLIENT_HANDSHAKE_TRAFFIC_SECRET"
  | "SERVER_HANDSHAKE_TRAFFIC_SECRET"
  | "CLIENT_TRAFFIC_SECRET_0"
  | "SERVER_TRAFFIC_SECRET_0"
  | "EXPORTER_SECRET";

/** Something to tell the application that does not end the handshake. */
export type HandshakeEvent = {
  /** No identity matches what the server asked for; with `sent`, one was sent anyway. RFC 8446 4.4.2.3. */
  readonly type: "identity_mismatch";
  readonly reason: "signature_algorithms" | "certificate_authorities" | "oid_filters";
  readonly sent: boolean;
  /** The server's certificate_authorities, RFC 4514 strings. */
  readonly authorities: readonly string[];
  /** Issuers of this side's identities, RFC 4514 strings. */
  readonly issuers: readonly string[];
};

/** What keying material is exported from, RFC 8446 7.5. */
export interface ExporterSecret {
  readonly hash: Hash;
  readonly secret: Uint8Array;
}

/** What a flow may do. Only the engine joins this to a record layer. */
export interface HandshakeEffects {
  /** One whole handshake message; the engine coalesces those of one epoch. */
  send(epoch: Epoch, message: Uint8Array): void;
  /**
   * From here on this direction uses this traffic secret. For `read`, nothing of the old epoch may be left over
   * (RFC 8446 5.1): that is checked here and nowhere else.
   *
   * @param secret - The engine's from now on, which wipes it.
   */
  install(direction: "read" | "write", epoch: Epoch, suite: CipherSuite, secret: Uint8Array): void;
  /** A retry is asked for: nothing of the peer's may be left over behind its hello (RFC 8446 5.1). */
  assertAligned(): void;
  /** This direction goes back to the clear: early data was sent and the server wants another ClientHello. */
  discard(direction: "write"): void;
  /**
   * Early data may be sent by a client, or is let through to a server's application, up to `limit` bytes.
   *
   * @param exporter - The early exporter's secret, the engine's from now on.
   */
  openEarlyData(limit: number, exporter: ExporterSecret): void;
  /** Client: no more early data may be sent, and this is what the server does with it. */
  closeEarlyData(outcome: "accepted" | "rejected"): void;
  /**
   * Server: what cannot be decrypted, or in the clear has the type of application data, is early data to be thrown away
   * until a record of the next flight comes (RFC 8446 4.2.10).
   *
   * @param limit - Bytes of ciphertext.
   */
  skipEarlyData(limit: number): void;
  /**
   * From the handshake's keys on, no TLSInnerPlaintext of this direction may be longer (RFC 8449 4). Where more was read
   * before the limit was known, it was too much.
   *
   * @param unprotected - Bytes of a record in the clear.
   */
  limitRecords(direction: "read" | "write", limit: number, unprotected?: number): void;
  /** The client's legacy_session_id is not empty: change_cipher_spec records are wanted (RFC 8446 D.4). */
  compatibilityMode(): void;
  /** Application data may be sent from now on. */
  allowApplicationData(): void;
  /**
   * What may be read or sent before the handshake is done stands on this: who the peer is taken for is judged again by it
   * when that is asked for, until the handshake is done or a client's early data is closed.
   */
  standOn(judge: () => Flow<PeerFacts>): void;
  /** The state changed without a message being awaited. */
  enter(state: StateName): void;
  /** A secret for the key log and the observer; copied by whoever keeps it. */
  reveal(label: SecretLabel, clientRandom: Uint8Array, secret: Uint8Array): void;
  emit(event: HandshakeEvent): void;
}

/** The next message, which the engine has held against `expecting`. */
export function* receive(state: StateName, expecting: readonly HandshakeName[]): Flow<HandshakeMessage> {
  return (yield { need: "message", state, expecting }) as HandshakeMessage;
}

/**
 * Calls something of the application's or a key's, whose failure is not the peer's fault.
 *
 * @param code - What a failure is called that is not already a TlsError.
 */
export function* call<T>(operation: Operation, code: CauseCode, run: () => Awaitable<T>): Flow<T> {
  try {
    return yield* wait(operation, run());
  } catch (cause) {
    // One that carries an alert was meant for the peer.
    if (cause instanceof TlsError && cause.alert !== undefined) throw cause;
    throw fault(code, cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
