/** Options replaced while connections run: what a handshake keeps, whom it judges by what, and what stays as it was. */
import { beforeAll, describe, expect, it } from "vitest";
import {
  type ClientChanges,
  type ClientContext,
  type ClientOptions,
  clientContext,
  type ServerChanges,
  type ServerContext,
  type ServerOptions,
  sealedTickets,
  serverContext,
  sessionCache,
} from "../../src/engine/index.ts";
import type { TlsError } from "../../src/errors.ts";
import { createThrowawayAuthority, type IssuedIdentity, type ThrowawayAuthority } from "../../src/pki/index.ts";
import { replaceableVerifier } from "../../src/x509/replaceable.ts";
import { revocationChecker } from "../../src/x509/revocation.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { type CertificateVerifier, trustVerifier } from "../../src/x509/verifier.ts";
import { deliver, type End, end, exchange, exchangeLate, failure } from "../support/pair.ts";
import { makeAuthority, makeCertificate } from "../support/pki.ts";
import { makeCrl, serialOf } from "../support/status.ts";
import { createWorld, identityOf, type World } from "../support/world.ts";

let world: World;
let other: ThrowawayAuthority;
/** Of the other authority. */
let otherServer: IssuedIdentity;
let otherClient: IssuedIdentity;
beforeAll(async () => {
  world = await createWorld();
  other = await createThrowawayAuthority({ name: "another root" });
  otherServer = await other.issue({ subject: "other server", dnsNames: ["localhost"], server: true });
  otherClient = await other.issue({ subject: "other client", client: true });
});

const ours = () => world.authority.certificatePem;
const both = () => [ours(), other.certificatePem];
const client = (options: Partial<ClientOptions> = {}) => clientContext({ ...world.clientOptions, ...options });
const server = (options: Partial<ServerOptions> = {}) => serverContext({ ...world.serverOptions, ...options });

function meet(near: ClientContext, far: ServerContext): [End, End] {
  const ends: [End, End] = [end(near.engine()), end(far.engine())];
  exchange(...ends);
  return ends;
}

const codes = (ends: readonly End[]) => ends.map((one) => failure(one)?.code);
const resumed = (ends: readonly End[]) => ends.map(({ engine }) => engine.result?.resumed);

/** Exchanges until something is being waited for. */
async function until(ends: [End, End], waiting: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1000 && !waiting(); turn++) {
    exchange(...ends);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(waiting()).toBe(true);
}

/** Verifies like `inner`, but not before it is let. */
function slow(inner: CertificateVerifier) {
  const waiting: (() => void)[] = [];
  const verifier: CertificateVerifier = {
    trust: inner.trust,
    *verify(request) {
      yield { need: "promise", operation: "verify_signature", promise: new Promise<void>((go) => waiting.push(go)) };
      return yield* inner.verify(request);
    },
  };
  return { verifier, waiting, letGo: () => waiting.splice(0).forEach((go) => void go()) };
}

