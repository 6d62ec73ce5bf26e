/** Client authentication after the handshake, RFC 8446 4.6.2: both roles, and each check of either broken alone. */
import { beforeAll, describe, expect, it } from "vitest";
import { concat } from "../../src/bytes/bytes.ts";
import { extension, find } from "../../src/codec/extensions.ts";
import { CertificateRequest, decodeBody, encodeMessage, KeyUpdate } from "../../src/codec/messages.ts";
import { SignatureScheme } from "../../src/codec/registry.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import type { CryptoProvider, Hash } from "../../src/crypto/provider.ts";
import type { ClientOptions, EngineEvent, ServerOptions } from "../../src/engine/index.ts";
import { TlsError } from "../../src/errors.ts";
import { answerRequest } from "../../src/handshake/client-answer.ts";
import type { ClientConfig, HandshakeResult } from "../../src/handshake/config.ts";
import type { Identity } from "../../src/handshake/identity.ts";
import { zlibCompression } from "../../src/node/index.ts";
import { HandshakeReader } from "../../src/record/framing.ts";
import { lateProvider } from "../support/late-provider.ts";
import { type End, exchange, exchangeLate, failure } from "../support/pair.ts";
import { expectFailed, expectRefusal, verdict } from "../support/refusal.ts";
import { confront, type Rogue } from "../support/rogue.ts";
import { createWorld, identityOf, provider, rawMessage, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

const willing: Partial<ClientOptions> = { postHandshakeAuth: true };
const asking: Partial<ServerOptions> = { postHandshakeAuth: true, clientAuth: "off" };
const [nextKey, bothKeys] = [0, 1].map((request_update) => encodeMessage("key_update", KeyUpdate, { request_update }));

type Answered = Extract<EngineEvent, { type: "client_authenticated" }>;
const answers = (end: End): Answered[] => end.events.filter((event) => event.type === "client_authenticated");
const names = (end: End) => answers(end).map(({ facts }) => facts.peer?.commonName);

const late = lateProvider(nobleProvider, { seed: 7 });
const PROVIDERS: readonly (readonly [CryptoProvider, CryptoProvider])[] = [
  [nobleProvider, nobleProvider],
  [provider, provider],
  [late, provider],
  [provider, late],
  [late, late],
];

describe.each(PROVIDERS.map(([client, server]) => ({ client, server, title: `${client.name} → ${server.name}` })))(
  "asking for a certificate after the handshake, $title",
  ({ client, server }) => {
    async function connected(
      clientOptions: Partial<ClientOptions> = {},
      serverOptions: Partial<ServerOptions> = {},
    ): Promise<[End, End]> {
      const near = world.honestClient({ provider: client, ...willing, ...clientOptions });
      const far = world.honestServer({ provider: server, ...asking, ...serverOptions });
      await exchangeLate(near, far);
      expect([near, far].map(failure)).toEqual([undefined, undefined]);
      return [near, far];
    }

    it("gives who the client is", async () => {
      const [near, far] = await connected();
      expect(far.engine.result?.peer).toBeUndefined();
      const context = far.engine.requestClientCertificate();
      await exchangeLate(near, far);
      expect([near, far].map(failure)).toEqual([undefined, undefined]);
      expect(answers(far).map((answer) => answer.context)).toEqual([context]);
      expect(names(far)).toEqual(["client"]);
      expect(far.engine.result?.peer?.commonName).toBe("client");
      expect(near.events.filter(({ type }) => type === "identity_presented")).toHaveLength(1);
      far.engine.write(Uint8Array.of(1));
      near.engine.write(Uint8Array.of(2));
      await exchangeLate(near, far);
      expect([near.received, far.received]).toEqual([[Uint8Array.of(1)], [Uint8Array.of(2)]]);
    });

    it("serves several requests at once, each answered in its own context", async () => {
      const [near, far] = await connected({}, { clientAuth: "on" });
      const contexts = [1, 2, 3].map(() => far.engine.requestClientCertificate());
      await exchangeLate(near, far);
      expect(new Set(answers(far).map(({ context }) => context.join()))).toEqual(
        new Set(contexts.map((context) => context.join())),
      );
      expect(names(far)).toEqual(["client", "client", "client"]);
    });

    it("goes on when the client declines", async () => {
      const [near, far] = await connected({ identities: [] }, {});
      far.engine.requestClientCertificate();
      await exchangeLate(near, far);
      expect(failure(far)).toBeUndefined();
      expect(names(far)).toEqual([undefined]);
      expect(far.engine.result?.peer).toBeUndefined();
    });

    it("keeps who the client was when it declines to say so again", async () => {
      const choices = ["client", undefined];
      const own: Identity[] = [];
      const [near, far] = await connected(
        { selectIdentity: () => (choices.shift() === undefined ? undefined : own[0]) },
        {},
      );
      own.push(...identitiesOf(client));
      for (let round = 0; round < 2; round++) {
        far.engine.requestClientCertificate();
        await exchangeLate(near, far);
      }
      expect(names(far)).toEqual(["client", undefined]);
      expect(far.engine.result?.peer?.commonName).toBe("client");
    });

    it("lets keys change between request and answer, on both sides", async () => {
      const [near, far] = await connected();
      far.engine.requestClientCertificate();
      far.engine.updateKeys("update_requested");
      near.engine.updateKeys("update_requested");
      await exchangeLate(near, far);
      expect([near, far].map(failure)).toEqual([undefined, undefined]);
      expect(names(far)).toEqual(["client"]);
    });

    it("takes compressed certificates", async () => {
      const certificateCompression = [zlibCompression()];
      const [near, far] = await connected({ certificateCompression }, { certificateCompression });
      far.engine.requestClientCertificate();
      far.engine.requestClientCertificate();
      await exchangeLate(near, far);
      expect(failure(far)).toBeUndefined();
      expect(names(far)).toEqual(["client", "client"]);
    });

    it("refuses who does not verify", async () => {
      const stranger = await createWorld();
      const [near, far] = await connected({ identities: [identityOf(stranger.client)], ignoreRequestHints: true });
      far.engine.requestClientCertificate();
      await exchangeLate(near, far);
      const code = "UNABLE_TO_VERIFY_LEAF_SIGNATURE";
      expect(failure(far)).toEqual({ code, alert: "unknown_ca", direction: "sent", stage: "CONNECTED" });
      expect(failure(near)).toMatchObject({ alert: "unknown_ca", direction: "received" });
    });

    it("refuses who is not authorized", async () => {
      const [near, far] = await connected({}, { authorize: (peer) => peer === undefined });
      far.engine.requestClientCertificate();
      await exchangeLate(near, far);
      expect(failure(far)).toMatchObject({ code: "ERR_TLS_ACCESS_DENIED", alert: "access_denied" });
      expect(answers(far)).toEqual([]);
    });
  },
);

function identitiesOf(of: CryptoProvider): readonly Identity[] {
  let config: ClientConfig | undefined;
  world.honestClient(
    { provider: of },
    {
      config: (resolved) => {
        config = resolved;
        return resolved;
      },
    },
  );
  return (config as ClientConfig).identities;
}

describe("records while an answer is in the making", () => {
  it("are read and written, and the answer takes the key of when it leaves", async () => {
    const sign: (() => void)[] = [];
    const [identity] = identitiesOf(provider);
    const slow: Identity = {
      ...(identity as Identity),
      signer: {
        schemes: (identity as Identity).signer.schemes,
        sign: (scheme, message) =>
          new Promise((resolve) => sign.push(() => resolve((identity as Identity).signer.sign(scheme, message)))),
      },
    };
    const near = world.honestClient({ ...willing, selectIdentity: () => slow });
    const far = world.honestServer(asking);
    exchange(near, far);
    const contexts = [far.engine.requestClientCertificate(), far.engine.requestClientCertificate()];
    far.engine.write(Uint8Array.of(1));
    exchange(near, far);
    near.engine.write(Uint8Array.of(2));
    near.engine.updateKeys();
    far.engine.updateKeys("update_requested");
    exchange(near, far);
    expect([near.received, far.received]).toEqual([[Uint8Array.of(1)], [Uint8Array.of(2)]]);
    expect([sign.length, answers(far).length]).toEqual([2, 0]);
    // The second first.
    for (const which of [1, 0]) {
      sign[which]?.();
      await exchangeLate(near, far);
      expect(failure(far)).toBeUndefined();
    }
    expect(answers(far).map(({ context }) => context)).toEqual([...contexts].reverse());
  });

  it("are read while it is judged; and a connection that is over stays so", async () => {
    const judge: (() => void)[] = [];
    const verifier = {
      verify: function* () {
        yield {
          need: "promise",
          operation: "verify_certificate",
          promise: new Promise((_, reject) => judge.push(() => reject(new TlsError("CERT_REJECTED", "late")))),
        } as const;
        throw new Error("not reached");
      },
    };
    const near = world.honestClient(willing);
    const far = world.honestServer({ ...asking, trust: undefined, verifier });
    exchange(near, far);
    far.engine.requestClientCertificate();
    exchange(near, far);
    near.engine.write(Uint8Array.of(1));
    near.engine.updateKeys();
    near.engine.write(Uint8Array.of(2));
    exchange(near, far);
    expect([judge.length, far.received]).toEqual([1, [Uint8Array.of(1), Uint8Array.of(2)]]);
    near.engine.close();
    far.engine.close();
    exchange(near, far);
    judge[0]?.();
    await exchangeLate(near, far);
    expect([far.engine.done, failure(far), answers(far)]).toEqual([true, undefined, []]);
  });

  it("end in an internal error where the key's signer fails", async () => {
    const [identity] = identitiesOf(provider);
    const sign = () => Promise.reject(new Error("no"));
    const broken = { ...(identity as Identity), signer: { schemes: (identity as Identity).signer.schemes, sign } };
    const near = world.honestClient({ ...willing, selectIdentity: () => broken });
    const far = world.honestServer(asking);
    exchange(near, far);
    far.engine.requestClientCertificate();
    await exchangeLate(near, far);
    expect(failure(near)).toMatchObject({
      code: "ERR_TLS_SIGNING_FAILED",
      alert: "internal_error",
      stage: "CONNECTED",
    });
    expect(failure(far)).toMatchObject({ alert: "internal_error", direction: "received" });
  });
});

describe("a server does not ask", () => {
  const refused = { code: "ERR_TLS_POST_HANDSHAKE_AUTH" };
  const ask = (end: End) => () => end.engine.requestClientCertificate();

  it.each<[string, Partial<ClientOptions>, Partial<ServerOptions>]>([
    ["a client that has not offered it", {}, asking],
    ["without the option", willing, { clientAuth: "off" }],
    [
      "a client that stands on an external key (4.3.2)",
      { ...willing, psks: [{ identity: "a", key: new Uint8Array(32) }] },
      { ...asking, psks: [{ identity: "a", key: new Uint8Array(32) }] },
    ],
  ])("%s", (_, clientOptions, serverOptions) => {
    const [near, far] = [world.honestClient(clientOptions), world.honestServer(serverOptions)];
    exchange(near, far);
    expect(far.engine.state).toBe("CONNECTED");
    expect(ask(far)).toThrow(expect.objectContaining(refused));
    exchange(near, far);
    expect([near, far].map(failure)).toEqual([undefined, undefined]);
  });

  it("seventeen times at once", () => {
    const [near, far] = [world.honestClient(willing), world.honestServer(asking)];
    exchange(near, far);
    for (let index = 0; index < 16; index++) far.engine.requestClientCertificate();
    expect(ask(far)).toThrow(expect.objectContaining(refused));
    exchange(near, far);
    expect(answers(far)).toHaveLength(16);
    expect(ask(far)).not.toThrow();
  });

  it("before the handshake is done, or after the end; and a client never does", () => {
    const [near, far] = [world.honestClient(willing), world.honestServer(asking)];
    expect(ask(far)).toThrow(expect.objectContaining({ code: "ERR_TLS_CLOSED" }));
    exchange(near, far);
    expect(ask(near)).toThrow(expect.objectContaining(refused));
    far.engine.close();
    expect(ask(far)).toThrow(expect.objectContaining({ code: "ERR_TLS_CLOSED" }));
  });

  it("with an option that nobody could be verified by", () => {
    const options = { ...asking, trust: undefined };
    expect(() => world.honestServer(options)).toThrow(expect.objectContaining({ code: "ERR_TLS_OPTION" }));
  });
});

/** A client that has its answers made and sends what it likes of them. */
class Cheat {
  readonly victim: End;
  readonly rogue: Rogue;
  readonly #hash: Hash;
  #config: ClientConfig | undefined;

  constructor(options: Partial<ServerOptions> = {}, identities?: ClientOptions["identities"]) {
    this.victim = world.honestServer({ ...asking, ...options });
    this.rogue = world.rogueClient(
      {},
      { ...willing, ...(identities && { identities }) },
      {
        config: (config) => {
          this.#config = config;
          return config;
        },
      },
    );
    confront(this.victim, this.rogue);
    const { cipherSuite } = this.rogue.result as HandshakeResult;
    this.#hash = provider.suites.find(({ name }) => name === cipherSuite)?.hash as Hash;
  }

  /** Has the victim ask, and gives the answer's messages. */
  asked(secret?: Uint8Array): readonly Uint8Array[] {
    this.victim.engine.requestClientCertificate();
    confront(this.victim, this.rogue);
    const request = this.rogue.received.at(-1)?.content as Uint8Array;
    const reader = new HandshakeReader(0xffff);
    reader.push(request);
    const message = reader.next();
    const { rogue } = this;
    const result = rogue.result as HandshakeResult;
    const made = answerRequest(
      this.#config as ClientConfig,
      result,
      this.#hash,
      message as never,
      () => {},
    ).flow.next();
    if (!made.done) throw new Error("an answer that waits");
    return made.value.messages(secret ?? (rogue.secrets.get("CLIENT_TRAFFIC_SECRET_0") as Uint8Array));
  }

  send(...messages: readonly Uint8Array[]): this {
    for (const message of messages) this.rogue.sendMessage(message);
    return this;
  }

  refused(code: Parameters<typeof verdict>[0]): void {
    expectRefusal(this.victim, this.rogue, verdict(code, "CONNECTED"));
    expect(answers(this.victim)).toEqual([]);
  }
}

const flipped = (message: Uint8Array): Uint8Array => {
  const copy = message.slice();
  copy[copy.length - 1] = (copy.at(-1) as number) ^ 1;
  return copy;
};

type Three = [certificate: Uint8Array, verify: Uint8Array, finished: Uint8Array];

describe("a server refuses a client whose answer", () => {
  it("is not cheated on: it takes it", () => {
    const cheat = new Cheat();
    cheat.send(...cheat.asked());
    confront(cheat.victim, cheat.rogue);
    expect(failure(cheat.victim)).toBeUndefined();
    expect(names(cheat.victim)).toEqual(["client"]);
  });

  it.each<[string, Parameters<typeof verdict>[0], (three: Three) => readonly Uint8Array[]]>([
    ["has another context", "ERR_TLS_ILLEGAL_PARAMETER", ([c, v, f]) => [withContext(c, (x) => flipped(x)), v, f]],
    [
      "has an empty context",
      "ERR_TLS_ILLEGAL_PARAMETER",
      ([c, v, f]) => [withContext(c, () => new Uint8Array()), v, f],
    ],
    ["has a wrong signature", "ERR_SSL_BAD_SIGNATURE", ([c, v, f]) => [c, flipped(v), f]],
    ["is signed with a scheme not offered", "ERR_TLS_ILLEGAL_PARAMETER", ([c, v, f]) => [c, otherScheme(v), f]],
    ["has a wrong Finished", "ERR_SSL_DIGEST_CHECK_FAILED", ([c, v, f]) => [c, v, flipped(f)]],
    ["has a Finished too short", "ERR_SSL_DIGEST_CHECK_FAILED", ([c, v, f]) => [c, v, rawMessage(20, f.slice(5))]],
    ["has no CertificateVerify", "ERR_SSL_UNEXPECTED_MESSAGE", ([c, , f]) => [c, f]],
    ["has two CertificateVerify", "ERR_SSL_UNEXPECTED_MESSAGE", ([c, v, f]) => [c, v, v, f]],
    ["has two Certificates", "ERR_SSL_UNEXPECTED_MESSAGE", ([c, v, f]) => [c, c, v, f]],
    ["begins with CertificateVerify", "ERR_SSL_UNEXPECTED_MESSAGE", ([, v, f]) => [v, f]],
    ["is only a Finished", "ERR_SSL_UNEXPECTED_MESSAGE", ([, , f]) => [f]],
    [
      "has a KeyUpdate behind Certificate",
      "ERR_SSL_UNEXPECTED_MESSAGE",
      ([c, v, f]) => [c, nextKey as Uint8Array, v, f],
    ],
    ["has a KeyUpdate before Finished", "ERR_SSL_UNEXPECTED_MESSAGE", ([c, v, f]) => [c, v, bothKeys as Uint8Array, f]],
    ["has a Certificate that is none", "ERR_TLS_DECODE_ERROR", ([c, v, f]) => [rawMessage(11, c.slice(4, -1)), v, f]],
  ])("%s", (_, code, change) => {
    const cheat = new Cheat();
    cheat.send(...change(cheat.asked() as unknown as Three)).refused(code);
  });

  it.each([0, 1])("has application data behind message %i", (position) => {
    const cheat = new Cheat();
    const three = cheat.asked();
    cheat.send(...three.slice(0, position + 1)).rogue.send({ type: 23, content: Uint8Array.of(1) });
    cheat.send(...three.slice(position + 1)).refused("ERR_SSL_UNEXPECTED_MESSAGE");
    expect(cheat.victim.received).toEqual([]);
  });

  const TYPES = [0, 1, 2, 4, 5, 8, 11, 13, 15, 16, 20, 24, 25, 254];
  it.each([
    ["Certificate", 1, [15, 20]],
    ["CertificateVerify", 2, [20]],
  ] as const)("has anything else behind %s", (_, count, legal) => {
    for (const type of TYPES.filter((other) => !(legal as readonly number[]).includes(other))) {
      const cheat = new Cheat();
      cheat.send(...cheat.asked().slice(0, count), rawMessage(type, Uint8Array.of(0)));
      cheat.refused("ERR_SSL_UNEXPECTED_MESSAGE");
    }
  });

  it("is a Finished under the key before a KeyUpdate", () => {
    const cheat = new Cheat();
    const three = cheat.asked();
    cheat.send(nextKey as Uint8Array).rogue.updateWriteKey();
    cheat.send(...three).refused("ERR_SSL_DIGEST_CHECK_FAILED");
  });

  it("was not asked for", () => {
    const cheat = new Cheat();
    const [certificate] = cheat.asked();
    const other = new Cheat();
    other.send(certificate as Uint8Array).refused("ERR_SSL_UNEXPECTED_MESSAGE");
  });

  it("comes twice, while another is open", () => {
    const cheat = new Cheat();
    const first = cheat.asked();
    cheat.asked();
    cheat.send(...first, ...first);
    confront(cheat.victim, cheat.rogue);
    expectFailed(cheat.victim, cheat.rogue, verdict("ERR_TLS_ILLEGAL_PARAMETER", "CONNECTED"));
    expect(names(cheat.victim)).toEqual(["client"]);
  });

  it("comes twice, while none is open", () => {
    const cheat = new Cheat();
    const first = cheat.asked();
    cheat.send(...first, ...first);
    confront(cheat.victim, cheat.rogue);
    expectFailed(cheat.victim, cheat.rogue, verdict("ERR_SSL_UNEXPECTED_MESSAGE", "CONNECTED"));
  });

  it("is one to another request: the transcript is that request's", () => {
    const cheat = new Cheat();
    const [, verify, finished] = cheat.asked() as unknown as Three;
    const [certificate] = cheat.asked() as unknown as Three;
    cheat.send(certificate, verify, finished).refused("ERR_SSL_BAD_SIGNATURE");
  });

  it("has a CertificateVerify behind no certificate", () => {
    const cheat = new Cheat({}, []);
    const [certificate, finished] = cheat.asked() as unknown as [Uint8Array, Uint8Array];
    const signed = new Cheat().asked()[1] as Uint8Array;
    cheat.send(certificate, signed, finished).refused("ERR_SSL_UNEXPECTED_MESSAGE");
  });

  it("declines with a wrong Finished", () => {
    const cheat = new Cheat({}, []);
    const [certificate, finished] = cheat.asked() as unknown as [Uint8Array, Uint8Array];
    cheat.send(certificate, flipped(finished)).refused("ERR_SSL_DIGEST_CHECK_FAILED");
  });

  it("comes with a CertificateRequest of its own", () => {
    const cheat = new Cheat();
    cheat.asked();
    cheat.send(request(Uint8Array.of(1))).refused("ERR_SSL_UNEXPECTED_MESSAGE");
  });
});

function withContext(certificate: Uint8Array, change: (context: Uint8Array) => Uint8Array): Uint8Array {
  const length = certificate[4] as number;
  const context = change(certificate.slice(5, 5 + length));
  return rawMessage(11, concat(Uint8Array.of(context.length), context, certificate.subarray(5 + length)));
}

function otherScheme(message: Uint8Array): Uint8Array {
  const body = message.slice(4);
  body.set([SignatureScheme.codes.rsa_pkcs1_sha256 >> 8, SignatureScheme.codes.rsa_pkcs1_sha256 & 0xff]);
  return rawMessage(15, body);
}

const schemes = () => extension<"CR", "signature_algorithms">("signature_algorithms", [0x0403]);

function request(context: Uint8Array, extensions: CertificateRequest["extensions"] = [schemes()]): Uint8Array {
  return encodeMessage("certificate_request", CertificateRequest, { certificate_request_context: context, extensions });
}

describe("a client refuses a server that", () => {
  const meet = (
    options: Partial<ClientOptions>,
    messages: readonly Uint8Array[],
    serverOptions: Partial<ServerOptions> = {},
  ): [End, Rogue] => {
    const victim = world.honestClient(options);
    const rogue = world.rogueServer({}, { clientAuth: "off", ...serverOptions });
    confront(victim, rogue);
    for (const message of messages) rogue.sendMessage(message);
    return [victim, rogue];
  };
  const one = Uint8Array.of(1);

  it("asks although it has not offered", () => {
    expectRefusal(...meet({}, [request(one)]), verdict("ERR_SSL_UNEXPECTED_MESSAGE", "CONNECTED"));
  });

  it("asks although an external key stands for both (4.3.2)", () => {
    const psks = [{ identity: "a", key: new Uint8Array(32) }];
    const ends = meet({ ...willing, psks }, [request(one)], { psks });
    expectRefusal(...ends, verdict("ERR_SSL_UNEXPECTED_MESSAGE", "CONNECTED"));
  });

  it("names no signature algorithms", () => {
    const ends = meet(willing, [request(one, [])]);
    expectRefusal(...ends, verdict("ERR_TLS_MISSING_EXTENSION", "CONNECTED"));
  });

  it("sends an extension that belongs elsewhere", () => {
    const early = { name: undefined, code: 42, value: new Uint8Array(0) };
    const ends = meet(willing, [request(one, [schemes(), early])]);
    expectRefusal(...ends, verdict("ERR_TLS_ILLEGAL_PARAMETER", "CONNECTED"));
  });

  it("sends half a request", () => {
    const ends = meet(willing, [rawMessage(13, Uint8Array.of(9, 1))]);
    expectRefusal(...ends, verdict("ERR_TLS_DECODE_ERROR", "CONNECTED"));
  });

  it("uses a context twice at once", () => {
    const ends = meet(willing, [concat(request(one), request(one))]);
    expectRefusal(...ends, verdict("ERR_TLS_ILLEGAL_PARAMETER", "CONNECTED"));
  });

  it("asks seventeen times at once", () => {
    const all = Array.from({ length: 17 }, (_, index) => request(Uint8Array.of(index)));
    expectRefusal(...meet(willing, [concat(...all)]), verdict("ERR_SSL_UNEXPECTED_MESSAGE", "CONNECTED"));
  });

  it("is not this one: its requests are answered, the messages of each answer together", () => {
    const [victim, rogue] = meet(willing, [request(one), request(Uint8Array.of(2))]);
    victim.engine.write(Uint8Array.of(7));
    confront(victim, rogue);
    expect(failure(victim)).toBeUndefined();
    const types = rogue.received.filter(({ type }) => type === 22).map(({ content }) => messagesIn(content));
    expect(types.slice(-2)).toEqual([
      [11, 15, 20],
      [11, 15, 20],
    ]);
  });

  it("offers post_handshake_auth itself (4.2.6)", () => {
    const victim = world.honestClient(willing);
    const rogue = world.rogueServer({
      tamper: (message, name) =>
        name === "encrypted_extensions" ? rawMessage(8, Uint8Array.of(0, 4, 0, 49, 0, 0)) : message,
    });
    expectRefusal(victim, rogue, verdict("ERR_TLS_ILLEGAL_PARAMETER", "WAIT_EE"));
  });
});

function messagesIn(content: Uint8Array): number[] {
  const reader = new HandshakeReader(0xffff);
  reader.push(content);
  const types: number[] = [];
  for (let message = reader.next(); message !== undefined; message = reader.next())
    types.push(message.bytes[0] as number);
  return types;
}

describe("CertificateRequest after the handshake", () => {
  it("has an unpredictable context and what the handshake's would have", () => {
    const rogue = world.rogueClient({}, willing);
    const victim = world.honestServer(asking);
    confront(victim, rogue);
    const context = victim.engine.requestClientCertificate();
    confront(victim, rogue);
    const reader = new HandshakeReader(0xffff);
    reader.push(rogue.received.at(-1)?.content as Uint8Array);
    const body = decodeBody(CertificateRequest, reader.next() as never);
    expect(body.certificate_request_context).toEqual(context);
    expect(context).toHaveLength(32);
    expect(find(body.extensions, "certificate_authorities")).toHaveLength(1);
    expect(find(body.extensions, "signature_algorithms")).toContain(0x0403);
  });
});
