/**
 * Damaged handshakes against both roles. FUZZ_CASES says how many (20,000 in CI), FUZZ_SEED where to begin: a case's number
 * is its seed, so `FUZZ_SEED=n FUZZ_CASES=1` repeats case n byte for byte.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { equal, join } from "../../src/bytes/bytes.ts";
import { parsePrivateKey } from "../../src/crypto/keys.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import type { CryptoProvider } from "../../src/crypto/provider.ts";
import { clientAftermath, serverAftermath } from "../../src/engine/aftermath.ts";
import { resolveClient } from "../../src/engine/client-options.ts";
import { TlsEngine } from "../../src/engine/engine.ts";
import { everyFeature } from "../../src/engine/features/index.ts";
import { resolveIdentity } from "../../src/engine/identity.ts";
import { type ClientOptions, type ServerOptions, sealedCookies, sealedTickets } from "../../src/engine/index.ts";
import type { EngineLimits } from "../../src/engine/limits.ts";
import { resolveLimits } from "../../src/engine/limits.ts";
import { resolveServer } from "../../src/engine/server-options.ts";
import { type Side, TlsError } from "../../src/errors.ts";
import { clientHandshake } from "../../src/handshake/client.ts";
import type { ClientConfig, CommonConfig, ServerConfig } from "../../src/handshake/config.ts";
import { serverHandshake } from "../../src/handshake/server.ts";
import { decodeSession, encodeSession, type Session } from "../../src/handshake/session.ts";
import { liveSources } from "../../src/handshake/sources.ts";
import { zlibCompression } from "../../src/node/index.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { BULK_THRESHOLD, lateProvider } from "../support/late-provider.ts";
import { type End, end, exchange, failures } from "../support/pair.ts";
import { Random } from "../support/random.ts";
import { Rogue, type RogueOptions } from "../support/rogue.ts";
import { seededProvider } from "../support/seeded.ts";
import { rawMessage } from "../support/world.ts";
import { mutateMessage, mutateRecord, mutateStream } from "./mutate.ts";

const CASES = Number(process.env.FUZZ_CASES ?? (process.env.CI ? 20_000 : 4_000));
const SEED = Number(process.env.FUZZ_SEED ?? 1);
const BATCH = 500;

const files = JSON.parse(readFileSync(new URL("fixtures/identities.json", import.meta.url), "utf8"));
const node = createNodeProvider();
const common = { provider: node, clock: () => Date.UTC(2030, 0, 1), trust: trustStore(files.authority), alpn: ["h2"] };
const keys = { client: parsePrivateKey(files.client.key), server: parsePrivateKey(files.server.key) };
const clientOptions = {
  ...common,
  serverName: "localhost",
  groups: ["x25519", "secp256r1"],
  keyShares: ["x25519"],
  identities: [resolveIdentity(files.client, node)],
} as const;
const serverOptions = {
  ...common,
  groups: ["x25519", "secp256r1"],
  identities: [resolveIdentity(files.server, node)],
} as const;
let session: Session | undefined;
const sessions = {
  take: () => session,
  put: (_scope: string, kept: Session) => expect(decodeSession(encodeSession(kept))).toEqual(kept),
};
const MAX_EARLY_DATA = 2000;
const tickets = { store: sealedTickets({ keys: [new Uint8Array(32).fill(1)] }) };
const psks = [{ identity: "a key", key: new Uint8Array(32).fill(7) }];
const early = { sessions, offerEarlyData: true };
const taking = (allowed: boolean) => ({
  tickets,
  acceptEarlyData: { antiReplay: { claim: () => allowed }, maxSize: MAX_EARLY_DATA },
});
/** What is offered and taken beside a full handshake. */
const OPENINGS = {
  full: [{}, {}],
  resumed: [{ sessions }, { tickets }],
  external: [{ psks }, { psks }],
  cookie: [{}, { cookies: sealedCookies({ keys: [new Uint8Array(32).fill(2)] }) }],
  early: [early, taking(true)],
  "rejected early": [early, taking(false)],
} as const satisfies Record<string, readonly [Partial<ClientOptions>, Partial<ServerOptions>]>;
type Opening = keyof typeof OPENINGS;
/** What else may be negotiated: then a CompressedCertificate comes in place of the Certificate. */
const EXTENDED = {
  certificateCompression: [zlibCompression()],
  requestStatus: true,
  requestScts: true,
  grease: true,
  recordSizeLimit: 0x4001,
};
const configsOf = ([offers, answers]: (typeof OPENINGS)[Opening], more: Partial<ClientOptions & ServerOptions>) => ({
  client: resolveClient({ ...clientOptions, ...offers, ...more }, everyFeature),
  server: resolveServer({ ...serverOptions, ...answers, ...more, clientAuth: "on" }),
  anonymous: resolveServer({ ...serverOptions, ...answers, ...more }),
});
const allConfigs = (more: Partial<ClientOptions & ServerOptions>) =>
  Object.fromEntries(
    Object.entries(OPENINGS).map(([opening, options]) => [opening, configsOf(options, more)]),
  ) as Record<Opening, ReturnType<typeof configsOf>>;
