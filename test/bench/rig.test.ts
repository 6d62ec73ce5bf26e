import { describe, expect, it } from "vitest";
import { createMaterial } from "../../src/bench/material.ts";
import { Meter, OPERATIONS } from "../../src/bench/meter.ts";
import { createRig } from "../../src/bench/rig.ts";
import { createScenario, type Scenario } from "../../src/bench/scenario.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import type { CryptoProvider, Hash, KeyShare } from "../../src/crypto/provider.ts";

/** What each operation takes, on a clock that nothing else moves; sums tell which were meant. */
const TAKES = { key_share: 1, key_agreement: 10, encapsulation: 100, sign: 1000, verify: 10_000, hmac: 0.001 };

function slow(isLate: boolean) {
  let time = 0;
  const taking = <T>(takes: number, work: () => T): T => {
    time += takes;
    return work();
  };
  const late = <T>(takes: number, work: () => T): Promise<T> | T =>
    isLate ? Promise.resolve().then(() => taking(takes, work)) : taking(takes, work);
  const hash = (plain: Hash): Hash => ({
    ...plain,
    hmac: (...given) => taking(TAKES.hmac, () => plain.hmac(...given)),
  });
  const sha256 = hash(nobleProvider.hashes.sha256);
  const provider: CryptoProvider = {
    ...nobleProvider,
    name: "slow",
    synchronous: !isLate,
    hashes: { ...nobleProvider.hashes, sha256 },
    suites: nobleProvider.suites.map((suite) => (suite.hash.name === "sha256" ? { ...suite, hash: sha256 } : suite)),
    groups: nobleProvider.groups.map((group) => ({
      name: group.name,
      generate: () =>
        late(TAKES.key_share, () => {
          const share = group.generate() as KeyShare;
          return { ...share, agree: (peer) => late(TAKES.key_agreement, () => share.agree(peer) as Uint8Array) };
        }),
      encapsulate: (peer) => late(TAKES.encapsulation, () => group.encapsulate(peer)),
    })) as CryptoProvider["groups"],
    verify: (...signed) => late(TAKES.verify, () => nobleProvider.verify(...signed) as boolean),
    signer(pkcs8) {
      const signer = nobleProvider.signer(pkcs8);
      return {
        schemes: signer.schemes,
        sign: (...given) => late(TAKES.sign, () => signer.sign(...given) as Uint8Array),
      };
    },
  };
  return { provider, now: () => time };
}

async function timesOf(isLate: boolean, change: Partial<Scenario> = {}) {
  const { provider, now } = slow(isLate);
  const scenario = createScenario({ provider: () => provider, ...change });
  const meters = { client: new Meter(now), server: new Meter(now) };
  const rig = await createRig(scenario, await createMaterial(scenario), meters);
  meters.client.reset();
  meters.server.reset();
  await rig.run();
  const spent = (meter: Meter, kind: "cpu" | "waiting") => {
    const costs = meter.read();
    const found = OPERATIONS.map((name) => [name, Number(costs[name][kind].toFixed(3))] as const);
    return Object.fromEntries(found.filter(([, time]) => time > 0));
  };
  return {
    cpu: { client: spent(meters.client, "cpu"), server: spent(meters.server, "cpu") },
    waiting: { client: spent(meters.client, "waiting"), server: spent(meters.server, "waiting") },
  };
}

const both = { sign: 1000, verify_handshake: 10_000, verify_certificate: 10_000 };

describe("a handshake under meters", () => {
  it("spends its time where it is spent", async () => {
    const { cpu, waiting } = await timesOf(false);
    expect(cpu.client).toEqual({ key_share: 1, key_agreement: 10, hkdf: 0.021, ...both });
    expect(cpu.server).toEqual({ encapsulation: 100, hkdf: 0.021, ...both });
    expect(waiting).toEqual({ client: {}, server: {} });
  });

  it("waits where it waits", async () => {
    const { cpu, waiting } = await timesOf(true, { auth: "one-way" });
    expect(cpu).toEqual({ client: { hkdf: 0.021 }, server: { hkdf: 0.021 } });
    expect(waiting.client).toMatchObject({ key_share: 1, verify_handshake: 10_000, verify_certificate: 10_000 });
    expect(waiting.client.sign).toBeUndefined();
    expect(waiting.server).toMatchObject({ encapsulation: 100 });
  });

  it("counts a ticket's hashes as the ticket's", async () => {
    const { cpu } = await timesOf(false, { kind: "resumed" });
    expect(cpu.server.ticket).toBe(0.002);
    expect(cpu.client).toEqual({ key_share: 1, key_agreement: 10, hkdf: 0.028, verify_certificate: 10_000 });
  });
});
