import { describe, expect, it } from "vitest";
import { createMaterial } from "../../src/bench/material.ts";
import type { KeyName } from "../../src/bench/scenario.ts";
import { mlDsaKeyPair } from "../../src/crypto/ml-dsa-keys.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import { settle } from "../../src/flow.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { trustVerifier } from "../../src/x509/verifier.ts";

const provider = createNodeProvider();
const lengths = async (key: KeyName, chain: number) => {
  const { root, server, client } = await createMaterial({ key, chain });
  return [root, ...server.cert, ...client.cert].map(({ length }) => length);
};

describe("certificates to measure with", () => {
  it.each(["ecdsa-p256", "ecdsa-p384", "ed25519", "mldsa44"] as const)("are as long each time: %s", async (key) => {
    const first = await lengths(key, 2);
    for (let i = 0; i < 4; i++) expect(await lengths(key, 2)).toEqual(first);
  });

  it("are chains up to the root, with one kind of key throughout", async () => {
    const { root, server, client } = await createMaterial({ key: "ecdsa-p384", chain: 3 });
    expect([server.cert.length, client.cert.length]).toEqual([3, 3]);
    const all = [root, ...server.cert, ...client.cert].map((der) => parseCertificate(der).publicKey.algorithm);
    expect(new Set(all.map((algorithm) => JSON.stringify(algorithm)))).toEqual(
      new Set([JSON.stringify({ type: "ec", curve: "P-384" })]),
    );
    const verifier = trustVerifier({ trust: trustStore(root) });
    const request = { name: undefined, time: Date.now(), provider };
    const ends = [
      ["server", server],
      ["client", client],
    ] as const;
    for (const [role, { cert }] of ends)
      expect((await settle(verifier.verify({ ...request, certificates: cert, role }))).verified).toBe(true);
    // Each is for its own end alone.
    const swapped = { ...request, certificates: client.cert, role: "server" } as const;
    await expect((async () => settle(verifier.verify(swapped)))()).rejects.toMatchObject({ code: "INVALID_PURPOSE" });
  });

  it.each(["mldsa44", "mldsa65", "mldsa87"] as const)("have keys of %s that sign", async (name) => {
    const { spki, pkcs8 } = mlDsaKeyPair(name, new Uint8Array(32).fill(7));
    const message = Uint8Array.of(1, 2, 3);
    const signature = await provider.signer(pkcs8).sign(name, message);
    const key = { spki, algorithm: { type: name } } as const;
    expect(await provider.verify(key, { type: name }, message, signature)).toBe(true);
    expect(await provider.verify(key, { type: name }, Uint8Array.of(1, 2), signature)).toBe(false);
    expect(mlDsaKeyPair(name, new Uint8Array(32).fill(7)).spki).toEqual(spki);
    expect(mlDsaKeyPair(name, new Uint8Array(32).fill(8)).spki).not.toEqual(spki);
  });
});
