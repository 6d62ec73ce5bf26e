/** Both ends of a scenario in one process, over memory: made ready once, then handshake after handshake. */
import type { NamedGroupName } from "../codec/registry.ts";
import {
  clientContext,
  type EngineContext,
  type Observer,
  type SessionCache,
  sealedTickets,
  serverContext,
  sessionCache,
  strikeRegister,
  type TlsEngine,
} from "../engine/index.ts";
import type { Awaitable } from "../flow.ts";
import { trustStore } from "../x509/trust.ts";
import { trustVerifier } from "../x509/verifier.ts";
import { isMlDsa, type Material, SERVER_NAME } from "./material.ts";
import type { Meter } from "./meter.ts";
import { meteredCompression, meteredProvider, meteredTickets, meteredVerifier } from "./metered.ts";
import { factsOf, type Scenario } from "./scenario.ts";

/** One value for each end. */
export interface Ends<T> {
  readonly client: T;
  readonly server: T;
}

/** A scenario, ready to run. */
export interface Rig {
  readonly scenario: Scenario;
  /** Fresh engines that nothing has happened to. */
  open(observers?: Partial<Ends<Observer>>): Ends<TlsEngine>;
  /** One handshake from beginning to end, tickets included. Answers at once where the provider does. */
  run(observers?: Partial<Ends<Observer>>): Awaitable<void>;
  /** @throws Error when these ends have not done what the scenario says; TlsError what one of them failed with. */
  assertOutcome(ends: Ends<TlsEngine>): void;
}

/** Bytes that go as early data. */
const EARLY_DATA = new Uint8Array(1);
/** Seconds; a measurement may last. */
const TICKET_LIFETIME = 604_800;

/**
 * Makes the ends ready, and runs a first handshake where later ones go on from its ticket.
 *
 * @param meters - Take the time of each end.
 * @throws Error when the handshake does not come out as the scenario has it; TlsError when it fails.
 */
export async function createRig(scenario: Scenario, material: Material, meters?: Ends<Meter>): Promise<Rig> {
  const sessions = sessionCache({ perScope: Math.max(4, scenario.tickets) });
  const full = clientOf(scenario, material, meters?.client, forgetful(sessions));
  const client = scenario.kind === "full" ? full : clientOf(scenario, material, meters?.client, sessions);
  const server = serverOf(scenario, material, meters?.server);
  const open = (context: EngineContext, observers: Partial<Ends<Observer>> = {}) => ({
    client: within(meters?.client, () => context.engine({ observer: observers.client })),
    server: within(meters?.server, () => server.engine({ observer: observers.server })),
  });
  const rig: Rig = {
    scenario,
    open: (observers) => open(client, observers),
    run: (observers) => shakeHands(open(client, watched(meters, observers)), scenario, meters),
    assertOutcome: (ends) => assertOutcome(ends, scenario),
  };
  // What is built at first use, and the ticket of the first handshake to go on.
  await shakeHands(open(client, watched(meters)), { ...scenario, kind: "full" }, meters);
  await rig.run();
  return rig;
}

/** Keeps what comes, and gives nothing: all handshakes are full. */
function forgetful(sessions: SessionCache): SessionCache {
  return { put: (scope, session) => sessions.put(scope, session), take: () => undefined };
}

function clientOf(scenario: Scenario, material: Material, meter: Meter | undefined, sessions: SessionCache) {
  const { group, helloRetry, auth, kind, tickets } = scenario;
  const other: NamedGroupName = group === "x25519" ? "secp256r1" : "x25519";
  return clientContext({
    ...commonOptions(scenario, material, meter),
    serverName: SERVER_NAME,
    groups: helloRetry ? [group, other] : [group],
    keyShares: [helloRetry ? other : group],
    identities: auth === "mutual" ? [material.client] : [],
    sessions: tickets > 0 ? sessions : undefined,
    offerEarlyData: kind === "early",
  });
}

function serverOf(scenario: Scenario, material: Material, meter: Meter | undefined) {
  const { group, auth, kind, tickets } = scenario;
  const store = sealedTickets();
  // Nobody was there before this process.
  const antiReplay = strikeRegister({ capacity: 2 ** 24, clock: () => 0 });
  return serverContext({
    ...commonOptions(scenario, material, meter),
    groups: [group],
    identities: [material.server],
    clientAuth: auth === "mutual" ? "on" : "off",
    tickets:
      tickets > 0
        ? {
            store: meter === undefined ? store : meteredTickets(store, meter),
            count: tickets,
            lifetime: TICKET_LIFETIME,
            maxAge: TICKET_LIFETIME,
          }
        : undefined,
    acceptEarlyData: kind === "early" ? { antiReplay } : undefined,
  });
}

