/** Certificate, CertificateVerify and Finished, each broken alone, by either side; and who may speak in the clear. */
import { beforeAll, describe, expect, it } from "vitest";
import { concat, join } from "../../src/bytes/bytes.ts";
import { Certificate, CertificateVerify, Finished } from "../../src/codec/messages.ts";
import { resolveIdentity } from "../../src/engine/index.ts";
import type { Side } from "../../src/errors.ts";
import type { HandshakeName, StateName } from "../../src/flow.ts";
import { signedContent } from "../../src/handshake/auth.ts";
import type { ClientConfig, ServerConfig } from "../../src/handshake/config.ts";
import { type End, failure } from "../support/pair.ts";
import { expectRefusal, verdict } from "../support/refusal.ts";
import { confront, type Rogue, type Tamper } from "../support/rogue.ts";
import { createWorld, edit, editBytes, identityOf, provider, raw, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

type Code = Parameters<typeof verdict>[0];
type Config = (config: ClientConfig & ServerConfig) => ClientConfig & ServerConfig;

/** A victim, and a rogue of the other side. */
function meeting(rogueSide: Side, tamper?: Tamper, config?: Config): [End, Rogue] {
  const inner = config === undefined ? {} : { config: config as never };
  return rogueSide === "server"
    ? [world.honestClient(), world.rogueServer({ tamper }, {}, inner)]
    : [world.honestServer(), world.rogueClient({ tamper }, {}, inner)];
}

const only =
  (wanted: HandshakeName, change: (message: Uint8Array) => ReturnType<Tamper>): Tamper =>
  (message, name) =>
    name === wanted ? change(message) : undefined;
const certificate = (change: (body: Certificate) => Certificate) =>
  only("certificate", (message) => edit(message, Certificate, change));
const proof = (change: (body: CertificateVerify) => CertificateVerify) =>
  only("certificate_verify", (message) => edit(message, CertificateVerify, change));
const finished = (change: (data: Uint8Array) => Uint8Array) =>
  only("finished", (message) => edit(message, Finished, ({ verify_data }) => ({ verify_data: change(verify_data) })));
const scheme = (algorithm: number) => proof((body) => ({ ...body, algorithm }));
const bytes = (name: HandshakeName, change: (body: Uint8Array) => Uint8Array) =>
  only(name, (message) => editBytes(message, change));
const flipped = (data: Uint8Array, at: number) => data.map((byte, index) => (index === at ? byte ^ 1 : byte));

const CASES: readonly [string, Code, StateName, Tamper][] = [
  [
    "a Certificate with a context",
    "ERR_TLS_ILLEGAL_PARAMETER",
    "WAIT_CERT",
    certificate((body) => ({ ...body, certificate_request_context: Uint8Array.of(1) })),
  ],
  [
    "a Certificate with 17 entries",
    "CERT_CHAIN_TOO_LONG",
    "WAIT_CERT",
    certificate((body) => ({ ...body, certificate_list: new Array(17).fill(body.certificate_list[0]) })),
  ],
  [
    "an entry with an extension nobody asked for",
    "ERR_TLS_UNSUPPORTED_EXTENSION",
    "WAIT_CERT",
    certificate((body) => ({
      ...body,
      certificate_list: body.certificate_list.map((entry) => ({
        ...entry,
        extensions: [raw("status_request", 1, 0, 0, 1, 0)],
      })),
    })),
  ],
  [
    "an entry with an unknown extension",
    "ERR_TLS_UNSUPPORTED_EXTENSION",
    "WAIT_CERT",
    certificate((body) => ({
      ...body,
      certificate_list: body.certificate_list.map((entry) => ({ ...entry, extensions: [raw(0x0a0a)] })),
    })),
  ],
  [
    "an entry with an extension of another message",
    "ERR_TLS_ILLEGAL_PARAMETER",
    "WAIT_CERT",
    certificate((body) => ({
      ...body,
      certificate_list: body.certificate_list.map((entry) => ({ ...entry, extensions: [raw("key_share", 0, 29)] })),
    })),
  ],
  [
    "a certificate that is no DER",
    "CERT_PARSE_ERROR",
    "WAIT_CERT",
    certificate((body) => ({ ...body, certificate_list: [{ cert_data: new Uint8Array(100), extensions: [] }] })),
  ],
  [
    "a certificate cut short",
    "CERT_PARSE_ERROR",
    "WAIT_CERT",
    certificate((body) => ({
      ...body,
      certificate_list: body.certificate_list.map((entry) => ({
        ...entry,
        cert_data: entry.cert_data.subarray(0, -1),
      })),
    })),
  ],
  [
    "a certificate with a byte too many",
    "CERT_PARSE_ERROR",
    "WAIT_CERT",
    certificate((body) => ({
      ...body,
      certificate_list: body.certificate_list.map((entry) => ({
        ...entry,
        cert_data: concat(entry.cert_data, Uint8Array.of(0)),
      })),
    })),
  ],
  [
    "garbage behind a good certificate",
    "CERT_PARSE_ERROR",
    "WAIT_CERT",
    certificate((body) => ({
      ...body,
      certificate_list: [...body.certificate_list, { cert_data: Uint8Array.of(0x30), extensions: [] }],
    })),
  ],
  [
    "an entry without a certificate",
    "ERR_TLS_DECODE_ERROR",
    "WAIT_CERT",
    bytes("certificate", () => Uint8Array.of(0, 0, 0, 5, 0, 0, 0, 0, 0)),
  ],
  ["half a Certificate", "ERR_TLS_DECODE_ERROR", "WAIT_CERT", bytes("certificate", (body) => body.subarray(0, -9))],
  [
    "a Certificate with a byte too many",
    "ERR_TLS_DECODE_ERROR",
    "WAIT_CERT",
    bytes("certificate", (body) => concat(body, Uint8Array.of(0))),
  ],
  ["a scheme nobody offered", "ERR_TLS_ILLEGAL_PARAMETER", "WAIT_CV", scheme(0x0808)],
  ["a scheme nobody knows", "ERR_TLS_ILLEGAL_PARAMETER", "WAIT_CV", scheme(0x0a0a)],
  ["PKCS#1 v1.5, which is for certificates only", "ERR_TLS_ILLEGAL_PARAMETER", "WAIT_CV", scheme(0x0401)],
  ["SHA-1", "ERR_TLS_ILLEGAL_PARAMETER", "WAIT_CV", scheme(0x0203)],
  ["a scheme for another kind of key", "ERR_TLS_ILLEGAL_PARAMETER", "WAIT_CV", scheme(0x0807)],
  ["a scheme for another curve", "ERR_TLS_ILLEGAL_PARAMETER", "WAIT_CV", scheme(0x0503)],
  [
    "a signature with one bit wrong",
    "ERR_SSL_BAD_SIGNATURE",
    "WAIT_CV",
    proof((body) => ({ ...body, signature: flipped(body.signature, body.signature.length - 1) })),
  ],
  [
    "a signature with a byte too many",
    "ERR_SSL_BAD_SIGNATURE",
    "WAIT_CV",
    proof((body) => ({ ...body, signature: concat(body.signature, Uint8Array.of(0)) })),
  ],
  ["no signature", "ERR_SSL_BAD_SIGNATURE", "WAIT_CV", proof((body) => ({ ...body, signature: new Uint8Array(0) }))],
  [
    "a signature of zeros",
    "ERR_SSL_BAD_SIGNATURE",
    "WAIT_CV",
    proof((body) => ({ ...body, signature: new Uint8Array(64) })),
  ],
  [
    "half a CertificateVerify",
    "ERR_TLS_DECODE_ERROR",
    "WAIT_CV",
    bytes("certificate_verify", (body) => body.subarray(0, 3)),
  ],
  [
    "a CertificateVerify with a byte too many",
    "ERR_TLS_DECODE_ERROR",
    "WAIT_CV",
    bytes("certificate_verify", (body) => concat(body, Uint8Array.of(0))),
  ],
  ["a wrong Finished", "ERR_SSL_DIGEST_CHECK_FAILED", "WAIT_FINISHED", finished((data) => flipped(data, 0))],
  [
    "a Finished wrong at its end",
    "ERR_SSL_DIGEST_CHECK_FAILED",
    "WAIT_FINISHED",
    finished((data) => flipped(data, data.length - 1)),
  ],
  ["a short Finished", "ERR_SSL_DIGEST_CHECK_FAILED", "WAIT_FINISHED", finished((data) => data.subarray(0, -1))],
  [
    "a long Finished",
    "ERR_SSL_DIGEST_CHECK_FAILED",
    "WAIT_FINISHED",
    finished((data) => concat(data, Uint8Array.of(0))),
  ],
  ["an empty Finished", "ERR_SSL_DIGEST_CHECK_FAILED", "WAIT_FINISHED", finished(() => new Uint8Array(0))],
];

for (const side of ["server", "client"] as const) {
  describe(`a ${side} with`, () => {
    it.each(CASES)("%s: %s", (_name, code, stage, tamper) => {
      expectRefusal(...meeting(side, tamper), verdict(code, stage));
    });

    it("a signature by another key: decrypt_error", () => {
      const other = provider.signer((side === "server" ? world.client : world.server).privateKey);
      const config: Config = (given) => ({
        ...given,
        sources: { ...given.sources, sign: (_signer, name, message) => other.sign(name, message) },
      });
      expectRefusal(...meeting(side, undefined, config), verdict("ERR_SSL_BAD_SIGNATURE", "WAIT_CV"));
    });

    it("a signature in the other side's name (4.4.3): decrypt_error", () => {
      const config: Config = (given) => ({
        ...given,
        sources: {
          ...given.sources,
          sign: (signer, name, message) => {
            const transcriptHash = message.subarray(-32);
            expect(message).toEqual(signedContent(side, transcriptHash));
            return signer.sign(name, signedContent(side === "server" ? "client" : "server", transcriptHash));
          },
        },
        // So that the hash is 32 bytes long.
        suites: given.suites.filter(({ hash }) => hash.length === 32),
      });
      expectRefusal(...meeting(side, undefined, config), verdict("ERR_SSL_BAD_SIGNATURE", "WAIT_CV"));
    });

    it("a signature over an older transcript: decrypt_error", () => {
      const config: Config = (given) => ({
        ...given,
        sources: {
          ...given.sources,
          sign: (signer, name, message) =>
            signer.sign(
              name,
              message.map((byte, at) => (at === message.length - 1 ? byte ^ 1 : byte)),
            ),
        },
      });
      expectRefusal(...meeting(side, undefined, config), verdict("ERR_SSL_BAD_SIGNATURE", "WAIT_CV"));
    });
  });
}

describe("an empty Certificate", () => {
  const empty = (message: Uint8Array, name: HandshakeName) =>
    name === "certificate"
      ? edit(message, Certificate, (body) => ({ ...body, certificate_list: [] }))
      : name === "certificate_verify"
        ? []
        : undefined;

  it("from a server: decode_error (4.4.2.4)", () => {
    expectRefusal(...meeting("server", empty), verdict("ERR_TLS_DECODE_ERROR", "WAIT_CERT"));
  });

  it("from a client that must have one: certificate_required", () => {
    expectRefusal(...meeting("client", empty), verdict("ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE", "WAIT_CERT"));
  });

  it("from a client, and a CertificateVerify after it: unexpected_message", () => {
    const server = world.honestServer({ clientAuth: "optional" });
    const client = world.rogueClient({
      tamper: (message, name) => (name === "certificate" ? empty(message, name) : undefined),
    });
    expectRefusal(server, client, verdict("ERR_SSL_UNEXPECTED_MESSAGE", "WAIT_FINISHED"));
  });

  it("from a client, with a context: illegal_parameter", () => {
    const server = world.honestServer({ clientAuth: "optional" });
    const client = world.rogueClient({
      tamper: certificate(() => ({ certificate_request_context: Uint8Array.of(0), certificate_list: [] })),
    });
    expectRefusal(server, client, verdict("ERR_TLS_ILLEGAL_PARAMETER", "WAIT_CERT"));
  });
});

describe("a client without an identity", () => {
  it("says so with an empty Certificate, and proves nothing", () => {
    const client = world.honestClient({ identities: [] });
    const server = world.rogueServer({}, { clientAuth: "optional" });
    confront(client, server);
    expect([failure(client), server.error, server.result?.peer]).toEqual([undefined, undefined, undefined]);
    const types = server.received.filter(({ type, isProtected }) => type === 22 && isProtected);
    expect([...join(types.map(({ content }) => content))].slice(0, 9)).toEqual([11, 0, 0, 4, 0, 0, 0, 0, 20]);
  });
});

describe("a client whose callback chooses an identity that cannot sign what the server takes", () => {
  it("fails before it says who it is: handshake_failure", () => {
    const { cert, key } = identityOf(world.client);
    const chosen = resolveIdentity({ cert, key }, provider);
    const victim = world.honestClient({ selectIdentity: () => chosen });
    const server = world.rogueServer({}, { signatureSchemes: ["ed25519"] });
    expectRefusal(victim, server, verdict("ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM", "WAIT_FINISHED"));
    expect(server.received.some(({ type, isProtected }) => type === 22 && isProtected)).toBe(false);
  });
});

describe("an authorized peer", () => {
  it("may still be refused: access_denied", () => {
    const refuse = { authorize: () => false };
    expectRefusal(world.honestClient(refuse), world.rogueServer(), verdict("ERR_TLS_ACCESS_DENIED", "WAIT_FINISHED"));
    expectRefusal(world.honestServer(refuse), world.rogueClient(), verdict("ERR_TLS_ACCESS_DENIED", "WAIT_FINISHED"));
  });
});

describe("a plaintext alert", () => {
  const alert = { type: 21, content: Uint8Array.of(2, 40), plain: true };

  it("from a client that has sent nothing protected is what it says", () => {
    const server = world.honestServer();
    let first = true;
    const client = world.rogueClient({
      records: (record, epoch) => {
        if (epoch !== "handshake" || !first) return epoch === "handshake" ? [] : [record];
        first = false;
        return [alert];
      },
    });
    confront(server, client);
    expect(failure(server)).toMatchObject({ code: "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE", direction: "received" });
    expect(client.alerts).toEqual([]);
  });

  it("from a client that has sent something protected is unexpected", () => {
    let first = true;
    const client = world.rogueClient({
      records: (record, epoch) => {
        if (epoch !== "handshake" || !first) return [record];
        first = false;
        return [record, alert];
      },
    });
    expectRefusal(world.honestServer(), client, verdict("ERR_SSL_UNEXPECTED_MESSAGE", "WAIT_CV"));
  });

  it("from a server that has keys is unexpected", () => {
    const server = world.rogueServer({ records: (record, epoch) => (epoch === "handshake" ? [alert] : [record]) });
    expectRefusal(world.honestClient(), server, verdict("ERR_SSL_UNEXPECTED_MESSAGE", "WAIT_EE"));
  });

  it("after the handshake is unexpected, from either side", () => {
    const client = world.honestClient();
    const rogueServer = world.rogueServer();
    confront(client, rogueServer);
    rogueServer.send(alert);
    expectRefusal(client, rogueServer, verdict("ERR_SSL_UNEXPECTED_MESSAGE", "CONNECTED"));
    const server = world.honestServer();
    const rogueClient = world.rogueClient();
    confront(server, rogueClient);
    rogueClient.send(alert);
    expectRefusal(server, rogueClient, verdict("ERR_SSL_UNEXPECTED_MESSAGE", "CONNECTED"));
  });
});