describe("what is replaced", () => {
  it("counts", () => {
    const context = server();
    expect(context.generation).toBe(0);
    context.replace({ trust: both() });
    context.replace({});
    expect(context.generation).toBe(2);
    const [near, far] = meet(client(), context);
    expect(failure(near)).toBeUndefined();
    expect(far.engine.result?.generation).toBe(2);
    expect(near.engine.result?.generation).toBe(0);
  });

  it("counts with the CRLs of its checker, whichever that is", () => {
    const revocation = revocationChecker({ mode: "soft-fail" });
    const context = server({ trust: undefined, verifier: trustVerifier({ trust: trustStore(ours()), revocation }) });
    revocation.replaceCrls([]);
    revocation.replaceCrls([]);
    expect(context.generation).toBe(2);
    expect(
      server({ trust: undefined, verifier: trustVerifier({ trust: trustStore(ours()), revocation }) }).generation,
    ).toBe(0);
    context.replace({ trust: ours() });
    expect(context.generation).toBe(3);
    context.replace({ verifier: trustVerifier({ trust: trustStore(ours()), revocation }) });
    expect(context.generation).toBe(4);
    revocation.replaceCrls([]);
    expect(context.generation).toBe(5);
  });

  it("is there for the next handshake", () => {
    const [near, far] = [client({ trust: both() }), server()];
    expect(meet(near, far)[0].engine.result?.peer?.commonName).toBe("localhost");
    far.replace({ identities: [identityOf(otherServer)], trust: other.certificatePem });
    near.replace({ identities: [identityOf(otherClient)] });
    const [one, two] = meet(near, far);
    expect(one.engine.result?.peer?.commonName).toBe("other server");
    expect(two.engine.result?.peer?.commonName).toBe("other client");
  });

  it("names other CAs to clients", () => {
    const far = server({ trust: both() });
    const near = client({ identities: [identityOf(otherClient)] });
    expect(meet(near, far)[1].engine.result?.peer?.commonName).toBe("other client");
    far.replace({ trust: ours(), clientAuth: "optional" });
    const [one] = meet(near, far);
    expect(one.events.find(({ type }) => type === "identity_mismatch")).toMatchObject({
      reason: "certificate_authorities",
    });
  });

  const bad: readonly [string, Partial<ServerOptions>, string][] = [
    ["a key of another certificate", { identities: [] }, "ERR_OSSL_X509_KEY_VALUES_MISMATCH"],
    ["no PEM", { trust: "nothing" }, "ERR_TLS_PEM"],
    ["no identity at all", { identities: [] }, "ERR_TLS_OPTION"],
    ["both trust and a verifier", { trust: [], verifier: trustVerifier({ trust: trustStore([]) }) }, "ERR_TLS_OPTION"],
    ["a mode that is none", { clientAuth: "maybe" as "on" }, "ERR_TLS_OPTION"],
    ["what cannot be replaced", { alpn: ["h3"] }, "ERR_TLS_OPTION"],
    ["what is no option", { certificate: "x" } as Partial<ServerOptions>, "ERR_TLS_OPTION"],
  ];
  it.each(bad)("stays as it was after %s", (_, given, code) => {
    const context = server();
    const { cert } = identityOf(world.server);
    const { key } = identityOf(otherServer);
    const changes = (
      code === "ERR_OSSL_X509_KEY_VALUES_MISMATCH" ? { identities: [{ cert, key }] } : given
    ) as ServerChanges;
    let thrown: TlsError | undefined;
    try {
      context.replace({ authorize: () => false, ...changes });
    } catch (error) {
      thrown = error as TlsError;
    }
    expect(thrown?.code).toBe(code);
    expect(context.generation).toBe(0);
    expect(codes(meet(client(), context))).toEqual([undefined, undefined]);
  });

  it("leaves what is undefined alone", () => {
    const context = server({ authorize: () => false });
    context.replace({ authorize: undefined, trust: undefined });
    expect(codes(meet(client(), context))[1]).toBe("ERR_TLS_ACCESS_DENIED");
  });

  it("refuses on the client, too", () => {
    const context = client();
    expect(() => context.replace({ serverName: "elsewhere.test" } as ClientChanges)).toThrow("cannot be replaced");
    expect(() => context.replace({ identities: [{ cert: "x", key: "y" }] })).toThrow();
    expect(codes(meet(context, server()))).toEqual([undefined, undefined]);
  });
});

