/** What a handshake flow does, done to records: the only place where the two meet. */
import type { Side } from "../errors.ts";
import type { Flow, StateName } from "../flow.ts";
import type { PeerFacts } from "../handshake/config.ts";
import type { ExporterSecret, HandshakeEffects } from "../handshake/io.ts";
import type { Events } from "./events.ts";
import type { Inbound } from "./inbound.ts";
import type { IncomingRecords } from "./incoming.ts";
import type { Observer } from "./observer.ts";
import type { Outbound } from "./outbound.ts";
import type { OutgoingRecords } from "./outgoing.ts";
import type { HandshakeRun } from "./run.ts";

/** The connection that a flow has its effects on. */
export interface EffectsHost {
  readonly side: Side;
  readonly observer: Observer | undefined;
  readonly incoming: IncomingRecords;
  readonly outgoing: OutgoingRecords;
  readonly inbound: Inbound;
  readonly outbound: Outbound;
  readonly events: Events;
  readonly run: HandshakeRun;
  earlyExporter: ExporterSecret | undefined;
  standing: (() => Flow<PeerFacts>) | undefined;
  enter(state: StateName): void;
}

export function effectsOn(host: EffectsHost): HandshakeEffects {
  const { side, observer, incoming, outgoing, inbound, outbound, events } = host;
  return {
    send: (epoch, message) => {
      host.run.assertWanted();
      outgoing.sendHandshake(epoch, message);
    },
    install: (direction, epoch, suite, secret) => {
      host.run.assertWanted();
      if (direction === "read") incoming.install(epoch, suite, secret);
      else outgoing.install(epoch, suite, secret);
    },
    assertAligned: () => incoming.assertAligned(),
    discard: () => outgoing.discard(),
    openEarlyData: (limit, exporter) => {
      host.earlyExporter = exporter;
      if (side === "client") outbound.allowEarlyData(limit);
      else inbound.allowEarlyData(limit);
    },
    closeEarlyData: (outcome) => {
      outbound.allowEarlyData(0);
      host.standing = undefined;
      events.push({ type: "early_data", outcome });
    },
    skipEarlyData: (limit) => incoming.skipEarlyData(limit),
    limitRecords: (direction, limit, unprotected) => {
      if (direction === "read") incoming.limit(limit);
      else outgoing.limit(limit, unprotected);
    },
    compatibilityMode: () => outgoing.wantCompatibility(),
    allowApplicationData: () => {
      outbound.allowed = true;
    },
    standOn: (judge) => {
      host.standing = judge;
    },
    enter: (state) => host.enter(state),
    reveal: (label, clientRandom, secret) => observer?.({ kind: "secret", label, clientRandom, secret }),
    emit: (event) => events.push(event),
  };
}
