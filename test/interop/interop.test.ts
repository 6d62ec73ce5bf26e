import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Side } from "../../src/errors.ts";
import { createThrowawayAuthority } from "../../src/pki/index.ts";
import { missing } from "../support/needs.ts";
import { FEATURE_NAMES, FEATURES, type Feature } from "./features.ts";
import { meet, type Parties } from "./meeting.ts";
import { lacking, PEERS } from "./peers.ts";
import { endPeers } from "./process.ts";
import { Results } from "./table.ts";

const SIDES: readonly Side[] = ["client", "server"];
const results = new Results();
let parties: Parties;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mutls-interop-"));
  const authority = await createThrowawayAuthority();
  const save = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const issue = async (side: Side) => {
    const subject = side === "server" ? "localhost" : "alice";
    const issued = await authority.issue({ subject, [side]: true, ...(side === "server" && { dnsNames: [subject] }) });
    const { certificatePem: cert, privateKeyPem: key } = issued;
    return { pem: { cert, key }, files: { cert: save(`${side}.pem`, cert), key: save(`${side}.key`, key) } };
  };
  const [client, server] = [await issue("client"), await issue("server")];
  parties = {
    ca: authority.certificatePem,
    files: { ca: save("ca.pem", authority.certificatePem), client: client.files, server: server.files },
    pem: { client: client.pem, server: server.pem },
    names: { client: "alice", server: "localhost" },
  };
});

afterAll(() => {
  endPeers();
  rmSync(folder, { recursive: true, force: true });
});

for (const peer of PEERS) {
  const absent = lacking(peer);
  const skipped = missing(`${peer.name} (${absent.join(", ")})`, absent.length === 0);
  describe.skipIf(skipped)(peer.name, () => {
    for (const side of SIDES) {
      const theirs = peer.lacks[side === "client" ? "server" : "client"];
      for (const name of FEATURE_NAMES.filter((each) => theirs[each] === undefined)) {
        it(`mutls ${side}, ${name}`, async () => {
          const feature: Feature = FEATURES[name];
          const met = await meet(peer, side, feature, parties);
          feature.check?.(met, side);
          results.passed(peer, side, name, met.version);
        });
      }
    }
  });
}

it("TABLE.md is what was found", async () => {
  expect(await results.stale()).toBeUndefined();
});
