/** Requests for certificates after the handshake that nobody answers: watching them costs no more than so much. */
import { describe, expect, it } from "vitest";
import { concat, equal } from "../../src/bytes/bytes.ts";
import { extension } from "../../src/codec/extensions.ts";
import { Certificate, CertificateRequest, encodeMessage, Finished } from "../../src/codec/messages.ts";
import { SignatureScheme } from "../../src/codec/registry.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import type { CipherSuite } from "../../src/crypto/provider.ts";
import type { Observation } from "../../src/engine/index.ts";
import { RecordSealer } from "../../src/record/protection.ts";
import { inspected, notesOf, recorder } from "./captures.ts";
import { traced } from "./support.ts";

const HANDSHAKE = 22;

const request = (context: number) =>
  encodeMessage("certificate_request", CertificateRequest, {
    certificate_request_context: Uint8Array.of(context),
    extensions: [extension<"CR", "signature_algorithms">("signature_algorithms", [SignatureScheme.codes.ed25519])],
  });
const refusal = (context: number) =>
  concat(
    encodeMessage("certificate", Certificate, {
      certificate_request_context: Uint8Array.of(context),
      certificate_list: [],
    }),
    encodeMessage("finished", Finished, { verify_data: new Uint8Array(32) }),
  );

describe("requests after the handshake", () => {
  it("are kept up to 64: answers to others are left unjudged", async () => {
    const capture = recorder("client");
    const secrets = new Map<string, Uint8Array>();
    const ends = await traced(
      { client: { cipherSuites: ["TLS_AES_128_GCM_SHA256"] } },
      {
        client: (observation) => {
          capture.observer(observation);
          if (observation.kind === "secret") secrets.set(observation.label, observation.secret.slice());
        },
      },
    );
    const { suites } = nobleProvider;
    const suite = suites.find(({ name }) => name === ends.client.engine.result?.cipherSuite) as CipherSuite;
    const sealer = (label: string) => new RecordSealer(suite, secrets.get(label) as Uint8Array);
    const say = (direction: "sent" | "received", wire: Uint8Array) => {
      const content = wire.subarray(5);
      const facts = { epoch: "application", outerType: 23, type: 23, padding: 0, sequence: 0, generation: 0 } as const;
      capture.observer({ kind: "record", direction, wire, content, ...facts } satisfies Observation);
    };
    const [client, server] = [sealer("CLIENT_TRAFFIC_SECRET_0"), sealer("SERVER_TRAFFIC_SECRET_0")];
    for (let context = 0; context < 66; context++) say("received", server.seal(HANDSHAKE, request(context)));
    for (const context of [0, 63, 64, 65]) say("sent", client.seal(HANDSHAKE, refusal(context)));
    // One that is answered makes room.
    say("received", server.seal(HANDSHAKE, request(66)));
    say("sent", client.seal(HANDSHAKE, refusal(66)));
    const { items } = inspected(capture.file());
    expect(
      notesOf(items())
        .slice(2)
        .map((note) => note.replace(/^problem the client's Finished /, "")),
    ).toEqual([
      "is wrong: the client has seen another handshake than this one",
      "is wrong: the client has seen another handshake than this one",
      "could not be checked: not all of the handshake before it was seen",
      "could not be checked: not all of the handshake before it was seen",
      "is wrong: the client has seen another handshake than this one",
    ]);
    const finished = items().filter((item) => item.kind === "message" && item.type === "finished");
    expect(
      finished.filter((item) => item.kind === "message" && equal(item.bytes.subarray(4), new Uint8Array(32))),
    ).toHaveLength(5);
  });
});
