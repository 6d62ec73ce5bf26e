/** One connection as the parts of the engine see it: what they share, where it stands, and how it ends. */
import { wipe } from "../bytes/bytes.ts";
import { type CauseCode, fault, type Side, TlsError } from "../errors.ts";
import type { Flow, StateName } from "../flow.ts";
import type { HandshakeResult, PeerFacts } from "../handshake/config.ts";
import type { ExporterSecret, HandshakeEffects } from "../handshake/io.ts";
import { handshakeResult } from "../handshake/result.ts";
import { After, type AfterHost, type Aftermath } from "./after.ts";
import { type EffectsHost, effectsOn } from "./effects.ts";
import { Events } from "./events.ts";
import { Inbound } from "./inbound.ts";
import { IncomingRecords } from "./incoming.ts";
import { Intake, type IntakeHost } from "./intake.ts";
import type { EngineLimits } from "./limits.ts";
import { detached, type Observer } from "./observer.ts";
import { Outbound } from "./outbound.ts";
import { OutgoingRecords } from "./outgoing.ts";
import { HandshakeRun, type RunHost } from "./run.ts";

/** Starts the flow that an engine runs. */
export type StartFlow = (effects: HandshakeEffects) => Flow<HandshakeResult>;

export class Connection implements EffectsHost, RunHost, IntakeHost, AfterHost {
  readonly side: Side;
  readonly observer: Observer | undefined;
  readonly incoming: IncomingRecords;
  readonly outgoing: OutgoingRecords;
  readonly inbound: Inbound;
  readonly outbound: Outbound;
  readonly events = new Events();
  readonly run: HandshakeRun;
  readonly intake: Intake;
  readonly #aftermath: Aftermath;
  started = false;
  state: StateName = "START";
  /** Set once this side has finished, like `after`. */
  result: HandshakeResult | undefined;
  after: After | undefined;
  earlyExporter: ExporterSecret | undefined;
  /** Judges the peer again with which data is exchanged before the handshake is done. */
  standing: (() => Flow<PeerFacts>) | undefined;
  /** What ended it. */
  error: TlsError | undefined;
  /** The peer has judged this side and goes on. */
  accepted = false;
  /** This side's last flight is out. */
  flightTaken = false;

  constructor(side: Side, start: StartFlow, limits: EngineLimits, aftermath: Aftermath) {
    this.side = side;
    this.#aftermath = aftermath;
    this.observer = detached(limits.observer);
    const { observer } = this;
    const options = { ...limits, observer, side };
    this.incoming = new IncomingRecords(options, () => this.process());
    this.outgoing = new OutgoingRecords(options, () => this.settle());
    this.inbound = new Inbound(side, this.incoming, limits.highWaterMark, limits.statelessRetries);
    this.outbound = new Outbound(this.outgoing, limits.highWaterMark);
    this.run = new HandshakeRun(start(effectsOn(this)), this);
    this.intake = new Intake(this);
  }

  /** Nothing more will come of it but the output that is left. */
  get done(): boolean {
    return this.error !== undefined || (this.intake.closed && this.outbound.closed);
  }

  enter(state: StateName): void {
    if (state === this.state) return;
    this.state = state;
    this.observer?.({ kind: "state", state });
  }

  complete(result: HandshakeResult): void {
    this.result = result;
    this.standing = undefined;
    this.enter("CONNECTED");
    if (this.side === "server") this.accepted = true;
    this.events.push({ type: "handshake", result });
    this.after = new After(this, this.#aftermath, result);
    this.after.begin();
  }

  identified(facts: Partial<HandshakeResult>): void {
    const result = this.result as HandshakeResult;
    const changed = { ...result, ...facts };
    this.result = handshakeResult(changed, changed, changed, result);
  }

  noteAccepted(): void {
    // What came before this side's last flight was taken was sent before it could be judged.
    const judged = this.flightTaken || this.result?.clientAuthRequested !== true;
    if (this.accepted || !judged) return;
    this.accepted = true;
    this.events.push({ type: "accepted" });
  }

  /** Works through what has been received, then tells the listener. */
  process(): void {
    this.intake.process();
    this.settle();
  }

  /** Sends what has waited for the handshake. */
  flushOutbound(): void {
    if (this.run.running || this.error !== undefined) return;
    this.guard(() => this.outbound.flush());
    if (this.outbound.closed) this.outgoing.wipe();
  }

  /** Does something whose failure ends the connection. */
  guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.end(error);
    }
  }

  later(action: () => void): void {
    if (this.error === undefined && !this.outbound.closed) this.guard(action);
  }

  fail(cause: unknown): void {
    if (!this.done) this.end(cause);
  }

  /** Ends everything with one error, and with one alert where this side found the fault. */
  end(cause: unknown): void {
    if (this.error !== undefined) return;
    const error = cause instanceof TlsError ? cause : fault("ERR_TLS_INTERNAL", String(cause), { cause });
    error.side ??= this.side;
    error.stage ??= this.state;
    this.error = error;
    this.run.end();
    try {
      this.outbound.fail(error, this.result !== undefined);
    } finally {
      this.incoming.wipe();
      this.outgoing.wipe();
      this.events.push({ type: "failed", error });
    }
  }

  /** An error for this side's user. */
  own(code: CauseCode): TlsError {
    const error = fault(code);
    error.side = this.side;
    error.stage = this.state;
    return error;
  }

  /** Hands out events, unless this comes from within the engine's own work. */
  settle(): void {
    if (this.run.running || this.intake.processing) return;
    this.events.drain(() => {
      if (this.done) wipe(this.result?.exporterSecret, this.result?.resumptionSecret, this.earlyExporter?.secret);
    });
  }
}
