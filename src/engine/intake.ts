/** Works through what has been received, as far as states and queues allow. */
import type { HandshakeMessage } from "../codec/messages.ts";
import { fault, type TlsError } from "../errors.ts";
import type { StateName } from "../flow.ts";
import type { After } from "./after.ts";
import type { Events } from "./events.ts";
import type { Inbound } from "./inbound.ts";
import type { IncomingRecords } from "./incoming.ts";
import type { Observer } from "./observer.ts";
import type { HandshakeRun } from "./run.ts";

/** The connection whose records come in. */
export interface IntakeHost {
  readonly observer: Observer | undefined;
  readonly incoming: IncomingRecords;
  readonly inbound: Inbound;
  readonly events: Events;
  readonly state: StateName;
  readonly started: boolean;
  readonly error: TlsError | undefined;
  readonly run: HandshakeRun;
  /** Once the handshake is over. */
  readonly after: After | undefined;
  noteAccepted(): void;
  fail(cause: unknown): void;
}

export class Intake {
  readonly #host: IntakeHost;
  #processing = false;
  #endOfInput = false;
  #closed = false;

  constructor(host: IntakeHost) {
    this.#host = host;
  }

  get processing(): boolean {
    return this.#processing;
  }

  /** The peer has sent close_notify. */
  get closed(): boolean {
    return this.#closed;
  }

  /** The byte stream is over. */
  end(): void {
    this.#endOfInput = true;
  }

  process(): void {
    if (this.#processing || this.#host.run.running) return;
    this.#processing = true;
    try {
      while (this.#advance()) {
        // Until nothing moves.
      }
    } catch (error) {
      this.#host.fail(error);
    } finally {
      this.#processing = false;
    }
  }

  /** One message or record; false when there is nothing to do now. */
  #advance(): boolean {
    const host = this.#host;
    const { incoming, inbound, events } = host;
    if (!host.started || host.error !== undefined || this.#closed || host.run.busy) return false;
    const message = incoming.messages.next();
    if (message !== undefined) {
      this.#deliver(message);
      return true;
    }
    if (inbound.full) return false;
    const record = incoming.next();
    if (record !== undefined) {
      const outcome = inbound.accept(record, host.after !== undefined);
      if (outcome === "data") host.noteAccepted();
      if (outcome === "early_data") events.push({ type: "early_data", outcome: "accepted" });
      if (outcome === "closed") {
        this.#closed = true;
        incoming.wipe();
        events.push({ type: "end" });
      }
      return true;
    }
    if (this.#endOfInput && !incoming.busy)
      throw fault("ERR_SSL_UNEXPECTED_EOF_WHILE_READING", host.after ? undefined : "during the handshake");
    return false;
  }

  /** The only place that holds a message against what is legal. */
  #deliver(message: HandshakeMessage): void {
    const host = this.#host;
    const { expecting } = host.after ?? host.run;
    const { type, bytes } = message;
    host.observer?.({ kind: "message", direction: "received", epoch: host.incoming.epoch, type, bytes });
    if (!expecting.includes(type)) {
      throw fault(
        "ERR_SSL_UNEXPECTED_MESSAGE",
        `${type} in state ${host.state}, which expects ${expecting.join(" or ") || "nothing"}`,
      );
    }
    if (host.after !== undefined) {
      host.after.deliver(message);
      return;
    }
    host.inbound.peerHello = true;
    host.run.deliver(message);
  }
}