const configs = allConfigs({});
const extendedConfigs = allConfigs(EXTENDED);
const limits = resolveLimits(common);
/** One record over the mark, and what a chunk counts besides its bytes. */
const MOST_QUEUED = limits.highWaterMark + 0x4000 + 128;

/** A configuration whose every random choice comes from `provider`. */
function seeded<C extends CommonConfig>(config: C, provider: CryptoProvider, pkcs8: Uint8Array): C {
  const signer = provider.signer(pkcs8);
  const groups = provider.groups.filter(({ name }) => config.groups.some((group) => group.name === name));
  const sources = {
    ...liveSources(provider),
    sign: (_: unknown, ...args: Parameters<typeof signer.sign>) => signer.sign(...args),
  };
  const suites = config.suites.flatMap(({ name }) => provider.suites.filter((suite) => suite.name === name));
  return { ...config, provider, suites, groups, sources };
}

function clientEngine(config: ClientConfig, limits: EngineLimits): TlsEngine {
  return new TlsEngine(
    "client",
    (effects) => clientHandshake(config, effects),
    limits,
    clientAftermath(config, everyFeature),
  );
}

function serverEngine(config: ServerConfig, limits: EngineLimits): TlsEngine {
  return new TlsEngine("server", (effects) => serverHandshake(config, effects), limits, serverAftermath(config));
}

function keepFirst(kept: Session): void {
  session ??= kept;
}

// The connection that is resumed, the same in every run.
{
  const provider = seededProvider(node, new Random(0));
  const { server } = configs.early;
  const keep = { take: () => undefined, put: (_scope: string, kept: Session) => keepFirst(kept) };
  const keeping = resolveClient({ ...clientOptions, sessions: keep }, everyFeature);
  exchange(
    end(clientEngine(seeded(keeping, provider, keys.client), limits)),
    end(serverEngine(seeded(server, provider, keys.server), limits)),
  );
  if (session === undefined) throw new Error("no session to resume");
}

interface Case {
  readonly opening: Opening;
  readonly random: Random;
  readonly victimSide: Side;
  readonly layer: "message" | "record" | "wire";
  readonly late: boolean;
}

function caseOf(seed: number): Case {
  const random = new Random(seed);
  const layers = ["message", "message", "message", "record", "wire", "wire"] as const;
  return {
    random,
    opening: random.chance(0.5) ? "full" : random.pick(Object.keys(OPENINGS) as Opening[]),
    victimSide: random.pick(["client", "server"]),
    layer: random.pick(layers),
    late: random.chance(0.15),
  };
}

