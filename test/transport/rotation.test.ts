import { expect, it } from "vitest";
import { nodeProvider as provider } from "../../src/crypto/node.ts";
import {
  accept,
  type ByteStream,
  type ClientContext,
  clientContext,
  connect,
  type IdentityOptions,
  memoryPair,
  revocationChecker,
  type ServerContext,
  sealedTickets,
  serverContext,
  sessionCache,
  type TlsError,
  type TlsSession,
  trustStore,
  trustVerifier,
} from "../../src/index.ts";
import { makeAuthority, makeCertificate, type TestCertificate } from "../support/pki.ts";
import { codeOf } from "../support/session.ts";
import { makeCrl, serialOf } from "../support/status.ts";

/**
 * Ten rotations of the server's certificate, the clients' CA and the CRLs under load. Whom to let in is known at every
 * moment, and held against what the server does: a rotation happens between two turns of the event loop, and what is
 * decided in one is looked at in the same.
 */

const ROTATIONS = 10;
const HANDSHAKES = 2000;
const AT_ONCE = 16;
const FIRST_OPEN = 50;

/** A client with one certificate for good, or the one that changes with each rotation. */
interface Client {
  readonly context: ClientContext;
  readonly resumes: boolean;
  ca: TestCertificate;
  certificate: TestCertificate;
}

interface Open {
  readonly client: Client;
  readonly certificate: TestCertificate;
  readonly ca: TestCertificate;
  readonly near: TlsSession;
  readonly far: TlsSession;
}

class Fleet {
  /** Whose clients stay, rotation or not. */
  readonly stable: TestCertificate;
  readonly revocation = revocationChecker({ mode: "hard-fail" });
  readonly server: ServerContext;
  readonly trusted = new Set<TestCertificate>();
  readonly revoked = new Set<TestCertificate>();
  /** Of those refused, `caught` were let in when they began. */
  readonly counts = {
    caught: 0,
    authorized: 0,
    resumed: 0,
    unknown: 0,
    revoked: 0,
    met: new Set<string | undefined>(),
  };
  readonly wrong: unknown[] = [];
  #crlNumber = 0;

  constructor(stable: TestCertificate, first: TestCertificate, identity: IdentityOptions) {
    this.stable = stable;
    this.trusted.add(stable).add(first);
    this.server = serverContext({
      provider,
      identities: [identity],
      verifier: this.#verifier(),
      clientAuth: "on",
      tickets: { store: sealedTickets(), count: 1 },
    });
  }

