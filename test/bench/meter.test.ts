import { describe, expect, it } from "vitest";
import { Meter } from "../../src/bench/meter.ts";
import { meteredProvider, meteredVerifier } from "../../src/bench/metered.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import type { CryptoProvider, PromptAead } from "../../src/crypto/provider.ts";
import { settle } from "../../src/flow.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { acceptAnyVerifier, trustVerifier } from "../../src/x509/verifier.ts";
import { makeAuthority, makeCertificate } from "../support/pki.ts";

/** A meter over a clock that only work moves. */
function metered() {
  let time = 0;
  const meter = new Meter(() => time);
  const work = (takes: number) => {
    time += takes;
  };
  return { meter, work };
}

describe("a meter", () => {
  it("gives each moment to the innermost operation, and the rest to the end", () => {
    const { meter, work } = metered();
    work(100);
    meter.side(() => {
      work(1);
      meter.run("path", () => {
        work(2);
        meter.run("verify_certificate", () => work(4));
        work(8);
      });
      work(16);
    });
    work(100);
    const { path, verify_certificate, rest } = meter.read();
    expect([rest.cpu, path.cpu, verify_certificate.cpu]).toEqual([17, 10, 4]);
    expect([path.calls, verify_certificate.calls, rest.calls]).toEqual([1, 1, 0]);
  });

  it("keeps to that when work throws", () => {
    const { meter, work } = metered();
    const broken = () =>
      meter.run("sign", () => {
        work(1);
        throw new RangeError("no");
      });
    meter.side(() => {
      expect(broken).toThrow(RangeError);
      work(2);
    });
    expect([meter.read().sign.cpu, meter.read().rest.cpu]).toEqual([1, 2]);
  });

  it("tells waiting for a promise from work, whatever becomes of it", async () => {
    const { meter, work } = metered();
    const later = (outcome: Promise<string>) =>
      meter.side(() =>
        meter.later("sign", () => {
          work(1);
          return outcome.finally(() => work(50));
        }),
      );
    expect(await later(Promise.resolve("signature"))).toBe("signature");
    await expect(later(Promise.reject(new RangeError("vault")))).rejects.toThrow("vault");
    expect(meter.read().sign).toEqual({ calls: 2, cpu: 2, waiting: 100 });
  });

  it("lets an operation take what it is made of", () => {
    const { meter, work } = metered();
    meter.side(() => meter.whole("ticket", () => meter.run("hkdf", () => work(3))));
    expect([meter.read().ticket.cpu, meter.read().ticket.calls, meter.read().hkdf.calls]).toEqual([3, 1, 0]);
    meter.reset();
    meter.side(() => meter.run("hkdf", () => work(3)));
    expect([meter.read().ticket.calls, meter.read().hkdf.cpu]).toEqual([0, 3]);
  });

  it("measures nothing outside what an end does", () => {
    const { meter, work } = metered();
    meter.open();
    work(1);
    meter.close();
    work(10);
    expect(meter.read().rest.cpu).toBe(1);
  });
});

describe("a metered provider", () => {
  it("answers as the other does, and counts", () => {
    const meter = new Meter();
    const provider = meteredProvider(nobleProvider, meter);
    const { sha256 } = provider.hashes;
    const data = Uint8Array.of(1, 2, 3);
    const state = sha256.start();
    state.update(data);
    expect(state.clone().digest()).toEqual(nobleProvider.hashes.sha256.digest(data));
    expect(sha256.digest(data)).toEqual(nobleProvider.hashes.sha256.digest(data));
    expect(sha256.hmac(data, data)).toEqual(nobleProvider.hashes.sha256.hmac(data, data));
    const suite = provider.suites[0] as CryptoProvider["suites"][number];
    expect(suite.hash).toBe(provider.hashes[suite.hash.name]);
    const aead = suite.aead(new Uint8Array(suite.keyLength)) as PromptAead;
    const sealed = aead.seal(new Uint8Array(12), data, data);
    expect(aead.open(new Uint8Array(12), data, sealed)).toEqual(data);
    const { hash, hkdf, protection, random } = meter.read();
    expect([hash.calls, hkdf.calls, protection.calls, random.calls]).toEqual([2, 1, 2, 0]);
  });

  it("has the same hash each time, since the key schedule goes by that", () => {
    const provider = meteredProvider(nobleProvider, new Meter());
    expect(provider.suites[0]?.hash).toBe(provider.hashes.sha256);
    expect(provider.groups[0]).toBe(provider.groups[0]);
  });
});

describe("a metered verifier", () => {
  it("passes on answers, promises and refusals", async () => {
    const authority = await makeAuthority();
    const { der } = await makeCertificate({ issuer: authority });
    const other = await makeAuthority({ subject: "another CA" });
    const late: CryptoProvider = {
      ...nobleProvider,
      verify: async (...signed) => nobleProvider.verify(...signed),
      usableKey: async () => true,
    };
    for (const provider of [nobleProvider, late]) {
      const meter = new Meter();
      const request = { certificates: [der], role: "server", name: "localhost", time: Date.now(), provider } as const;
      const trusting = meteredVerifier(trustVerifier({ trust: trustStore(authority.der) }), meter);
      expect((await settle(trusting.verify(request))).verified).toBe(true);
      expect(meter.read().path.calls).toBe(1);
      const wary = meteredVerifier(trustVerifier({ trust: trustStore(other.der) }), meter);
      await expect((async () => settle(wary.verify(request)))()).rejects.toMatchObject({
        code: expect.stringMatching(/^UNABLE_TO_/),
      });
    }
    expect(meteredVerifier(acceptAnyVerifier(), new Meter()).trust).toBeUndefined();
  });

  it("passes on what a promise is rejected with", async () => {
    const authority = await makeAuthority();
    const { der } = await makeCertificate({ issuer: authority });
    const provider: CryptoProvider = {
      ...nobleProvider,
      verify: () => Promise.reject(new RangeError("the vault is shut")),
    };
    const verifier = meteredVerifier(trustVerifier({ trust: trustStore(authority.der) }), new Meter());
    const request = { certificates: [der], role: "server", name: "localhost", time: Date.now(), provider } as const;
    await expect((async () => settle(verifier.verify(request)))()).rejects.toThrow("the vault is shut");
  });
});
