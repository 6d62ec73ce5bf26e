/** OCSP staples, SCTs and certificate_authorities: asked for, sent, carried (RFC 8446 4.4.2.1, 4.2.4; RFC 6962 3.3). */
import { beforeAll, describe, expect, it } from "vitest";
import { Certificate } from "../../src/codec/messages.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { createWebCryptoProvider } from "../../src/crypto/webcrypto.ts";
import type { IdentityOptions } from "../../src/engine/index.ts";
import { sealedTickets, sessionCache } from "../../src/engine/index.ts";
import { accept, connect, memoryPair } from "../../src/index.ts";
import { zlibCompression } from "../../src/node/index.ts";
import { createThrowawayAuthority } from "../../src/pki/index.ts";
import { type End, exchange, exchangeLate, failure } from "../support/pair.ts";
import { expectRefusal, verdict } from "../support/refusal.ts";
import type { Tamper } from "../support/rogue.ts";
import { createWorld, edit, identityOf, provider, raw, type World } from "../support/world.ts";

let world: World;
let of: { readonly server: IdentityOptions; readonly client: IdentityOptions };
const OCSP = Uint8Array.of(0x30, 3, 0x0a, 1, 0);
const SCTS = [Uint8Array.of(0, 1, 2), Uint8Array.of(0, 9)];
const NONE = { ocsp: undefined, scts: [] };

beforeAll(async () => {
  world = await createWorld(2);
  of = {
    server: { ...identityOf(world.server), ocspResponse: OCSP, scts: SCTS },
    client: { ...identityOf(world.client), ocspResponse: OCSP, scts: SCTS },
  };
});

const both = () => ({
  client: { identities: [of.client] },
  server: { identities: [of.server] },
});

/** What has come beside the peer's certificate. */
const brought = ({ engine: { result } }: End) => result && { ocsp: result.peerOcspResponse, scts: result.peerScts };

describe.each([provider, nobleProvider, createWebCryptoProvider({ fallback: nobleProvider })])(
  "staples and timestamps, $name",
  (crypto) => {
    it.each([
      ["are sent where both are asked for", { requestStatus: true, requestScts: true }, { ocsp: OCSP, scts: SCTS }],
      ["one is sent where one is asked for", { requestStatus: true }, { ocsp: OCSP, scts: [] }],
      ["or the other", { requestScts: true }, { ocsp: undefined, scts: SCTS }],
      ["none is sent unasked", {}, NONE],
    ] as const)("%s", async (_what, ask, carried) => {
      const options = both();
      const client = world.honestClient({ ...options.client, ...ask, provider: crypto });
      const server = world.honestServer({ ...options.server, ...ask, provider: crypto });
      await exchangeLate(client, server);
      expect([failure(client), failure(server)]).toEqual([undefined, undefined]);
      expect([client, server].map(brought)).toEqual([carried, carried]);
    });
  },
);

it("one direction says nothing about the other", () => {
  const options = both();
  const client = world.honestClient({ ...options.client, requestStatus: true });
  const server = world.honestServer({ ...options.server, requestScts: true });
  exchange(client, server);
  expect(brought(client)).toEqual({ ocsp: OCSP, scts: [] });
  expect(brought(server)).toEqual({ ocsp: undefined, scts: SCTS });
});

it("they travel in compressed certificates", () => {
  const options = both();
  const certificateCompression = [zlibCompression()];
  const client = world.honestClient({ ...options.client, certificateCompression, requestStatus: true });
  const server = world.honestServer({ ...options.server, certificateCompression, requestStatus: true });
  exchange(client, server);
  expect([failure(client), failure(server)]).toEqual([undefined, undefined]);
  expect(brought(client)?.ocsp).toEqual(OCSP);
  expect(brought(server)?.ocsp).toEqual(OCSP);
});

it("a resumed connection has those of the first", () => {
  const options = both();
  const sessions = sessionCache();
  const tickets = { store: sealedTickets() };
  const results = [0, 1].map(() => {
    const client = world.honestClient({ ...options.client, sessions, requestStatus: true });
    exchange(client, world.honestServer({ ...options.server, tickets, requestStatus: true }));
    return [client.engine.result?.resumed, brought(client)];
  });
  expect(results).toEqual([false, true].map((resumed) => [resumed, { ocsp: OCSP, scts: [] }]));
});

it("a session has them", async () => {
  const [near, far] = memoryPair();
  const trust = world.authority.certificatePem;
  const accepting = accept(far, { identities: [of.server] });
  const session = await connect(near, { serverName: "localhost", trust, requestStatus: true, requestScts: true });
  await accepting;
  expect([session.peerOcspResponse, session.peerScts]).toEqual([OCSP, SCTS]);
});