function commonOptions({ provider: make, cipherSuite, key, compression }: Scenario, material: Material, meter?: Meter) {
  const provider = make();
  const verifier = trustVerifier({ trust: trustStore(material.root) });
  const compressor =
    meter === undefined || compression === undefined ? compression : meteredCompression(compression, meter);
  return {
    provider: meter === undefined ? provider : meteredProvider(provider, meter),
    clock: Date.now,
    cipherSuites: [cipherSuite],
    verifier: meter === undefined ? verifier : meteredVerifier(verifier, meter),
    ...(isMlDsa(key) && { signatureSchemes: [key] }),
    ...(compressor && { certificateCompression: [compressor] }),
  };
}

function within<T>(meter: Meter | undefined, work: () => T): T {
  return meter === undefined ? work() : meter.side(work);
}

/** An end that goes on after a promise does so from within that promise: its observer is the first to know. */
function watched(
  meters: Ends<Meter> | undefined,
  observers: Partial<Ends<Observer>> = {},
): Partial<Ends<Observer>> | undefined {
  if (meters === undefined) return observers;
  const watch =
    (meter: Meter, observer: Observer | undefined): Observer =>
    (observation) => {
      if (observation.kind === "operation" && observation.phase === "resumed") meter.open();
      observer?.(observation);
    };
  return {
    client: watch(meters.client, observers.client),
    server: watch(meters.server, observers.server),
  };
}

function shakeHands(ends: Ends<TlsEngine>, scenario: Scenario, meters: Ends<Meter> | undefined): Awaitable<void> {
  const { client, server } = ends;
  let early = scenario.kind === "early" ? EARLY_DATA.length : 0;
  const move = (from: "client" | "server", to: "client" | "server"): number => {
    const bytes = within(meters?.[from], () => {
      // Where the key share is a promise there is no room before that is kept.
      if (from === "client" && early > 0) early -= client.writeEarlyData(EARLY_DATA);
      return ends[from].takeOutput();
    });
    if (bytes.length > 0) {
      within(meters?.[to], () => {
        ends[to].receive(bytes);
        if (to === "server") while (server.readEarlyData() !== undefined);
      });
    }
    return bytes.length;
  };
  const pump = () => {
    while (move("client", "server") + move("server", "client") > 0);
  };
  within(meters?.client, () => client.start());
  within(meters?.server, () => server.start());
  pump();
  if (!client.busy && !server.busy) {
    assertOutcome(ends, scenario);
    return undefined;
  }
  return new Promise((resolve, reject) => {
    let pumping = false;
    const progress = () => {
      if (pumping) return;
      pumping = true;
      try {
        pump();
        if (client.busy || server.busy) return;
        assertOutcome(ends, scenario);
        resolve();
      } catch (error) {
        reject(error);
      } finally {
        pumping = false;
      }
    };
    const listen = (side: "client" | "server") =>
      ends[side].listen(
        () => {},
        () => {
          if (!pumping) meters?.[side].close();
          progress();
        },
      );
    listen("client");
    listen("server");
    progress();
  });
}

/** What was measured is what the scenario says. */
function assertOutcome({ client, server }: Ends<TlsEngine>, scenario: Scenario): void {
  const failed = client.error ?? server.error;
  if (failed !== undefined) throw failed;
  for (const result of [client.result, server.result]) {
    const early = scenario.kind === "early" ? "accepted" : undefined;
    const asWanted =
      result?.group === scenario.group &&
      result.cipherSuite === scenario.cipherSuite &&
      result.resumed === (scenario.kind !== "full") &&
      result.earlyData === early &&
      result.retried === scenario.helloRetry;
    if (!asWanted) {
      const { group, cipherSuite, resumed, earlyData, retried } = result ?? {};
      const found = JSON.stringify({ group, cipherSuite, resumed, earlyData, retried });
      throw new Error(`the handshake came out as ${found}, which is not ${JSON.stringify(factsOf(scenario))}`);
    }
  }
  const verified = [client.result?.peer?.verified, server.result?.peer?.verified];
  if (verified[0] !== true || (verified[1] === true) !== (scenario.auth === "mutual"))
    throw new Error(`verified: the server ${verified[0]}, the client ${verified[1]}`);
}