  #verifier() {
    const trust = trustStore([...this.trusted].map(({ der }) => der));
    return trustVerifier({ trust, revocation: this.revocation });
  }

  /** With one more that is revoked: it counts from the moment that the CRLs are there, and not while they are made. */
  async replaceCrls(revoked?: TestCertificate): Promise<void> {
    const number = ++this.#crlNumber;
    const entries = [...this.revoked, ...(revoked === undefined ? [] : [revoked])].map((one) => ({
      serial: serialOf(one),
    }));
    const crls = await Promise.all([...this.trusted].map((issuer) => makeCrl({ issuer, number, entries })));
    await turn();
    this.revocation.replaceCrls(crls);
    if (revoked !== undefined) this.revoked.add(revoked);
  }

  trust(ca: TestCertificate): void {
    this.trusted.add(ca);
    this.server.replace({ verifier: this.#verifier() });
  }

  distrust(ca: TestCertificate): void {
    this.trusted.delete(ca);
    this.server.replace({ verifier: this.#verifier() });
  }

  async client(ca: TestCertificate, subject: string, resumes = true): Promise<Client> {
    const certificate = await makeCertificate({ issuer: ca, subject });
    const context = clientContext({
      provider,
      serverName: "localhost",
      trust: this.stable.der,
      identities: [optionsOf(certificate)],
      // Servers that do not name its CA any more are tried all the same.
      ignoreRequestHints: true,
      sessions: resumes ? sessionCache({ perScope: AT_ONCE }) : undefined,
    });
    return { context, resumes, ca, certificate };
  }

  /** Why a client is not to be let in. */
  reason(ca: TestCertificate, certificate: TestCertificate): string | undefined {
    if (!this.trusted.has(ca)) return "UNABLE_TO_VERIFY_LEAF_SIGNATURE";
    return this.revoked.has(certificate) ? "CERT_REVOKED" : undefined;
  }

  /** One handshake, and what is known of it; `undefined` where it was refused, as it should be. */
  async meet(client: Client): Promise<Open | undefined> {
    const { ca, certificate } = client;
    const before = this.reason(ca, certificate);
    const [near, far] = slowPair();
    const connecting = connect(near, client.context);
    let session: TlsSession;
    try {
      session = await accept(far, this.server);
    } catch (error) {
      const after = this.reason(ca, certificate);
      const { code } = error as TlsError;
      // What is replaced on the way counts, in the order in which it is.
      if (code === "CERT_REVOKED" && [before, after].includes(code)) this.counts.revoked++;
      else if (code === "UNABLE_TO_VERIFY_LEAF_SIGNATURE" && [before, after].includes(code)) this.counts.unknown++;
      else this.wrong.push({ what: "refused", code, before, after });
      if (before === undefined) this.counts.caught++;
      const refused = await connecting;
      expect(await codeOf(refused.closed)).toMatch(/ALERT_UNKNOWN_CA|ALERT_CERTIFICATE_REVOKED/);
      return undefined;
    }
    const reason = this.reason(ca, certificate);
    if (reason !== undefined) this.wrong.push({ what: "authorized", reason, resumed: session.resumed });
    if (session.generation !== this.server.generation) this.wrong.push({ what: "judged by what is gone" });
    this.counts.authorized++;
    if (session.resumed) this.counts.resumed++;
    const other = await connecting;
    this.counts.met.add(other.peer?.subject);
    // So that what its ticket begins is there.
    if (client.resumes) await other.accepted;
    return { client, ca, certificate, near: other, far: session };
  }

  /** Both close, unless the client was judged again meanwhile, and did not hold any more. */
  async part(met: Open): Promise<void> {
    const code = await codeOf(close(met));
    if (code !== undefined && this.reason(met.ca, met.certificate) === undefined)
      this.wrong.push({ what: "ended", code });
  }
}

const optionsOf = ({ der, pair }: TestCertificate): IdentityOptions => ({ cert: [der], key: pair.pkcs8 });
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Each piece takes a turn of the event loop: rotations come between a ClientHello and its Finished. */
function slowPair(): [ByteStream, ByteStream] {
  const [near, far] = memoryPair();
  const slow = () =>
    new TransformStream<Uint8Array, Uint8Array>({
      async transform(chunk, controller) {
        await turn();
        controller.enqueue(chunk);
      },
    });
  const out = slow();
  out.readable.pipeTo(near.writable).catch(() => {});
  return [{ readable: near.readable.pipeThrough(slow()), writable: out.writable }, far];
}

async function close({ near, far }: Open): Promise<void> {
  await Promise.all([near.close(), far.close()]);
  await Promise.all([near.closed, far.closed]);
}

/** It works, both ways. */
async function ping({ near, far }: Open): Promise<void> {
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as const) {
    const writer = from.writable.getWriter();
    const reader = to.readable.getReader();
    const [{ value }] = await Promise.all([reader.read(), writer.write(Uint8Array.of(42))]);
    expect(value).toEqual(Uint8Array.of(42));
    writer.releaseLock();
    reader.releaseLock();
  }
}

it(`${HANDSHAKES} handshakes and ${FIRST_OPEN} open connections go through ${ROTATIONS} rotations`, async () => {
  const authorities = await Promise.all(
    Array.from({ length: ROTATIONS + 1 }, (_, n) => makeAuthority({ subject: `clients' CA ${n}` })),
  );
  const stable = await makeAuthority({ subject: "stable CA" });
  const leaf = async (n: number) => optionsOf(await makeCertificate({ issuer: stable, subject: `server ${n}` }));
  const fleet = new Fleet(stable, authorities[0] as TestCertificate, await leaf(0));
  await fleet.replaceCrls();

  const first = authorities[0] as TestCertificate;
  const steady = await Promise.all(Array.from({ length: 8 }, (_, n) => fleet.client(stable, `steady ${n}`, n > 5)));
  const victims = await Promise.all(Array.from({ length: ROTATIONS }, (_, n) => fleet.client(stable, `victim ${n}`)));
  const rotating = await Promise.all(
    Array.from({ length: 4 }, (_, n) => fleet.client(first, `rotating ${n}`, n % 2 === 0)),
  );
  // Who never hears of rotations: one for each CA, with sessions from when it was trusted.
  const stragglers = [await fleet.client(first, "straggler 0")];

  let open: Open[] = [];
  const keep = async (client: Client) => open.push((await fleet.meet(client)) as Open);
  for (const client of [...victims, ...Array.from({ length: 20 }, (_, n) => steady[n % 8] as Client)])
    await keep(client);
  for (let n = 0; n < 20; n++) await keep(rotating[n % 4] as Client);
  expect(open).toHaveLength(FIRST_OPEN);

  let begun = 0;
  const underWay = new Map<TestCertificate, number>();
  const work = async () => {
    while (fleet.counts.authorized < HANDSHAKES || fleet.counts.unknown < 100) {
      const all = [...steady, ...rotating, ...rotating, ...stragglers.slice(-3), ...victims];
      const client = all[begun++ % all.length] as Client;
      const { certificate } = client;
      underWay.set(certificate, (underWay.get(certificate) ?? 0) + 1);
      const met = await fleet.meet(client);
      if (met !== undefined) await fleet.part(met);
      underWay.set(certificate, (underWay.get(certificate) as number) - 1);
    }
  };
  const workers = Array.from({ length: AT_ONCE }, work);

  for (let n = 1; n <= ROTATIONS; n++) {
    while (fleet.counts.authorized < ((n - 0.5) * HANDSHAKES) / ROTATIONS) await turn();
    const [before, next] = [authorities[n - 1], authorities[n]] as [TestCertificate, TestCertificate];
    // First everybody knows the new CA, then clients get certificates of it, and then the old one goes.
    fleet.trust(next);
    await fleet.replaceCrls();
    fleet.server.replace({ identities: [await leaf(n)] });
    stragglers.push(await fleet.client(next, `straggler ${n}`));
    const gone: TestCertificate[] = [];
    for (const client of rotating) {
      gone.push(client.certificate);
      const certificate = await makeCertificate({ issuer: next, subject: "rotated" });
      client.context.replace({ identities: [optionsOf(certificate)] });
      Object.assign(client, { ca: next, certificate });
    }
    while (gone.some((certificate) => (underWay.get(certificate) ?? 0) > 0)) await turn();
    for (let more = 0; more < 3; more++) await keep(rotating[more] as Client);

    const victim = victims[n - 1] as Client;
    await turn();
    fleet.distrust(before);
    await fleet.replaceCrls(victim.certificate);

    const { ended } = await fleet.server.recheck(turn);
    const lost = open.filter(({ ca, certificate }) => fleet.reason(ca, certificate) !== undefined);
    open = open.filter((one) => !lost.includes(one));
    expect(lost.length).toBe(n === 1 ? 21 : 4);
    expect(ended.length).toBeGreaterThanOrEqual(lost.length);
    for (const { ca, certificate, near, far } of lost) {
      expect(await codeOf(far.closed)).toBe(fleet.reason(ca, certificate));
      expect(await codeOf(near.closed)).toMatch(/ALERT_UNKNOWN_CA|ALERT_CERTIFICATE_REVOKED/);
    }
    for (const one of open) await ping(one);
  }
  await Promise.all(workers);

  expect(fleet.wrong).toEqual([]);
  const { authorized, resumed, unknown, revoked, met, caught } = fleet.counts;
  expect(authorized).toBeGreaterThanOrEqual(HANDSHAKES);
  expect(resumed).toBeGreaterThan(authorized / 4);
  expect(authorized - resumed).toBeGreaterThan(authorized / 4);
  expect([unknown, revoked].every((count) => count >= 10)).toBe(true);
  expect(caught).toBeGreaterThan(0);
  expect(met.size).toBe(ROTATIONS + 1);
  expect(open).toHaveLength(23);
  await Promise.all(open.map(close));

  // And the other way round: a client that does not trust the server's CA any more.
  const [client] = steady as [Client];
  client.context.replace({ trust: first.der });
  const [near, far] = memoryPair();
  const accepting = codeOf(accept(far, fleet.server));
  expect(await codeOf(connect(near, client.context))).toBe("UNABLE_TO_VERIFY_LEAF_SIGNATURE");
  expect(await accepting).toBe("ERR_SSL_TLSV1_ALERT_UNKNOWN_CA");
}, 300_000);
