/** Runs the flow of one handshake from suspension to suspension. */
import type { HandshakeMessage } from "../codec/messages.ts";
import type { TlsError } from "../errors.ts";
import type { Flow, HandshakeName, StateName, Suspension } from "../flow.ts";
import type { HandshakeResult } from "../handshake/config.ts";
import type { Observer } from "./observer.ts";
import type { OutgoingRecords } from "./outgoing.ts";

/** The connection that a flow belongs to. */
export interface RunHost {
  readonly observer: Observer | undefined;
  readonly outgoing: OutgoingRecords;
  /** Nothing goes on after a failure. */
  readonly error: TlsError | undefined;
  enter(state: StateName): void;
  complete(result: HandshakeResult): void;
  fail(cause: unknown): void;
  /** A step is over, whatever came of it: what has waited may be sent now. */
  flushOutbound(): void;
  /** What a flow waited for has come, and it has gone on: there may be more for it. */
  process(): void;
}

type Step = IteratorResult<Suspension, HandshakeResult>;
type Resume = "next" | "throw";

export class HandshakeRun {
  /** Gone once it is done: what it has gone through need not live as long as the connection. */
  #flow: Flow<HandshakeResult> | undefined;
  readonly #host: RunHost;
  #suspension: Suspension | undefined;
  #running = false;
  #aborting: TlsError | undefined;

  constructor(flow: Flow<HandshakeResult>, host: RunHost) {
    this.#flow = flow;
    this.#host = host;
  }

  get running(): boolean {
    return this.#running;
  }

  /** It waits for something other than a message. */
  get busy(): boolean {
    return this.#suspension?.need === "promise";
  }

  /** The messages that may come next. */
  get expecting(): readonly HandshakeName[] {
    return this.#suspension?.need === "message" ? this.#suspension.expecting : [];
  }

  start(): void {
    this.#step("next");
  }

  /** One of the messages expected. */
  deliver(message: HandshakeMessage): void {
    this.#step("next", message);
  }

  /** Ends a flow that is running, as soon as it stops. @returns False when it is not running. */
  abort(error: TlsError): boolean {
    if (this.#running) this.#aborting = error;
    return this.#running;
  }

  /** A callback may have aborted: then the flow must not go on to say who this side is. */
  assertWanted(): void {
    if (this.#aborting !== undefined) throw this.#aborting;
  }

  /** Lets go of the flow, so that it wipes what it holds. */
  end(): void {
    this.#suspension = undefined;
    if (!this.#running) this.#flow?.return(undefined as never);
  }

  /** Runs the flow up to its next suspension. */
  #step(how: Resume, value?: unknown): void {
    const host = this.#host;
    // An observer may have ended it meanwhile.
    if (host.error !== undefined) return;
    this.#suspension = undefined;
    this.#running = true;
    let step: Step;
    try {
      step = (this.#flow as Flow<HandshakeResult>)[how](value);
      if (this.#aborting === undefined) host.outgoing.flush();
    } catch (error) {
      this.#running = false;
      host.fail(error);
      return;
    }
    this.#running = false;
    // Before an abort takes effect: an abandoned promise needs its handlers too.
    if (step.done) this.#flow = undefined;
    else this.#suspend(step.value);
    if (this.#aborting !== undefined) host.fail(this.#aborting);
    else if (step.done) host.complete(step.value);
    host.flushOutbound();
  }

  #suspend(suspension: Suspension): void {
    const { observer } = this.#host;
    this.#suspension = suspension;
    if (suspension.need === "message") {
      this.#host.enter(suspension.state);
      return;
    }
    const { operation, promise } = suspension;
    observer?.({ kind: "operation", operation, phase: "suspended" });
    // An abandoned promise keeps its handlers, and its late result finds another suspension or none.
    const settle = (how: Resume, value: unknown) => {
      if (this.#suspension !== suspension) return;
      observer?.({ kind: "operation", operation, phase: "resumed" });
      this.#step(how, value);
      this.#host.process();
    };
    // Through a real promise, which unwraps thenables of thenables and settles once.
    Promise.resolve(promise).then(
      (value) => settle("next", value),
      (reason) => settle("throw", reason),
    );
  }
}
