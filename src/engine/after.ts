/**
 * What lives after the handshake (RFC 8446 4.6): which messages are legal then, and one small flow for each that needs
 * more than a moment. Records do not wait for those flows.
 */
import { decodeBody, type HandshakeMessage, KeyUpdate, NewSessionTicket } from "../codec/messages.ts";
import { KeyUpdateRequest } from "../codec/registry.ts";
import { fault, type Side, TlsError } from "../errors.ts";
import { type Awaitable, type Flow, type HandshakeName, isPromiseLike, settle } from "../flow.ts";
import type { HandshakeResult, PeerFacts } from "../handshake/config.ts";
import type { Identity } from "../handshake/identity.ts";
import type { Session } from "../handshake/session.ts";
import type { Events } from "./events.ts";
import type { Inbound } from "./inbound.ts";
import type { IncomingRecords } from "./incoming.ts";
import type { Outbound } from "./outbound.ts";
import type { OutgoingRecords } from "./outgoing.ts";

/** What may follow a handshake. */
export interface Aftermath {
  /** Server: the tickets to send once it is done. */
  tickets?(result: HandshakeResult): Flow<readonly Uint8Array[]>;
  /** Client: keeps what a ticket begins. */
  keep?(result: HandshakeResult, ticket: NewSessionTicket): Flow<Session | undefined>;
  /** Judges the peer again. */
  recheck?(result: HandshakeResult): Flow<PeerFacts>;
  /** Asks for certificates, or answers who asks. */
  authentication?(host: AfterHost, result: HandshakeResult): LaterAuthentication;
}

/** Authentication after the handshake as one side does it, RFC 8446 4.6.2. */
export interface LaterAuthentication {
  /** What may come of it now. */
  readonly expecting: readonly HandshakeName[];
  /** Part of an answer has come: nothing else may before the rest of it. */
  readonly underWay: boolean;
  /** One of the expected messages. */
  deliver(message: HandshakeMessage): void;
  /** Server: makes a CertificateRequest. */
  request?(): { readonly context: Uint8Array; send(): void };
}

/** What is told of messages after the handshake. */
export type AfterEvent =
  /** Client only: a ticket has come; the session is in the configuration's cache, if there is one. */
  | { readonly type: "ticket"; readonly session: Session }
  /** The ticket store or session cache failed: the connection goes on without. */
  | { readonly type: "ticket_failed"; readonly error: TlsError }
  | { readonly type: "key_update"; readonly requested: boolean }
  /**
   * Server only: an answer to {@link TlsEngine.requestClientCertificate}. `facts.peer` is `undefined` where the client
   * declines; otherwise {@link TlsEngine.result} has it too from now on.
   */
  | { readonly type: "client_authenticated"; readonly context: Uint8Array; readonly facts: PeerFacts }
  /** Client only: the server has asked for a certificate after the handshake, and this one is sent, or none. */
  | { readonly type: "identity_presented"; readonly identity: Identity | undefined };

/** The connection that the messages belong to. */
export interface AfterHost {
  readonly side: Side;
  readonly incoming: IncomingRecords;
  readonly outgoing: OutgoingRecords;
  readonly inbound: Inbound;
  readonly outbound: Outbound;
  readonly events: Events;
  /** The client has shown who it is. */
  identified(facts: PeerFacts & Pick<HandshakeResult, "authenticatedAt">): void;
  /** The peer has sent what only follows a judgement of this side. */
  noteAccepted(): void;
  /** Does something later, unless this side has ended meanwhile; what it throws ends the connection. */
  later(action: () => void): void;
  /** Ends the connection. */
  fail(cause: unknown): void;
  /** Something asynchronous has come to its end. */
  settle(): void;
}

/** Tickets of one connection that are looked at. */
const MAX_TICKETS = 16;

/** What a peer of this side may always send, RFC 8446 4.6. */
const LEGAL: Readonly<Record<Side, readonly HandshakeName[]>> = {
  client: ["new_session_ticket", "key_update"],
  server: ["key_update"],
};

/** Owns the flows after one handshake. */
export class After {
  readonly #host: AfterHost;
  readonly #aftermath: Aftermath;
  readonly #result: HandshakeResult;
  #tickets = 0;
  #keyUpdateAwaited = false;
  readonly #authentication: LaterAuthentication | undefined;

