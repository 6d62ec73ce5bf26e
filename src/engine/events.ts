/** What the engine tells its user: in order, and never while a flow is running. */
import type { TlsError } from "../errors.ts";
import type { HandshakeResult } from "../handshake/config.ts";
import type { HandshakeEvent } from "../handshake/io.ts";
import type { AfterEvent } from "./after.ts";

/** What the engine tells its user, in order, never while a flow is running. */
export type EngineEvent =
  /** This side has finished; a client has not been judged yet, see `accepted`. */
  | { readonly type: "handshake"; readonly result: HandshakeResult }
  /** Client only: the server has sent data or a ticket, so it has accepted this side; see {@link TlsEngine.accepted}. */
  | { readonly type: "accepted" }
  /** Client: what the server does with early data. Server: some can be read. */
  | { readonly type: "early_data"; readonly outcome: "accepted" | "rejected" }
  /** close_notify: the peer will send nothing more. This side may go on sending. */
  | { readonly type: "end" }
  /** Comes once; the engine is dead. An alert may still be in the output. */
  | { readonly type: "failed"; readonly error: TlsError }
  | AfterEvent
  | HandshakeEvent;

/** Events that wait for their listener. */
export class Events {
  #queue: EngineEvent[] = [];
  #listener: ((event: EngineEvent) => void) | undefined;
  #progress: (() => void) | undefined;
  #draining = false;

  listen(onEvent: (event: EngineEvent) => void, onProgress: (() => void) | undefined): void {
    this.#listener = onEvent;
    this.#progress = onProgress;
  }

  get waiting(): boolean {
    return this.#queue.length > 0;
  }

  push(event: EngineEvent): void {
    this.#queue.push(event);
  }

  /**
   * Hands out what is there, and the word that something may have changed.
   *
   * @param handedOut - Called when every listener has returned: one of them may have ended the connection.
   */
  drain(handedOut: () => void): void {
    if (this.#draining) return;
    this.#draining = true;
    try {
      for (let event = this.#queue.shift(); event !== undefined; event = this.#queue.shift()) this.#listener?.(event);
    } finally {
      this.#draining = false;
      handedOut();
    }
    this.#progress?.();
  }
}
