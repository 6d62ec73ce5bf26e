/** What is exact about a handshake: calls by operation, bytes and records by message, round trips. */
import { ContentType } from "../codec/registry.ts";
import type { Observer, TlsEngine } from "../engine/index.ts";
import type { Direction } from "../engine/observer.ts";
import { fault, type Side } from "../errors.ts";
import { createTrace, type TraceRecord } from "../inspect/index.ts";
import { type Material, USUAL_SIGNATURE } from "./material.ts";
import { Meter, OPERATIONS, type OperationName } from "./meter.ts";
import { createRig, type Ends, type Rig } from "./rig.ts";
import type { Scenario } from "./scenario.ts";

/** Bytes of one message in the order sent: a handshake message with its header, or what else a record carries. */
export interface MessageSize {
  /** As RFC 8446 calls it. */
  readonly name: string;
  readonly bytes: number;
}

/** What one end sends. The bytes of the messages and those of the record layer are all bytes. */
export interface SentCensus {
  /** On the wire. */
  readonly bytes: number;
  readonly records: number;
  readonly messages: readonly MessageSize[];
  /** Headers of records, content types, padding and tags. */
  readonly recordLayerBytes: number;
}

/** Round trips since the client began, TCP's own not counted; halves are one way. */
export interface RoundTrips {
  /** When each end's first application byte leaves it, if it has something to say at once. */
  readonly firstByteSent: Ends<number>;
  /** When the client has the first byte of an answer to its first byte. */
  readonly answered: number;
}

/** All of it. */
export interface Census {
  /** Calls of each operation that there were. */
  readonly calls: Ends<Partial<Record<OperationName, number>>>;
  readonly sent: Ends<SentCensus>;
  readonly roundTrips: RoundTrips;
}

/** Handshakes until signatures have their most frequent length: one in four has, where both ends sign with ECDSA. */
const MAX_TRIES = 200;

/**
 * Counts. The same scenario gives the same numbers each time, unless certificates are compressed: ECDSA signatures, whose
 * DER is a byte or two longer or shorter by chance, are those of their most frequent length.
 *
 * @example
 * ```ts
 * const scenario = createScenario({ provider: () => nobleProvider });
 * const { calls, roundTrips } = await takeCensus(scenario, await createMaterial(scenario));
 * console.log(calls.server.sign, roundTrips.firstByteSent.client); // 1 1
 * ```
 */
export async function takeCensus(scenario: Scenario, material: Material): Promise<Census> {
  const meters = { client: new Meter(), server: new Meter() };
  const rig = await createRig(scenario, material, meters);
  for (let i = 0; i < MAX_TRIES; i++) {
    meters.client.reset();
    meters.server.reset();
    const wire = new Wire();
    await rig.run({ client: wire.observer });
    const sent = { client: wire.census("sent"), server: wire.census("received") };
    if (!wire.isUsual(USUAL_SIGNATURE[scenario.key])) continue;
    const calls = { client: callsOf(meters.client), server: callsOf(meters.server) };
    return { calls, sent, roundTrips: await countRoundTrips(rig) };
  }
  throw fault("ERR_TLS_INTERNAL", `no signatures of the usual length in ${MAX_TRIES} handshakes`);
}

function callsOf(meter: Meter): Partial<Record<OperationName, number>> {
  const costs = meter.read();
  return Object.fromEntries(
    OPERATIONS.filter((name) => costs[name].calls > 0).map((name) => [name, costs[name].calls]),
  );
}

/** CertificateVerify before its signature: header, scheme, length (RFC 8446 4.4.3). */
const BEFORE_SIGNATURE = 8;

/** The records of one handshake as one end sees them. */
class Wire {
  readonly #records: TraceRecord[] = [];
  readonly #messages: { readonly direction: Direction; readonly name: string; readonly bytes: number }[] = [];
  /** Of the end that observes: a client. */
  readonly observer: Observer = createTrace("client", (item) => {
    if (item.kind === "message")
      this.#messages.push({ direction: item.direction, name: item.type ?? "unknown", bytes: item.bytes.length });
    if (item.kind !== "record") return;
    this.#records.push(item);
    // Handshake messages follow the record in which they end.
    for (const { what, start, end } of item.parts)
      if (what !== "handshake") this.#messages.push({ direction: item.direction, name: what, bytes: end - start });
  });

