/**
 * A P-256 leaf under a P-256 root that is at hand: parsing, path validation and the name check, against the verification of
 * the leaf's signature alone, by the same provider with the same imported key.
 */
import { type MeasureOptions, measure, type Subject } from "../src/bench/measure.ts";
import { nobleProvider } from "../src/crypto/noble.ts";
import { createNodeProvider } from "../src/crypto/node.ts";
import type { CryptoProvider } from "../src/crypto/provider.ts";
import { settle } from "../src/flow.ts";
import { parseCertificate } from "../src/x509/parse.ts";
import { trustStore } from "../src/x509/trust.ts";
import { trustVerifier } from "../src/x509/verifier.ts";
import { createMaterial, type Material } from "./material.ts";
import { printTable, type Row, row } from "./rows.ts";

/** Runs the scenario and prints its table. */
export async function verify(quick: boolean): Promise<Row[]> {
  const material = await createMaterial();
  const groups: readonly (readonly [string, CryptoProvider, MeasureOptions])[] = [
    ["verify-node", createNodeProvider(), { runsPerRound: 50, rounds: quick ? 200 : 600, warmupRounds: 60 }],
    ["verify-noble", nobleProvider, { runsPerRound: 5, rounds: quick ? 100 : 300, warmupRounds: 30 }],
  ];
  const rows: Row[] = [];
  for (const [name, provider, options] of groups) {
    const measured = await measure([whole(name, provider, material), signatureAlone(provider, material)], options);
    const [subject] = measured;
    if (subject === undefined) continue;
    const found = row(subject, "signature");
    printTable(`A P-256 leaf under a P-256 root, parsed and verified: ${name}`, measured, [found]);
    rows.push(found);
  }
  return rows;
}

function whole(name: string, provider: CryptoProvider, { ca, server }: Material): Subject {
  const verifier = trustVerifier({ trust: trustStore(ca) });
  const [leaf] = server.certificates;
  const time = Date.now();
  return {
    name,
    run() {
      // Bytes of its own, as from the network: nothing can have been remembered of them.
      const certificates = [leaf.slice()];
      const identity = settle(verifier.verify({ certificates, role: "server", name: "localhost", time, provider }));
      if (!("verified" in identity) || !identity.verified) throw new Error("verify: not verified");
    },
  };
}

function signatureAlone(provider: CryptoProvider, { ca, server }: Material): Subject {
  const { tbs, signature } = parseCertificate(server.certificates[0]);
  const [anchor] = trustStore(ca).anchors;
  if (anchor === undefined) throw new Error("verify: no root");
  const { publicKey } = anchor;
  const algorithm = { type: "ecdsa", hash: "sha256" } as const;
  return {
    name: "signature",
    run() {
      if (provider.verify(publicKey, algorithm, tbs, signature) !== true) throw new Error("verify: signature");
    },
  };
}
