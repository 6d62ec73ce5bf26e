import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createNodeProvider } from "../../src/crypto/node.ts";
import type { ClientAuth } from "../../src/handshake/config.ts";
import { exchange, failure } from "../support/pair.ts";
import { PemFiles } from "../support/pem-files.ts";
import { type Certificates, createCertificates } from "./certificates.ts";
import { makeEnd, optionsFor } from "./ends.ts";
import { type Presented, VERDICTS, type Verdict } from "./modes.ts";

const files = new PemFiles();
const provider = createNodeProvider();
let certificates: Certificates;

beforeAll(async () => {
  certificates = await createCertificates(files);
});

afterAll(() => files.remove());

describe("modes of client authentication", () => {
  for (const [clientAuth, byCertificate] of Object.entries(VERDICTS) as [ClientAuth, (typeof VERDICTS)["on"]][]) {
    for (const [certificate, verdict] of Object.entries(byCertificate) as [Presented, Verdict][]) {
      it(`${clientAuth}, certificate ${certificate}: ${verdict}`, () => {
        const presented = certificate === "none" ? undefined : certificates.client[certificate];
        const options = optionsFor(
          certificates,
          {
            client: {
              identities: presented === undefined ? [] : [{ cert: presented.certificates, key: presented.privateKey }],
              ignoreRequestHints: true,
            },
            server: { clientAuth },
          },
          provider,
        );
        const client = makeEnd("client", options, undefined);
        const server = makeEnd("server", options, undefined);
        exchange(client, server);

        const accepted = verdict === "verified" || verdict === "unverified" || verdict === "nobody";
        expect(failure(server)?.code).toBe(accepted ? undefined : verdict);
        expect(failure(client)?.direction).toBe(accepted ? undefined : "received");
        if (!accepted) return;
        const { result } = server.engine;
        expect(result?.clientAuthRequested).toBe(clientAuth !== "off");
        expect(result?.peer === undefined ? "nobody" : result.peer.verified ? "verified" : "unverified").toBe(verdict);
        // Whatever is not verified must not pass for someone.
        expect(result?.peer?.anchor === undefined).toBe(verdict !== "verified");
        expect(client.engine.result?.identity === undefined).toBe(verdict === "nobody");
      });
    }
  }
});