  isUsual(signature: number | undefined): boolean {
    const signed = this.#messages.filter(({ name }) => name === "certificate_verify");
    return signature === undefined || signed.every(({ bytes }) => bytes === BEFORE_SIGNATURE + signature);
  }

  census(direction: Direction): SentCensus {
    const records = this.#records.filter((record) => record.direction === direction);
    const messages = this.#messages
      .filter((message) => message.direction === direction)
      .map(({ name, bytes }) => ({ name, bytes }));
    const bytes = records.reduce((sum, { wire }) => sum + wire.length, 0);
    const content = messages.reduce((sum, message) => sum + message.bytes, 0);
    return { bytes, records: records.length, messages, recordLayerBytes: bytes - content };
  }
}

/** Derived from the flights: who can say what when, where each flight takes half a round trip. */
async function countRoundTrips(rig: Rig): Promise<RoundTrips> {
  const talking = await flights(rig, "both");
  const answering = await flights(rig, "answer");
  return { firstByteSent: talking.sent, answered: answering.answered };
}

/** Half round trips after which a handshake that goes on forever is given up. */
const MAX_FLIGHTS = 20;
const DATA = new Uint8Array(1);

interface Flights {
  /** Round trips until each end's first application byte left it. */
  readonly sent: Ends<number>;
  /** Round trips until the client had read something. */
  readonly answered: number;
}

/** @param server - Says something at once as the client does, or answers what it reads. */
async function flights(rig: Rig, server: "both" | "answer"): Promise<Flights> {
  const said = { client: false, server: false };
  const watch =
    (side: Side): Observer =>
    (observation) => {
      const isData = observation.kind === "record" && observation.type === APPLICATION_DATA;
      if (isData && observation.direction === "sent") said[side] = true;
    };
  const ends = rig.open({ client: watch("client"), server: watch("server") });
  const sent: { client?: number; server?: number } = {};
  let answered: number | undefined;
  let early = rig.scenario.kind === "early";
  ends.client.start();
  ends.server.start();
  if (!early) ends.client.write(DATA);
  if (server === "both") ends.server.write(DATA);
  let silent = 0;
  for (let half = 0; silent < 2; half++) {
    if (half === MAX_FLIGHTS) throw fault("ERR_TLS_INTERNAL", `no end of the handshake in ${half} flights`);
    const [from, to] = half % 2 === 0 ? (["client", "server"] as const) : (["server", "client"] as const);
    await idle(ends[from]);
    // Its key is there once the ClientHello is.
    if (early) early = ends.client.writeEarlyData(DATA) === 0;
    const flight = ends[from].takeOutput();
    silent = flight.length === 0 ? silent + 1 : 0;
    if (said[from]) sent[from] ??= half / 2;
    ends[to].receive(flight);
    await idle(ends[to]);
    const read = readAll(ends[to]);
    if (to === "client" && read > 0) answered ??= (half + 1) / 2;
    if (to === "server" && read > 0 && server === "answer") ends.server.write(DATA);
  }
  rig.assertOutcome(ends);
  if (sent.client === undefined || sent.server === undefined || answered === undefined)
    throw fault("ERR_TLS_INTERNAL", "one end had nothing to say");
  return { sent: { client: sent.client, server: sent.server }, answered };
}

const APPLICATION_DATA = ContentType.codes.application_data;

function readAll(engine: TlsEngine): number {
  let bytes = 0;
  for (let chunk = engine.read(); chunk !== undefined; chunk = engine.read()) bytes += chunk.length;
  if (engine.side === "client") return bytes;
  for (let chunk = engine.readEarlyData(); chunk !== undefined; chunk = engine.readEarlyData()) bytes += chunk.length;
  return bytes;
}

/** Resolves when nothing asynchronous is under way. */
async function idle(engine: TlsEngine): Promise<void> {
  while (engine.busy) {
    await new Promise<void>((resolve) => {
      engine.listen(() => {}, resolve);
      // What has ended meanwhile will make no progress to tell of.
      if (!engine.busy) resolve();
    });
  }
}