/** A victim that counts its alerts, and the rogue to meet it. */
function cast({ random, victimSide, layer, late, opening }: Case): { victim: End; rogue: Rogue; alerts: () => number } {
  const retry = random.chance(0.2);
  const anonymous = random.chance(0.15);
  const honest = seededProvider(node, random);
  const records = random.pick(["bulk", "every"] as const);
  const provider = late ? lateProvider(honest, { seed: random.integer(2 ** 31), records }) : honest;
  let alerts = 0;
  const observed = {
    ...(opening === "cookie" ? resolveLimits({ ...common, ...OPENINGS.cookie[1] }) : limits),
    observer: (seen: { kind: string; direction?: string; type?: unknown }) => {
      if (seen.kind === "record" && seen.direction === "sent" && seen.type === 21) alerts++;
    },
  };
  const chosen = (random.chance(0.3) ? extendedConfigs : configs)[opening];
  const more = { postHandshakeAuth: random.chance(0.3) };
  const server = { ...chosen[anonymous ? "anonymous" : "server"], ...more };
  const retrying = { ...server, groups: server.groups.filter(({ name }) => !retry || name === "secp256r1") };
  const options = rogueOptions(random, layer);
  const client = { ...chosen.client, ...more };
  const victim =
    victimSide === "client"
      ? clientEngine(seeded(client, provider, keys.client), observed)
      : serverEngine(seeded(retrying, provider, keys.server), observed);
  const rogue =
    victimSide === "client"
      ? new Rogue({ server: seeded(retrying, honest, keys.server) }, options)
      : new Rogue({ client: seeded(client, honest, keys.client) }, options);
  const cast = { victim: end(victim), rogue: rogue.start(), alerts: () => alerts };
  if (opening === "early" || opening === "rejected early") {
    for (let i = random.integer(3); i > 0; i--) sendEarly(random, layer, cast);
  }
  return cast;
}

/** Early data of whichever side is the client, more than is allowed now and then. */
function sendEarly(random: Random, layer: Case["layer"], { victim, rogue }: { victim: End; rogue: Rogue }): void {
  const content = random.bytes(1 + random.integer(random.chance(0.1) ? 5000 : 500));
  if (victim.engine.side === "client") {
    victim.engine.writeEarlyData(content);
    return;
  }
  const record = { type: 23, content };
  for (const sent of layer === "wire" || random.chance(0.5) ? [record] : mutateRecord(random, record)) rogue.send(sent);
}

function rogueOptions(random: Random, layer: Case["layer"]): RogueOptions {
  const coalesce = random.chance(0.4);
  const fragment = random.chance(0.3) ? 1 + random.integer(200) : undefined;
  if (layer === "record") {
    return { coalesce, fragment, records: (record) => (random.chance(0.3) ? mutateRecord(random, record) : [record]) };
  }
  if (layer === "wire") return { coalesce, fragment };
  // Which message of a handshake of up to six it will be; further ones only seldom.
  const victims = new Set([random.integer(6), ...(random.chance(0.2) ? [random.integer(6)] : [])]);
  const reorder = random.chance(0.1);
  let count = 0;
  let held: Uint8Array | undefined;
  return {
    coalesce,
    fragment,
    tamper: (message) => {
      const chosen = victims.has(count++);
      if (reorder && chosen && held === undefined) {
        held = message;
        return [];
      }
      const messages = chosen ? mutateMessage(random, message) : [message];
      if (held === undefined || !random.chance(0.5)) return messages;
      const late = held;
      held = new Uint8Array(0);
      return late.length === 0 ? messages : [...messages, late];
    },
  };
}

