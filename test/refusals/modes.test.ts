import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createNodeProvider } from "../../src/crypto/node.ts";
import type { CauseCode } from "../../src/errors.ts";
import type { ClientAuth } from "../../src/handshake/config.ts";
import { PemFiles } from "../support/openssl.ts";
import { exchange, failure } from "../support/pair.ts";
import { type Certificates, createCertificates, type Party } from "./certificates.ts";
import { makeEnd, optionsFor } from "./ends.ts";

/** What the server makes of the client: who it is, whether that is verified, or why it is refused. */
type Verdict = "verified" | "unverified" | "nobody" | CauseCode;

/** A server's mode × the client's certificate. */
const VERDICTS: Readonly<Record<ClientAuth, Readonly<Record<keyof Party | "none", Verdict>>>> = {
  off: {
    none: "nobody",
    good: "nobody",
    stranger: "nobody",
    strangerWithRoot: "nobody",
    selfSigned: "nobody",
    withoutIntermediate: "nobody",
    expired: "nobody",
    future: "nobody",
    wrongPurpose: "nobody",
    elsewhere: "nobody",
  },
  optional: {
    none: "nobody",
    good: "verified",
    stranger: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    strangerWithRoot: "SELF_SIGNED_CERT_IN_CHAIN",
    selfSigned: "DEPTH_ZERO_SELF_SIGNED_CERT",
    withoutIntermediate: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    expired: "CERT_HAS_EXPIRED",
    future: "CERT_NOT_YET_VALID",
    wrongPurpose: "INVALID_PURPOSE",
    // A client's names are not compared with anything.
    elsewhere: "verified",
  },
  optional_no_ca: {
    none: "nobody",
    good: "verified",
    stranger: "unverified",
    strangerWithRoot: "unverified",
    selfSigned: "unverified",
    withoutIntermediate: "unverified",
    expired: "CERT_HAS_EXPIRED",
    future: "CERT_NOT_YET_VALID",
    wrongPurpose: "INVALID_PURPOSE",
    elsewhere: "verified",
  },
  on: {
    none: "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE",
    good: "verified",
    stranger: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    strangerWithRoot: "SELF_SIGNED_CERT_IN_CHAIN",
    selfSigned: "DEPTH_ZERO_SELF_SIGNED_CERT",
    withoutIntermediate: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    expired: "CERT_HAS_EXPIRED",
    future: "CERT_NOT_YET_VALID",
    wrongPurpose: "INVALID_PURPOSE",
    elsewhere: "verified",
  },
};

const files = new PemFiles();
const provider = createNodeProvider();
let certificates: Certificates;

beforeAll(async () => {
  certificates = await createCertificates(files);
});

afterAll(() => files.remove());

describe("modes of client authentication", () => {
  for (const [clientAuth, byCertificate] of Object.entries(VERDICTS) as [ClientAuth, (typeof VERDICTS)["on"]][]) {
    for (const [certificate, verdict] of Object.entries(byCertificate) as [keyof Party | "none", Verdict][]) {
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
