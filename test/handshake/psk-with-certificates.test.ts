/** An external key and certificates together, RFC 8773. */
import { beforeAll, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { ServerHello } from "../../src/codec/messages.ts";
import { sealedTickets, sessionCache } from "../../src/engine/index.ts";
import { createThrowawayAuthority } from "../../src/pki/index.ts";
import { type End, exchange, failure } from "../support/pair.ts";
import { expectRefusal, verdict } from "../support/refusal.ts";
import type { Tamper } from "../support/rogue.ts";
import { createWorld, edit, type World, without, withRaw } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

const psks = [{ identity: "shared", key: new Uint8Array(32).fill(7) }];
const both = { psks, pskWithCertificates: true };

function meet(client: object = both, server: object = both): [End, End] {
  const ends: [End, End] = [world.honestClient(client), world.honestServer(server)];
  exchange(...ends);
  return ends;
}

describe("a key and certificates", () => {
  it("authenticate together, both ways", () => {
    const [near, far] = meet();
    expect([failure(near), failure(far)]).toEqual([undefined, undefined]);
    for (const { engine } of [near, far]) {
      expect(engine.result?.psk?.kind).toBe("external");
      expect(engine.result?.peer?.verified).toBe(true);
      expect(engine.result?.peerSignatureScheme).toBeDefined();
      expect(engine.result?.group).toBe("x25519");
    }
    expect(far.engine.result?.peer?.commonName).toBe("client");
    near.engine.write(utf8("hello"));
    exchange(near, far);
    expect(concat(...far.received)).toEqual(utf8("hello"));
  });

  it("do so over a retry", () => {
    const [near, far] = meet(both, { ...both, groups: ["secp384r1"] });
    expect([failure(near), failure(far)]).toEqual([undefined, undefined]);
    expect(near.engine.result?.retried).toBe(true);
  });

  it("are both needed: a certificate that nobody trusts does not pass with the key", async () => {
    const { certificatePem: trust } = await createThrowawayAuthority();
    expect(failure(meet({ ...both, trust })[0])?.alert).toBe("unknown_ca");
    expect(failure(meet(both, { ...both, trust })[1])?.alert).toBe("unknown_ca");
    expect(failure(meet({ ...both, identities: [] })[1])?.alert).toBe("certificate_required");
  });

  it("are both needed: another key does not pass with the certificates", () => {
    const other = [{ identity: "shared", key: new Uint8Array(32) }];
    expect(failure(meet({ ...both, psks: other })[1])?.alert).toBe("decrypt_error");
  });

  it.each([
    ["certificates alone", { psks: [], pskWithCertificates: false }],
    ["the key alone", { psks, pskWithCertificates: false }],
    ["another key", { psks: [{ identity: "other", key: new Uint8Array(32) }], pskWithCertificates: true }],
  ])("a server with %s is refused", (_, server) => {
    expect(failure(meet(both, server)[0])).toMatchObject({ alert: "missing_extension", stage: "WAIT_SH" });
  });

  it("ask authorize once, with the certificate's identity", () => {
    const names: (string | undefined)[] = [];
    const authorize = (peer: { commonName: string | undefined } | undefined) => {
      names.push(peer?.commonName);
      return true;
    };
    meet(both, { ...both, authorize });
    expect(names).toEqual(["client"]);
  });

  it("are not resumed, and nothing else is then", () => {
    const client = { ...both, sessions: sessionCache() };
    const server = { ...both, tickets: { store: sealedTickets() } };
    for (let round = 0; round < 2; round++) {
      const [near] = meet(client, server);
      expect(near.engine.result?.resumed).toBe(false);
      expect(near.events.map(({ type }) => type)).not.toContain("ticket");
    }
  });

  it("need a key and a key exchange to be an option", () => {
    expect(() => world.honestClient({ pskWithCertificates: true })).toThrow(/needs psks/);
    expect(() => world.honestClient({ ...both, pskModes: ["psk_ke"] })).toThrow(/psk_dhe_ke/);
  });
});

describe("the extension in ServerHello", () => {
  const serverHello =
    (change: (hello: ServerHello) => ServerHello): Tamper =>
    (message, name) =>
      name === "server_hello" ? edit(message, ServerHello, change) : undefined;

  it("unasked is refused", () => {
    const tamper = serverHello((h) => ({ ...h, extensions: withRaw(h.extensions, "tls_cert_with_extern_psk") }));
    const rogue = world.rogueServer({ tamper }, { psks });
    expectRefusal(world.honestClient({ psks }), rogue, verdict("ERR_TLS_UNSUPPORTED_EXTENSION", "WAIT_SH"));
  });

  it("without a key is refused", () => {
    const tamper = serverHello((h) => ({ ...h, extensions: without(h.extensions, "pre_shared_key") }));
    const rogue = world.rogueServer({ tamper }, both);
    expectRefusal(world.honestClient(both), rogue, verdict("ERR_TLS_ILLEGAL_PARAMETER", "WAIT_SH"));
  });
});
