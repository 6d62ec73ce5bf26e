/** Peers of open connections judged again: each thing that may have changed, on either side, with the alert that says so. */
import { beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import {
  type ClientContext,
  type ClientOptions,
  clientContext,
  type ServerContext,
  type ServerOptions,
  sealedTickets,
  serverContext,
  sessionCache,
  strikeRegister,
} from "../../src/engine/index.ts";
import { createThrowawayAuthority, type ThrowawayAuthority } from "../../src/pki/index.ts";
import { replaceableVerifier } from "../../src/x509/replaceable.ts";
import { revocationChecker } from "../../src/x509/revocation.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { type CertificateVerifier, trustVerifier } from "../../src/x509/verifier.ts";
import { deliver, type End, end, exchange, failure } from "../support/pair.ts";
import { DAY, makeAuthority, makeCertificate } from "../support/pki.ts";
import { makeCrl, serialOf } from "../support/status.ts";
import { createWorld, identityOf, type World } from "../support/world.ts";

let world: World;
let other: ThrowawayAuthority;
beforeAll(async () => {
  world = await createWorld();
  other = await createThrowawayAuthority({ name: "another root" });
});

const client = (options: Partial<ClientOptions> = {}) => clientContext({ ...world.clientOptions, ...options });
const server = (options: Partial<ServerOptions> = {}) => serverContext({ ...world.serverOptions, ...options });
const psk = { identity: "device", key: new Uint8Array(32).fill(7) };

function meet(near: ClientContext, far: ServerContext): [End, End] {
  const ends: [End, End] = [end(near.engine()), end(far.engine())];
  exchange(...ends);
  expect(ends.map(failure)).toEqual([undefined, undefined]);
  return ends;
}

/** What one side found, and what the other got to know. */
async function recheck(of: 0 | 1, ends: [End, End]) {
  const holds = await ends[of].engine.recheck();
  exchange(...ends);
  const [own, theirs] = [failure(ends[of]), failure(ends[of === 0 ? 1 : 0])];
  expect(theirs?.alert).toBe(own?.alert);
  expect(theirs?.direction).toBe(own && "received");
  return { holds, code: own?.code, alert: own?.alert };
}

/** Lets promises settle until something is so. */
async function turns(until: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1000 && !until(); turn++) await new Promise((resolve) => setImmediate(resolve));
}