/** Something that a peer may or may not send once it is connected. */
function afterwards(random: Random, rogue: Rogue, data: Uint8Array[]): void {
  // Around the length from which a late provider protects records late, too.
  const piece = random.bytes(1 + random.integer(random.chance(0.3) ? 3 * BULK_THRESHOLD : 100));
  const ticket = rawMessage(4, Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 2, 1, 9, 0, 1, 7, 0, 0));
  // A request for a certificate, with rsa_pss_rsae_sha256 and ed25519, or an answer that declines.
  const authentication =
    rogue.side === "server"
      ? rawMessage(13, Uint8Array.of(1, random.integer(4), 0, 10, 0, 13, 0, 6, 0, 4, 8, 4, 8, 7))
      : rawMessage(11, Uint8Array.of(1, random.integer(4), 0, 0, 0));
  switch (random.integer(9)) {
    case 8: {
      const messages = random.chance(0.5) ? [authentication] : mutateMessage(random, authentication);
      for (const message of messages) if (message.length > 0) rogue.sendMessage(message);
      return;
    }
    case 0:
      rogue.send({ type: 22, content: rawMessage(24, Uint8Array.of(random.integer(2))), padding: random.integer(600) });
      rogue.updateWriteKey();
      return;
    case 1:
      for (const message of mutateMessage(random, ticket)) if (message.length > 0) rogue.sendMessage(message);
      return;
    case 2:
      for (const record of mutateRecord(random, { type: 23, content: piece })) rogue.send(record);
      // Whether it counts as data depends on the mutation: nothing is claimed about such a stream.
      data.length = 0;
      data.push(new Uint8Array(0));
      return;
    case 3:
      rogue.send({ type: 21, content: random.chance(0.5) ? Uint8Array.of(1, 0) : random.bytes(2) });
      return;
    default:
      data.push(piece);
      rogue.send({ type: 23, content: piece, padding: random.integer(50) });
  }
}

/** Asks for a certificate, where the client has offered to be asked. */
function ask(engine: TlsEngine): void {
  try {
    engine.requestClientCertificate();
  } catch (error) {
    if (!(error instanceof TlsError) || error.code !== "ERR_TLS_POST_HANDSHAKE_AUTH") throw error;
  }
}