describe("a certificate entry may only carry what was asked for", () => {
  const carrying =
    (code: Parameters<typeof raw>[0], ...data: number[]): Tamper =>
    (message, name) =>
      name === "certificate"
        ? edit(message, Certificate, (c) => ({
            ...c,
            certificate_list: c.certificate_list.map((entry) => ({ ...entry, extensions: [raw(code, ...data)] })),
          }))
        : undefined;
  const ROWS = [
    ["a staple unasked", {}, "ERR_TLS_UNSUPPORTED_EXTENSION", carrying("status_request", 1, 0, 0, 1, 0x30)],
    [
      "timestamps unasked",
      {},
      "ERR_TLS_UNSUPPORTED_EXTENSION",
      carrying("signed_certificate_timestamp", 0, 3, 0, 1, 7),
    ],
    ["something unknown", {}, "ERR_TLS_UNSUPPORTED_EXTENSION", carrying(0xfe00)],
    ["an extension of other messages", {}, "ERR_TLS_ILLEGAL_PARAMETER", carrying("key_share", 0, 29)],
    [
      "a staple of another kind",
      { requestStatus: true },
      "ERR_TLS_ILLEGAL_PARAMETER",
      carrying("status_request", 2, 0, 0, 1, 0x30),
    ],
    ["an empty staple", { requestStatus: true }, "ERR_TLS_DECODE_ERROR", carrying("status_request", 1, 0, 0, 0)],
    [
      "no timestamp at all",
      { requestScts: true },
      "ERR_TLS_DECODE_ERROR",
      carrying("signed_certificate_timestamp", 0, 0),
    ],
    [
      "an empty timestamp",
      { requestScts: true },
      "ERR_TLS_DECODE_ERROR",
      carrying("signed_certificate_timestamp", 0, 2, 0, 0),
    ],
  ] as const;

  it.each(ROWS)("a server's: %s", (_what, ask, code, tamper) => {
    expectRefusal(world.honestClient(ask), world.rogueServer({ tamper }), verdict(code, "WAIT_CERT"));
  });

  it.each(ROWS)("a client's: %s", (_what, ask, code, tamper) => {
    expectRefusal(world.honestServer(ask), world.rogueClient({ tamper }), verdict(code, "WAIT_CERT"));
  });
});

describe("an identity's", () => {
  it.each([
    ["staple that is no DER", { ocspResponse: Uint8Array.of(1) }],
    ["empty staple", { ocspResponse: new Uint8Array(0) }],
    ["staple that no extension holds", { ocspResponse: new Uint8Array(0x10000).fill(0x30) }],
    ["empty timestamp", { scts: [new Uint8Array(0)] }],
    ["timestamps that no extension holds", { scts: [new Uint8Array(0xffff)] }],
  ])("%s is refused", (_what, beside) => {
    const identities = [{ ...identityOf(world.server), ...beside }];
    expect(() => world.honestServer({ identities })).toThrow(expect.objectContaining({ code: "ERR_TLS_OPTION" }));
  });
});

describe("certificate_authorities of a client (RFC 8446 4.2.4)", () => {
  it("guide which of its certificates a server presents", async () => {
    const other = await createThrowawayAuthority({ name: "another root" });
    const second = await other.issue({ subject: "localhost", dnsNames: ["localhost"] });
    const identities = [identityOf(world.server), identityOf(second)];
    for (const [trust, expected] of [
      [world.authority, world.server],
      [other, second],
    ] as const) {
      const client = world.honestClient({ trust: trust.certificatePem, sendAuthorities: true });
      const server = world.honestServer({ identities, clientAuth: "off" });
      exchange(client, server);
      expect([failure(client), failure(server)]).toEqual([undefined, undefined]);
      expect(client.engine.result?.peerCertificates[0]).toEqual(expected.certificates[0]);
    }
  });

  it("that fit none leave the choice as it was", async () => {
    const other = await createThrowawayAuthority({ name: "another root" });
    const client = world.honestClient({ trust: other.certificatePem, sendAuthorities: true });
    const server = world.honestServer();
    exchange(client, server);
    expect(failure(client)).toMatchObject({ alert: "unknown_ca", stage: "WAIT_CERT" });
  });

  it("are not sent unasked, and not without anchors", () => {
    const seen: string[] = [];
    const server = world.honestServer({
      onClientHello: ({ raw: { extensions = [] } }) => {
        seen.push(...extensions.map(({ name }) => name ?? "unknown"));
        return undefined;
      },
    });
    exchange(world.honestClient(), server);
    expect(seen).not.toContain("certificate_authorities");
    expect(() => world.honestClient({ trust: undefined, rejectUnauthorized: false, sendAuthorities: true })).toThrow(
      expect.objectContaining({ code: "ERR_TLS_OPTION" }),
    );
  });
});