const fine = { holds: true, code: undefined, alert: undefined };
const gone = { holds: false, code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE", alert: "unknown_ca" };

describe("a peer that is judged again", () => {
  it("holds while nothing has changed, and under trust that still has its CA", async () => {
    const [near, far] = [client(), server()];
    const ends = meet(near, far);
    expect(await recheck(0, ends)).toEqual(fine);
    expect(await recheck(1, ends)).toEqual(fine);
    far.replace({ trust: [world.authority.certificatePem, other.certificatePem] });
    expect(await recheck(1, ends)).toEqual(fine);
    expect(ends[1].engine.result?.generation).toBe(1);
    expect(ends[1].engine.result?.peer?.commonName).toBe("client");
    // Nothing has happened to the connection.
    ends[0].engine.write(Uint8Array.of(1, 2, 3));
    exchange(...ends);
    expect(ends[1].received).toEqual([Uint8Array.of(1, 2, 3)]);
    expect(ends[1].engine.exportKeyingMaterial(16, "EXPORTER-test")).toEqual(
      ends[0].engine.exportKeyingMaterial(16, "EXPORTER-test"),
    );
  });

  it.each([0, 1] as const)("does not without its CA: side %i", async (side) => {
    const contexts = [client(), server()] as const;
    const ends = meet(...contexts);
    contexts[side].replace({ trust: other.certificatePem });
    expect(await recheck(side, ends)).toEqual(gone);
  });

  it.each([0, 1] as const)("does not after its certificate's time: side %i", async (side) => {
    let now = Date.now();
    const clock = () => now;
    const ends = meet(client({ clock }), server({ clock }));
    now += 2 * DAY;
    expect(await recheck(side, ends)).toMatchObject({ code: "CERT_HAS_EXPIRED", alert: "certificate_expired" });
  });

  it("does not once it is revoked", async () => {
    const issuer = await makeAuthority();
    const leaf = await makeCertificate({ issuer });
    const revocation = revocationChecker({ mode: "hard-fail", crls: await makeCrl({ issuer }) });
    const verifier = trustVerifier({ trust: trustStore(issuer.der), revocation });
    const identities = [{ cert: [leaf.der], key: leaf.pair.pkcs8 }];
    const ends = meet(client({ identities }), server({ trust: undefined, verifier }));
    revocation.replaceCrls(await makeCrl({ issuer, number: 2, entries: [{ serial: serialOf(leaf) }] }));
    expect(await recheck(1, ends)).toEqual({ holds: false, code: "CERT_REVOKED", alert: "certificate_revoked" });
  });

  it.each([0, 1] as const)("does not when the last word is another: side %i", async (side) => {
    const contexts = [client(), server()] as const;
    const ends = meet(...contexts);
    contexts[side].replace({ authorize: (peer) => peer === undefined });
    expect(await recheck(side, ends)).toMatchObject({ code: "ERR_TLS_ACCESS_DENIED", alert: "access_denied" });
  });

  it("does not without a certificate where one is wanted now", async () => {
    const far = server({ clientAuth: "optional" });
    const ends = meet(client({ identities: [] }), far);
    expect(await recheck(1, ends)).toEqual(fine);
    far.replace({ clientAuth: "on" });
    expect(await recheck(1, ends)).toMatchObject({
      code: "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE",
      alert: "certificate_required",
    });
  });

  it("does not with the certificate of any CA where known ones are wanted now", async () => {
    const stranger = await other.issue({ subject: "stranger", client: true });
    const far = server({ clientAuth: "optional_no_ca" });
    const ends = meet(client({ identities: [identityOf(stranger)], ignoreRequestHints: true }), far);
    expect(await recheck(1, ends)).toEqual(fine);
    far.replace({ clientAuth: "on" });
    expect(await recheck(1, ends)).toEqual(gone);
  });

  it("holds with it where a callback has said so", async () => {
    const stranger = await other.issue({ subject: "stranger", client: true });
    const far = server({ onClientHello: () => ({ clientAuth: "optional_no_ca" }) });
    const ends = meet(client({ identities: [identityOf(stranger)], ignoreRequestHints: true }), far);
    far.replace({ clientAuth: "on" });
    expect(await recheck(1, ends)).toEqual(fine);
  });

  it("does not without a certificate where a callback left that alone", async () => {
    const far = server({ clientAuth: "optional", onClientHello: () => ({ alpn: ["h2"] }) });
    const ends = meet(client({ identities: [] }), far);
    far.replace({ clientAuth: "on" });
    expect(await recheck(1, ends)).toMatchObject({ code: "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE" });
  });

  it("needs none where a callback has said so", async () => {
    const far = server({ onClientHello: () => ({ clientAuth: "off" }) });
    const ends = meet(client(), far);
    far.replace({ clientAuth: "on" });
    expect(await recheck(1, ends)).toEqual(fine);
  });

  it("is judged by the verifier that a callback chose", async () => {
    const tenant = replaceableVerifier(trustVerifier({ trust: trustStore(world.authority.certificatePem) }));
    const far = server({ onClientHello: () => ({ verifier: tenant }) });
    const ends = meet(client(), far);
    far.replace({ trust: other.certificatePem });
    expect(await recheck(1, ends)).toEqual(fine);
    tenant.replace(trustVerifier({ trust: trustStore(other.certificatePem) }));
    expect(await recheck(1, ends)).toEqual(gone);
  });

  it.each([0, 1] as const)("does not when the key it stands on is gone: side %i", async (side) => {
    const contexts = [client({ psks: [psk], identities: [] }), server({ psks: [psk] })] as const;
    const ends = meet(...contexts);
    expect(ends[0].engine.result?.psk?.kind).toBe("external");
    expect(await recheck(side, ends)).toEqual(fine);
    contexts[side].replace({ psks: [{ ...psk, key: new Uint8Array(32).fill(8) }] });
    expect(await recheck(side, ends)).toMatchObject({ code: "ERR_TLS_UNKNOWN_PSK", alert: "unknown_psk_identity" });
  });

  it("is known by the chain of its session, resumed", async () => {
    const near = client({ sessions: sessionCache() });
    const far = server({ tickets: { store: sealedTickets() } });
    meet(near, far);
    const ends = meet(near, far);
    expect(ends[1].engine.result?.resumed).toBe(true);
    expect(await recheck(0, ends)).toEqual(fine);
    expect(await recheck(1, ends)).toEqual(fine);
    far.replace({ trust: other.certificatePem });
    expect(await recheck(1, ends)).toEqual(gone);
  });

  it("is who has shown itself last", async () => {
    const [near, far] = [client({ postHandshakeAuth: true }), server({ clientAuth: "off", postHandshakeAuth: true })];
    const ends = meet(near, far);
    expect(await recheck(1, ends)).toEqual(fine);
    ends[1].engine.requestClientCertificate();
    exchange(...ends);
    expect(ends[1].engine.result?.peer?.commonName).toBe("client");
    expect(await recheck(1, ends)).toEqual(fine);
    far.replace({ trust: other.certificatePem });
    expect(await recheck(1, ends)).toEqual(gone);
  });

  it("may be waited for, and the connection be over meanwhile", async () => {
    let verdict = (_: boolean) => {};
    const far = server();
    const ends = meet(client(), far);
    far.replace({ authorize: () => new Promise<boolean>((done) => (verdict = done)) });
    const held = ends[1].engine.recheck();
    ends[1].engine.abort();
    verdict(true);
    expect(await held).toBe(false);
    expect(failure(ends[1])?.code).toBe("ERR_TLS_ABORTED");
    const more = meet(client(), server());
    more[1].engine.close();
    more[0].engine.close();
    exchange(...more);
    await expect(more[1].engine.recheck()).rejects.toMatchObject({ code: "ERR_TLS_CLOSED", side: "server" });
    await expect(far.engine().recheck()).rejects.toMatchObject({ code: "ERR_TLS_CLOSED" });
  });

  it("is told that this side is at fault where its callback fails", async () => {
    const far = server();
    const ends = meet(client(), far);
    far.replace({
      authorize: () => {
        throw new Error("mine");
      },
    });
    expect(await recheck(1, ends)).toMatchObject({ code: "ERR_TLS_CALLBACK_FAILED", alert: "internal_error" });
  });

  it("is judged anew where it shows another certificate while the first is looked at", async () => {
    const issuer = await makeAuthority();
    const leaf = await makeCertificate({ issuer, subject: "new" });
    const inner = trustVerifier({ trust: trustStore([world.authority.certificatePem, issuer.der]) });
    const now = trustVerifier({ trust: trustStore(issuer.der) });
    let go: (() => void) | undefined;
    const late: CertificateVerifier = {
      *verify(request) {
        if (go === undefined) {
          const promise = new Promise<void>((done) => (go = done));
          yield { need: "promise", operation: "verify_signature", promise };
        }
        return yield* now.verify(request);
      },
    };
    const near = client({ postHandshakeAuth: true });
    const far = server({ trust: undefined, verifier: inner, postHandshakeAuth: true });
    const ends = meet(near, far);
    far.replace({ verifier: late });
    // The first certificate would not hold.
    const held = ends[1].engine.recheck();
    near.replace({ identities: [{ cert: [leaf.der], key: leaf.pair.pkcs8 }] });
    ends[1].engine.requestClientCertificate();
    exchange(...ends);
    expect(ends[1].engine.result?.peer?.commonName).toBe("new");
    go?.();
    expect(await held).toBe(true);
    expect(failure(ends[1])).toBeUndefined();
  });
});

describe("a peer with which data is exchanged before the handshake is done", () => {
  const two = () => [world.authority.certificatePem, other.certificatePem];
  const sent = { code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE", alert: "unknown_ca", direction: "sent" };

  /** A client of the other CA, whose session goes on; a server that takes early data. */
  async function resuming(options: Partial<ServerOptions> = {}) {
    const stranger = identityOf(await other.issue({ subject: "stranger", client: true }));
    let now = Date.now();
    const clock = () => now;
    const tickets = { store: sealedTickets() };
    const acceptEarlyData = { antiReplay: strikeRegister() };
    const far = server({ trust: two(), clock, tickets, acceptEarlyData, ...options });
    const near = client({ identities: [stranger], clock, sessions: sessionCache(), offerEarlyData: true });
    // A register knows nothing of what came before its first claim.
    meet(near, far);
    now += 60_000;
    meet(near, far);
    now += 1000;
    const ends: [End, End] = [end(near.engine()), end(far.engine())];
    const without = server({ trust: two(), clock, tickets });
    return { near, far, without, ends };
  }

  it("is ended as a server's client, with what it has sent early and would be answered", async () => {
    const { far, ends } = await resuming();
    const [one, two] = ends;
    expect(one.engine.writeEarlyData(utf8("GET /"))).toBe(5);
    deliver(two, one.engine.takeOutput());
    expect(two.engine.result).toBeUndefined();
    expect(await far.recheck()).toMatchObject({ ended: [] });
    expect(two.engine.readEarlyData()).toEqual(utf8("GET /"));
    one.engine.writeEarlyData(utf8("GET /unread"));
    deliver(two, one.engine.takeOutput());
    far.replace({ trust: world.authority.certificatePem });
    const { ended } = await far.recheck();
    expect(ended).toContain(two.engine.error);
    expect(failure(two)).toMatchObject(sent);
    expect(two.engine.readEarlyData()).toBeUndefined();
    one.engine.writeEarlyData(utf8("DELETE /"));
    deliver(two, one.engine.takeOutput());
    expect(two.engine.readEarlyData()).toBeUndefined();
    expect(() => two.engine.write(utf8("answer"))).toThrow();
    exchange(...ends);
    expect(failure(one)).toMatchObject({ alert: "unknown_ca", direction: "received" });
    expect(one.received).toEqual([]);
  });

  it("is ended where it would be answered before its Finished alone", async () => {
    const { far, ends } = await resuming({ acceptEarlyData: undefined });
    const [one, two] = ends;
    deliver(two, one.engine.takeOutput());
    far.replace({ trust: world.authority.certificatePem });
    expect(await two.engine.recheck()).toBe(false);
    expect(() => two.engine.write(utf8("answer"))).toThrow();
    exchange(...ends);
    expect(failure(two)).toMatchObject(sent);
    expect(one.received).toEqual([]);
  });

  it("is ended where it was nobody, and somebody is wanted now", async () => {
    const far = server({ clientAuth: "off" });
    const ends: [End, End] = [end(client().engine()), end(far.engine())];
    deliver(ends[1], ends[0].engine.takeOutput());
    far.replace({ clientAuth: "on" });
    expect(await far.recheck()).toMatchObject({ checked: 1, ended: [{ alert: "certificate_required" }] });
    expect(() => ends[1].engine.write(utf8("answer"))).toThrow();
  });

  it("is sent nothing more as a client's server", async () => {
    const { near, ends } = await resuming();
    const [one] = ends;
    expect(one.engine.earlyDataRoom).toBeGreaterThan(0);
    one.engine.takeOutput();
    near.replace({ trust: other.certificatePem });
    expect((await near.recheck()).ended).toContain(one.engine.error);
    expect(failure(one)).toMatchObject(sent);
    expect(one.engine.earlyDataRoom).toBe(0);
    expect(one.engine.writeEarlyData(utf8("secret"))).toBe(0);
  });

  it("is not held to its session once the server has refused what came early", async () => {
    const { near, without, ends } = await resuming();
    const words: ((allowed: boolean) => void)[] = [];
    near.replace({ authorize: () => new Promise<boolean>((done) => words.push(done)) });
    const one = ends[0];
    const two = end(without.engine());
    const asked = one.engine.recheck();
    deliver(two, one.engine.takeOutput());
    deliver(one, two.engine.takeOutput());
    expect(one.events).toContainEqual({ type: "early_data", outcome: "rejected" });
    words[0]?.(false);
    expect(await asked).toBe(true);
    words[1]?.(true);
    await turns(() => one.engine.result !== undefined);
    expect(failure(one)).toBeUndefined();
    expect(one.engine.result?.resumed).toBe(true);
  });

  it("is judged by what is known in the end where the handshake ends meanwhile", async () => {
    const { far, ends } = await resuming();
    let go: ((allowed: boolean) => void) | undefined;
    deliver(ends[1], ends[0].engine.takeOutput());
    far.replace({ authorize: () => go !== undefined || new Promise<boolean>((done) => (go = done)) });
    const asked = ends[1].engine.recheck();
    exchange(...ends);
    expect(ends[1].engine.result).toBeDefined();
    far.replace({ trust: world.authority.certificatePem });
    go?.(true);
    expect(await asked).toBe(false);
    expect(failure(ends[1])).toMatchObject(sent);
  });

  it("is nobody before anything is known", async () => {
    const ends: [End, End] = [end(client().engine()), end(server().engine())];
    for (const { engine } of ends) await expect(engine.recheck()).rejects.toMatchObject({ code: "ERR_TLS_CLOSED" });
    deliver(ends[1], ends[0].engine.takeOutput());
    await expect(ends[1].engine.recheck()).rejects.toMatchObject({ code: "ERR_TLS_CLOSED" });
  });
});

describe("all connections of a context", () => {
  it("are judged, and those that do not hold ended", async () => {
    const identity = async (authority: ThrowawayAuthority, subject: string) =>
      identityOf(await authority.issue({ subject, client: true }));
    const trust = [world.authority.certificatePem, other.certificatePem];
    const far = server({ trust });
    const near = client();
    const stranger = client({ identities: [await identity(other, "stranger")], ignoreRequestHints: true });
    const mine = Array.from({ length: 70 }, () => meet(near, far));
    const theirs = Array.from({ length: 5 }, () => meet(stranger, far));
    for (const ends of mine.splice(0, 3)) ends[1].engine.abort();
    const underWay: [End, End] = [end(near.engine()), end(far.engine())];
    expect(await far.recheck()).toEqual({ checked: 72, ended: [] });
    far.replace({ trust: world.authority.certificatePem });
    let pauses = 0;
    const { checked, ended } = await far.recheck(() => void pauses++);
    expect(checked).toBe(72);
    expect(ended.map(({ code }) => code)).toEqual(Array(5).fill("UNABLE_TO_VERIFY_LEAF_SIGNATURE"));
    expect(ended.every(({ rejection }) => rejection !== undefined)).toBe(true);
    expect(pauses).toBeGreaterThan(0);
    expect(theirs.every(([, { engine }]) => engine.done)).toBe(true);
    expect(mine.some(([, { engine }]) => engine.done)).toBe(false);
    expect((await far.recheck()).checked).toBe(67);
    exchange(...underWay);
    expect((await far.recheck()).checked).toBe(68);
    expect((await near.recheck()).checked).toBe(71);
  });

  it("do not wait for one whose verdict never comes", async () => {
    const { far, hung, gone } = await hanging();
    void far.recheck();
    await turns(() => gone.every(([, { engine }]) => engine.done));
    expect(gone.map(([, one]) => failure(one)?.code)).toEqual(Array(70).fill("UNABLE_TO_VERIFY_LEAF_SIGNATURE"));
    expect(failure(hung[1])).toBeUndefined();
  });

  it("are ended where a verdict takes longer than it may", async () => {
    const { far, hung, gone } = await hanging();
    const clocks: (() => void)[] = [];
    let stopped = 0;
    const limit = (expire: () => void) => {
      clocks.push(expire);
      return () => void stopped++;
    };
    const all = far.recheck(undefined, limit);
    await turns(() => stopped === gone.length);
    expect(clocks).toHaveLength(71);
    for (const expire of clocks) expire();
    const { checked, ended } = await all;
    expect(checked).toBe(71);
    expect(ended).toHaveLength(71);
    expect(stopped).toBe(71);
    expect(failure(hung[1])).toMatchObject({ code: "ERR_TLS_CALLBACK_FAILED", alert: "internal_error" });
    exchange(...hung);
    expect(failure(hung[0])).toMatchObject({ alert: "internal_error", direction: "received" });
  });

  it("are all judged though a listener throws, which is told in the end", async () => {
    const { far, gone } = await hanging({ authorize: undefined });
    gone[0]?.[1].engine.listen(() => {
      throw new Error("mine");
    });
    await expect(far.recheck()).rejects.toThrow("mine");
    expect(gone.map(([, one]) => failure(one)?.code)).toEqual(Array(70).fill("UNABLE_TO_VERIFY_LEAF_SIGNATURE"));
  });

  /** One whose last word never comes, and many behind it whose CA is gone. */
  async function hanging(options: Partial<ServerOptions> = {}) {
    let silent = false;
    const authorize = () => !silent || new Promise<boolean>(() => {});
    const far = server({ trust: [world.authority.certificatePem, other.certificatePem], authorize, ...options });
    const hung = meet(client(), far);
    const stranger = client({ identities: [identityOf(await other.issue({ subject: "stranger", client: true }))] });
    const gone = Array.from({ length: 70 }, () => meet(stranger, far));
    far.replace({ trust: world.authority.certificatePem });
    silent = true;
    return { far, hung, gone };
  }
});