  constructor(host: AfterHost, aftermath: Aftermath, result: HandshakeResult) {
    this.#host = host;
    this.#aftermath = aftermath;
    this.#result = result;
    this.#authentication = aftermath.authentication?.(host, result);
  }

  /** The legal set, which the engine holds every message against. */
  get expecting(): readonly HandshakeName[] {
    const authentication = this.#authentication;
    if (authentication?.underWay) return authentication.expecting;
    return [...LEGAL[this.#host.side], ...(authentication?.expecting ?? [])];
  }

  /** What this side sends of itself. */
  begin(): void {
    const { outgoing } = this.#host;
    const tickets = this.#aftermath.tickets?.(this.#result);
    if (tickets === undefined) return;
    this.#withTickets(tickets, (messages) => {
      for (const message of messages) outgoing.sendHandshake("application", message);
      outgoing.flush();
    });
  }

  /** One of the expected messages. */
  deliver(message: HandshakeMessage): void {
    if (message.type === "key_update") this.#receiveKeyUpdate(message);
    else if (message.type === "new_session_ticket") this.#receiveTicket(message);
    else this.#authentication?.deliver(message);
  }

  /** Server: makes a CertificateRequest. */
  requestClientCertificate(): { readonly context: Uint8Array; send(): void } {
    const request = this.#authentication?.request?.();
    if (request === undefined) throw fault("ERR_TLS_POST_HANDSHAKE_AUTH", `this is a ${this.#host.side}`);
    return request;
  }

  /** While a request is unanswered no other is made (RFC 9846 4.7.3). */
  updateKeys(request: "update_requested" | "update_not_requested"): void {
    const ask = request === "update_requested" && !this.#keyUpdateAwaited;
    if (ask) this.#keyUpdateAwaited = true;
    this.#host.outgoing.updateKey(ask ? request : "update_not_requested");
  }

  /** RFC 8446 4.6.1 */
  #receiveTicket(message: HandshakeMessage): void {
    const { keep } = this.#aftermath;
    this.#host.noteAccepted();
    const ticket = decodeBody(NewSessionTicket, message);
    if (keep === undefined || ++this.#tickets > MAX_TICKETS) return;
    this.#withTickets(keep(this.#result, ticket), (session) => {
      if (session !== undefined) this.#host.events.push({ type: "ticket", session });
    });
  }

  /** RFC 8446 4.6.3 */
  #receiveKeyUpdate(message: HandshakeMessage): void {
    const { incoming, inbound, outbound } = this.#host;
    const { request_update } = decodeBody(KeyUpdate, message);
    if (KeyUpdateRequest.name(request_update) === undefined) {
      throw fault("ERR_TLS_ILLEGAL_PARAMETER", `request_update ${request_update}`);
    }
    // An answer is not counted: this side decides how many there are.
    if (this.#keyUpdateAwaited) this.#keyUpdateAwaited = false;
    else inbound.countKeyUpdate();
    incoming.updateKey();
    const requested = request_update === KeyUpdateRequest.codes.update_requested;
    if (requested) outbound.oweKeyUpdate();
    this.#host.events.push({ type: "key_update", requested });
  }

  /** What tickets fail with does not end the connection. */
  #withTickets<T>(flow: Flow<T>, done: (value: T) => void): void {
    aside(this.#host, flow, done, (cause) => {
      const error = cause instanceof TlsError ? cause : fault("ERR_TLS_CALLBACK_FAILED", String(cause), { cause });
      this.#host.events.push({ type: "ticket_failed", error });
    });
  }
}

/** Runs a flow beside the records, which do not wait for it. */
export function aside<T>(
  host: AfterHost,
  flow: Flow<T>,
  done: (value: T) => void,
  failed: (cause: unknown) => void,
): void {
  const finish = (value: T) => host.later(() => done(value));
  let outcome: Awaitable<T>;
  try {
    outcome = settle(flow);
  } catch (cause) {
    failed(cause);
    return;
  }
  if (!isPromiseLike(outcome)) {
    finish(outcome);
    return;
  }
  Promise.resolve(outcome)
    .then(finish, failed)
    .then(() => host.settle());
}