/** Runs one case; throws where the victim breaks a promise. Gives what became of it and all that the victim sent. */
async function run(seed: number): Promise<{ readonly outcome: string; readonly sent: Uint8Array }> {
  const current = caseOf(seed);
  const { random, layer, late, victimSide, opening } = current;
  const { victim, rogue, alerts } = cast(current);
  const asks = victimSide === "server" && random.chance(0.5);
  const { engine } = victim;
  const sent: Uint8Array[] = [];
  const earlyData: Uint8Array[] = [];
  let wroteMore = 0;
  let damage = layer === "wire" ? 1 + random.integer(2) : 0;
  for (let rounds = 0, idle = 0; idle < (late ? 24 : 1); rounds++) {
    if (rounds > 500) throw new Error("no end to it");
    let up = rogue.takeOutput();
    const down = engine.takeOutput();
    if (down.length > 0) rogue.receive(down);
    if (up.length > 0 && damage > 0 && random.chance(0.6)) {
      damage--;
      up = mutateStream(random, up);
    }
    for (let at = 0; at < up.length; ) {
      const length = random.chance(0.7) ? up.length : 1 + random.integer(200);
      const piece = up.subarray(at, at + length);
      at += piece.length;
      feed(victim, piece, random, earlyData);
    }
    idle = up.length + down.length > 0 ? 0 : idle + 1;
    if (idle > 0 && rogue.result !== undefined && engine.error === undefined && wroteMore < 3) {
      wroteMore++;
      idle = 0;
      for (let i = random.integer(4); i >= 0; i--) afterwards(random, rogue, sent);
      if (asks && engine.result !== undefined && !engine.finished) ask(engine);
      if (engine.result !== undefined && engine.writable > 0 && !engine.finished)
        engine.write(random.bytes(random.pick([10, 1000])));
    }
    if (late && idle > 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const beforeEnd = engine.error;
  engine.receiveEnd();
  for (let turns = 0; turns < 20_000 && engine.busy; turns++) {
    // An alert is there, and observed, when it is taken. A flight in records of a byte each is opened record by record.
    engine.takeOutput();
    await new Promise((resolve) => setImmediate(resolve));
  }
  check(victim, alerts());
  if (join(earlyData).length > (opening === "early" && victimSide === "server" ? MAX_EARLY_DATA : 0)) {
    throw new Error("more early data than there may be");
  }
  if (layer === "wire") {
    const received = join(victim.received);
    const all = join(sent);
    if (!sent.some(({ length }) => length === 0) && !equal(received, all.subarray(0, received.length))) {
      throw new Error("the victim read what nobody sent");
    }
  }
  const outcome = beforeEnd?.code ?? (engine.result === undefined ? "waiting" : "connected");
  const by = engine.result?.psk === undefined ? "" : " by key";
  const early = engine.result?.earlyData === "accepted" ? " with early data" : "";
  return {
    outcome: `${victimSide} ${opening} ${layer} ${late ? "late" : "sync"} ${outcome}${by}${early}`,
    sent: join(rogue.wire),
  };
}

function feed(victim: End, bytes: Uint8Array, random: Random, early: Uint8Array[]): void {
  const { engine } = victim;
  for (let rest = bytes; rest.length > 0; ) {
    const taken = engine.receive(rest);
    rest = rest.subarray(taken);
    if (engine.outputLength > MOST_QUEUED) throw new Error(`${engine.outputLength} bytes of output`);
    const before = victim.received.length;
    if (rest.length > 0 || random.chance(0.8)) {
      for (let chunk = engine.read(); chunk !== undefined; chunk = engine.read()) victim.received.push(chunk);
      for (let chunk = engine.readEarlyData(); chunk !== undefined; chunk = engine.readEarlyData()) early.push(chunk);
    }
    if (taken === 0 && victim.received.length === before) {
      // It waits for an answer of its own: what it has not taken is lost, as when a transport gives up.
      return;
    }
  }
}

function check(victim: End, alerts: number): void {
  const { engine, events } = victim;
  for (let chunk = engine.read(); chunk !== undefined; chunk = engine.read()) victim.received.push(chunk);
  const { error } = engine;
  if (error === undefined && !engine.ended) throw new Error(`neither failed nor ended, in ${engine.state}`);
  if (error?.code === "ERR_TLS_INTERNAL" || error?.code === "ERR_TLS_CALLBACK_FAILED") throw error;
  if (failures(victim) !== (error === undefined ? 0 : 1)) throw new Error(`${failures(victim)} failures`);
  const expected = error?.direction === "sent" ? 1 : 0;
  if (alerts !== expected) throw new Error(`${alerts} alerts for ${error?.code}`);
  const [last] = events.slice(-1);
  if (error !== undefined && last?.type !== "failed") throw new Error(`${last?.type} after the failure`);
}

describe(`${CASES} damaged handshakes from seed ${SEED} on`, () => {
  const outcomes = new Map<string, number>();
  const batches = Array.from({ length: Math.ceil(CASES / BATCH) }, (_, index) => SEED + index * BATCH);

  it.each(batches)("from %i", { timeout: 300_000 }, async (first) => {
    for (let seed = first; seed < Math.min(first + BATCH, SEED + CASES); seed++) {
      let outcome: string;
      try {
        ({ outcome } = await run(seed));
      } catch (cause) {
        throw new Error(`FUZZ_SEED=${seed} FUZZ_CASES=1 repeats this`, { cause });
      }
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  });

  it("are the same when they are repeated", async () => {
    for (let seed = SEED; seed < SEED + 50; seed++) expect(await run(seed)).toEqual(await run(seed));
  });

  it.runIf(CASES >= 1000)("reach far and wide", () => {
    const count = (part: string) =>
      [...outcomes].reduce((sum, [outcome, times]) => (outcome.includes(part) ? sum + times : sum), 0);
    if (process.env.FUZZ_SHOW) console.info([...outcomes].sort(([, a], [, b]) => b - a));
    expect(count("message")).toBeGreaterThanOrEqual(0.45 * CASES);
    expect(count("late")).toBeGreaterThan(0.1 * CASES);
    for (const opening of Object.keys(OPENINGS)) expect(count(` ${opening} `)).toBeGreaterThan(0.05 * CASES);
    for (const side of ["client", "server"]) expect(count(side)).toBeGreaterThan(0.4 * CASES);
    for (const part of [
      " by key",
      " with early data",
      "connected",
      "waiting",
      "DECODE_ERROR",
      "ILLEGAL_PARAMETER",
      "UNEXPECTED_MESSAGE",
      "BAD_RECORD_MAC",
    ]) {
      expect([part, count(part) > 10]).toEqual([part, true]);
    }
    expect(count("DIGEST_CHECK_FAILED") + count("BAD_SIGNATURE")).toBeGreaterThan(10);
  });
});