describe("a handshake under way", () => {
  it("keeps its own identity", () => {
    const [near, far] = [client({ trust: both() }), server()];
    const ends: [End, End] = [end(near.engine()), end(far.engine())];
    far.replace({ identities: [identityOf(otherServer)] });
    exchange(...ends);
    expect(codes(ends)).toEqual([undefined, undefined]);
    expect(ends[0].engine.result?.peer?.commonName).toBe("localhost");
  });

  it("judges a client by what is in force when it shows itself", () => {
    const far = server();
    const ends: [End, End] = [end(client().engine()), end(far.engine())];
    ends[1].engine.receive(ends[0].engine.takeOutput());
    ends[0].engine.receive(ends[1].engine.takeOutput());
    far.replace({ trust: other.certificatePem });
    exchange(...ends);
    expect(failure(ends[1])).toMatchObject({ code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE", alert: "unknown_ca" });
    expect(failure(ends[0])?.code).toBe("ERR_SSL_TLSV1_ALERT_UNKNOWN_CA");
  });

  it("judges a server so", () => {
    const near = client();
    const ends: [End, End] = [end(near.engine()), end(server().engine())];
    near.replace({ trust: other.certificatePem });
    exchange(...ends);
    expect(failure(ends[0])).toMatchObject({ code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE", alert: "unknown_ca" });
  });

  it("asks whoever has the last word then", () => {
    const far = server({ authorize: () => true });
    const ends: [End, End] = [end(client().engine()), end(far.engine())];
    far.replace({ authorize: () => false });
    exchange(...ends);
    expect(codes(ends)[1]).toBe("ERR_TLS_ACCESS_DENIED");
  });

  it("begins a verdict again that was under way", async () => {
    const held = slow(trustVerifier({ trust: trustStore(ours()) }));
    const far = server({ trust: undefined, verifier: held.verifier });
    const ends: [End, End] = [end(client().engine()), end(far.engine())];
    await until(ends, () => held.waiting.length > 0);
    far.replace({ trust: other.certificatePem });
    held.letGo();
    await exchangeLate(...ends);
    expect(failure(ends[1])).toMatchObject({ code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE", alert: "unknown_ca" });
  });

  it("looks again at who was verified before the last word came", async () => {
    const asked: number[] = [];
    let go = () => {};
    const far: ServerContext = server({
      authorize: () => {
        asked.push(far.generation);
        return asked.length > 1 || new Promise<boolean>((done) => (go = () => done(true)));
      },
    });
    const ends: [End, End] = [end(client().engine()), end(far.engine())];
    await until(ends, () => asked.length > 0);
    far.replace({ trust: both() });
    go();
    await exchangeLate(...ends);
    expect(codes(ends)).toEqual([undefined, undefined]);
    expect(asked).toEqual([0, 1]);
    expect(ends[1].engine.result?.generation).toBe(1);
  });

  it.each(["server", "client"] as const)(
    "ends when a CA goes while the last word of the %s is awaited",
    async (side) => {
      let go: (() => void) | undefined;
      const authorize = () => new Promise<boolean>((done) => (go = () => done(true)));
      const near = client(side === "client" ? { authorize } : {});
      const far = server(side === "server" ? { authorize } : {});
      const ends: [End, End] = [end(near.engine()), end(far.engine())];
      await until(ends, () => go !== undefined);
      (side === "client" ? near : far).replace({ trust: other.certificatePem });
      go?.();
      await exchangeLate(...ends);
      expect(failure(ends[side === "client" ? 0 : 1])).toMatchObject({
        code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
        alert: "unknown_ca",
      });
      expect(ends[side === "client" ? 0 : 1].engine.result).toBeUndefined();
    },
  );

  it("ends when the server's CA goes while the client chooses who it is", async () => {
    let go: (() => void) | undefined;
    const near = client({
      identities: [],
      selectIdentity: () => new Promise((done) => (go = () => done(undefined))),
    });
    const ends: [End, End] = [end(near.engine()), end(server({ clientAuth: "optional" }).engine())];
    await until(ends, () => go !== undefined);
    near.replace({ trust: other.certificatePem });
    go?.();
    await exchangeLate(...ends);
    expect(failure(ends[0])).toMatchObject({ code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE", alert: "unknown_ca" });
    expect(ends.map(({ engine }) => engine.result)).toEqual([undefined, undefined]);
  });

  it("is judged by new CRLs between certificate and Finished", async () => {
    const issuer = await makeAuthority();
    const leaf = await makeCertificate({ issuer });
    const crl = (revoked: boolean) =>
      makeCrl({ issuer, number: revoked ? 2 : 1, entries: revoked ? [{ serial: serialOf(leaf) }] : [] });
    const revocation = revocationChecker({ mode: "hard-fail", crls: await crl(false) });
    let go: (() => void) | undefined;
    const far = server({
      trust: undefined,
      verifier: trustVerifier({ trust: trustStore(issuer.der), revocation }),
      authorize: () => new Promise<boolean>((done) => (go = () => done(true))),
    });
    const near = client({ identities: [{ cert: [leaf.der], key: leaf.pair.pkcs8 }] });
    const ends: [End, End] = [end(near.engine()), end(far.engine())];
    await until(ends, () => go !== undefined);
    revocation.replaceCrls(await crl(true));
    go?.();
    await exchangeLate(...ends);
    expect(failure(ends[1])).toMatchObject({ code: "CERT_REVOKED", alert: "certificate_revoked" });
  });

  it("is judged by the verifier that a callback chose, and that another has replaced", async () => {
    const tenant = replaceableVerifier(trustVerifier({ trust: trustStore(ours()) }));
    let go: (() => void) | undefined;
    const far = server({
      onClientHello: () => ({ verifier: tenant }),
      authorize: () => new Promise<boolean>((done) => (go = () => done(true))),
    });
    const ends: [End, End] = [end(client().engine()), end(far.engine())];
    await until(ends, () => go !== undefined);
    tenant.replace(trustVerifier({ trust: trustStore(other.certificatePem) }));
    go?.();
    await exchangeLate(...ends);
    expect(failure(ends[1])).toMatchObject({ code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE", alert: "unknown_ca" });
  });

  it("is judged by the configuration's trust where a callback leaves that alone", () => {
    const far = server({ onClientHello: () => ({ alpn: ["h2"] }) });
    const ends: [End, End] = [end(client().engine()), end(far.engine())];
    ends[1].engine.receive(ends[0].engine.takeOutput());
    far.replace({ trust: other.certificatePem });
    exchange(...ends);
    expect(codes(ends)[1]).toBe("UNABLE_TO_VERIFY_LEAF_SIGNATURE");
  });
});

/** Up to the server's flight; what the client answers is held back. */
function halfway(near: ClientContext, far: ServerContext): { ends: [End, End]; held: Uint8Array } {
  const ends: [End, End] = [end(near.engine()), end(far.engine())];
  deliver(ends[1], ends[0].engine.takeOutput());
  deliver(ends[0], ends[1].engine.takeOutput());
  return { ends, held: ends[0].engine.takeOutput() };
}

describe("what a handshake under way stands on besides certificates", () => {
  const psks = [{ identity: "device", key: new Uint8Array(32).fill(7) }];
  const removed = { code: "ERR_TLS_UNKNOWN_PSK", alert: "unknown_psk_identity" };
  const anonymous = { code: "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE", alert: "certificate_required" };

  it.each([
    ["no key", { psks: [] }],
    ["another key of that name", { psks: [{ identity: "device", key: new Uint8Array(32).fill(8) }] }],
  ])("is a key that is in use when the client finishes: not with %s", (_, changes) => {
    const far = server({ psks });
    const { ends, held } = halfway(client({ psks }), far);
    far.replace(changes);
    deliver(ends[1], held);
    expect(failure(ends[1])).toMatchObject(removed);
    expect(ends[1].engine.result).toBeUndefined();
  });

  it("is a key that other replacements leave, and that is looked up again only after them", () => {
    const asked: number[] = [];
    const findPsk = () => {
      asked.push(far.generation);
      return psks[0];
    };
    const far: ServerContext = server({ findPsk });
    expect(codes(meet(client({ psks }), far))).toEqual([undefined, undefined]);
    const once = asked.splice(0).length;
    const { ends, held } = halfway(client({ psks }), far);
    far.replace({ trust: both() });
    deliver(ends[1], held);
    expect(codes(ends)).toEqual([undefined, undefined]);
    expect(asked).toEqual([...Array(once).fill(0), 1]);
  });

  it("is a key that is waited for", async () => {
    const far = server({ psks });
    const { ends, held } = halfway(client({ psks }), far);
    far.replace({ psks: [], findPsk: async () => undefined });
    deliver(ends[1], held);
    await exchangeLate(...ends);
    expect(failure(ends[1])).toMatchObject(removed);
  });

  it.each(["start", "answer"] as const)(
    "is a client's key that is in use until its Finished: not after its %s",
    (when) => {
      const near = client({ psks });
      const far = end(server({ psks }).engine());
      const engine = near.engine();
      if (when === "start") near.replace({ psks: [] });
      const one = end(engine);
      deliver(far, one.engine.takeOutput());
      if (when === "answer") near.replace({ psks: [] });
      deliver(one, far.engine.takeOutput());
      expect(failure(one)).toMatchObject(removed);
      expect(one.engine.result).toBeUndefined();
    },
  );

  it.each(["server", "client"] as const)("is the key under a session: on the %s", (side) => {
    const near = client({ psks, sessions: sessionCache() });
    const far = server({ psks, tickets: { store: sealedTickets() } });
    meet(near, far);
    const ends: [End, End] = [end(near.engine()), end(far.engine())];
    deliver(ends[1], ends[0].engine.takeOutput());
    (side === "client" ? near : far).replace({ psks: [] });
    exchange(...ends);
    expect(failure(ends[side === "client" ? 0 : 1])).toMatchObject(removed);
    expect(ends[1].engine.result).toBeUndefined();
  });

  it("is a key beside certificates, too", () => {
    const near = client({ psks, pskWithCertificates: true });
    const far = server({ psks, pskWithCertificates: true });
    const { ends, held } = halfway(near, far);
    far.replace({ psks: [] });
    deliver(ends[1], held);
    expect(failure(ends[1])).toMatchObject(removed);
  });

  it.each(["off", "optional"] as const)("is that nobody need show a certificate: %s, then on", (clientAuth) => {
    const far = server({ clientAuth });
    const { ends, held } = halfway(client({ identities: [] }), far);
    far.replace({ clientAuth: "on" });
    deliver(ends[1], held);
    expect(failure(ends[1])).toMatchObject(anonymous);
    expect(ends[1].engine.result).toBeUndefined();
  });

  it("is that a session without a certificate will do", () => {
    const near = client({ identities: [], sessions: sessionCache() });
    const far = server({ clientAuth: "optional", tickets: { store: sealedTickets() } });
    meet(near, far);
    const { ends, held } = halfway(near, far);
    expect(ends[0].engine.result?.resumed).toBe(true);
    far.replace({ clientAuth: "on" });
    deliver(ends[1], held);
    expect(failure(ends[1])).toMatchObject(anonymous);
  });

  it("is that any CA will do", () => {
    const far = server({ clientAuth: "optional_no_ca" });
    const { ends, held } = halfway(client({ identities: [identityOf(otherClient)], ignoreRequestHints: true }), far);
    far.replace({ clientAuth: "on" });
    deliver(ends[1], held);
    expect(failure(ends[1])).toMatchObject({ code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE", alert: "unknown_ca" });
  });

  it.each([
    ["is what a callback has said, whatever is replaced", { clientAuth: "optional" } as const, undefined],
    ["is what is in force where a callback leaves it alone", { alpn: ["h2"] }, anonymous.code],
  ])("%s", (_, answer, code) => {
    const far = server({ clientAuth: "optional", onClientHello: () => answer });
    const { ends, held } = halfway(client({ identities: [] }), far);
    far.replace({ clientAuth: "on" });
    deliver(ends[1], held);
    expect(codes(ends)[1]).toBe(code);
  });
});

describe("a session of before", () => {
  it("goes on where its CA remains", () => {
    const near = client({ trust: both(), sessions: sessionCache() });
    const far = server({ trust: both(), tickets: { store: sealedTickets() } });
    expect(resumed(meet(near, far))).toEqual([false, false]);
    far.replace({ trust: ours() });
    near.replace({ trust: ours() });
    const ends = meet(near, far);
    expect(resumed(ends)).toEqual([true, true]);
    expect(ends.map(({ engine }) => engine.result?.generation)).toEqual([1, 1]);
  });

  it("remembers under which generation it began", () => {
    const far = server({ tickets: { store: sealedTickets() } });
    far.replace({});
    const near = client({ sessions: sessionCache() });
    near.replace({});
    near.replace({});
    const [one] = meet(near, far);
    const tickets = one.events.filter((event) => event.type === "ticket");
    expect(tickets.map((event) => event.session.generation)).toEqual([2, 2]);
  });

  it("does not go on with a client whose CA is gone", () => {
    const near = client({ sessions: sessionCache() });
    const far = server({ tickets: { store: sealedTickets() } });
    meet(near, far);
    far.replace({ trust: other.certificatePem, clientAuth: "optional" });
    const ends = meet(near, far);
    // A full handshake, in which the client says who it is, and is refused.
    expect(codes(ends)).toEqual([undefined, undefined]);
    expect(resumed(ends)).toEqual([false, false]);
    expect(ends[1].engine.result?.peer).toBeUndefined();
    far.replace({ clientAuth: "on" });
    expect(codes(meet(near, far))[1]).toBe("ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE");
  });

  it("does not go on with a server whose CA is gone", () => {
    const near = client({ sessions: sessionCache() });
    const far = server({ tickets: { store: sealedTickets() } });
    meet(near, far);
    near.replace({ trust: other.certificatePem });
    expect(codes(meet(near, far))[0]).toBe("UNABLE_TO_VERIFY_LEAF_SIGNATURE");
  });

  it.each(["server", "client"] as const)("does not go on when a CA goes half-way: on the %s", (side) => {
    const near = client({ sessions: sessionCache() });
    const far = server({ tickets: { store: sealedTickets() } });
    meet(near, far);
    const ends: [End, End] = [end(near.engine()), end(far.engine())];
    ends[1].engine.receive(ends[0].engine.takeOutput());
    // Resumed: the server has decided already, and the client before it said anything.
    expect(ends[1].engine.state).toBe("WAIT_FINISHED");
    (side === "client" ? near : far).replace({ trust: other.certificatePem });
    exchange(...ends);
    expect(failure(ends[side === "client" ? 0 : 1])).toMatchObject({
      code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      alert: "unknown_ca",
    });
    expect(ends[1].engine.result).toBeUndefined();
  });

  it("does not go on as somebody else", () => {
    const near = client({ sessions: sessionCache() });
    const far = server({ trust: both(), tickets: { store: sealedTickets() } });
    meet(near, far);
    near.replace({ identities: [identityOf(otherClient)] });
    const ends = meet(near, far);
    expect(resumed(ends)).toEqual([false, false]);
    expect(ends[1].engine.result?.peer?.commonName).toBe("other client");
  });

  it("does not go on under another policy, nor under ticket keys that are gone", () => {
    const store = sealedTickets({ keys: [new Uint8Array(32).fill(1)] });
    const near = client({ sessions: sessionCache() });
    const far = server({ tickets: { store } });
    const again = () => resumed(meet(near, far))[1];
    again();
    expect(again()).toBe(true);
    far.replace({ tickets: { store, policyVersion: "2" } });
    expect(again()).toBe(false);
    expect(again()).toBe(true);
    const [first, second, third] = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte));
    store.setKeys([second as Uint8Array, first as Uint8Array]);
    expect(again()).toBe(true);
    store.setKeys([third as Uint8Array]);
    expect(again()).toBe(false);
  });
});
