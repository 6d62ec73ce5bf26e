/** The client's certificate is for verified servers only: a rogue server that has every key and keeps every byte. */
import { beforeAll, describe, expect, it } from "vitest";
import { join } from "../../src/bytes/bytes.ts";
import { toHex } from "../../src/bytes/hex.ts";
import { CertificateVerify, Finished } from "../../src/codec/messages.ts";
import type { ClientOptions } from "../../src/engine/index.ts";
import type { TlsErrorCode } from "../../src/errors.ts";
import { createThrowawayAuthority, type IssuedIdentity } from "../../src/pki/index.ts";
import { type End, failure } from "../support/pair.ts";
import { confront, type Rogue, type Tamper } from "../support/rogue.ts";
import { createWorld, edit, identityOf, type World } from "../support/world.ts";

const YEAR = 365 * 86_400_000;
let world: World;
let impostor: IssuedIdentity;
let elsewhere: IssuedIdentity;
let expired: IssuedIdentity;
let client: IssuedIdentity;

beforeAll(async () => {
  world = await createWorld();
  client = world.client;
  const other = await createThrowawayAuthority({ name: "some other root" });
  impostor = await other.issue({ subject: "localhost", dnsNames: ["localhost"], server: true });
  elsewhere = await world.authority.issue({ subject: "localhost", dnsNames: ["elsewhere.example"], server: true });
  expired = await world.authority.issue({
    subject: "localhost",
    dnsNames: ["localhost"],
    server: true,
    notBefore: Date.now() - 2 * YEAR,
    notAfter: Date.now() - YEAR,
  });
});

/** True when anything that the rogue got, opened or not, holds the client's certificate or its public key. */
function disclosed({ received, wire }: Rogue): boolean {
  // Across records too: a message may be cut anywhere.
  const opened = toHex(join(received.filter(({ type }) => type === 22).map(({ content }) => content)));
  const other = received.filter(({ type }) => type !== 22).map(({ content }) => toHex(content));
  const haystacks = [opened, ...other, toHex(join(wire))];
  const [certificate] = client.certificates as [Uint8Array];
  // The middle of it: neither a changed serial number nor a changed signature would hide it.
  const needles = [
    toHex(certificate),
    toHex(certificate.subarray(certificate.length / 2, certificate.length / 2 + 40)),
  ];
  return haystacks.some((haystack) => needles.some((needle) => haystack.includes(needle)));
}

function proofless(change: (signature: Uint8Array) => Uint8Array): Tamper {
  return (message, name) =>
    name === "certificate_verify"
      ? edit(message, CertificateVerify, (body) => ({ ...body, signature: change(body.signature) }))
      : undefined;
}

const wrongFinished: Tamper = (message, name) =>
  name === "finished"
    ? edit(message, Finished, ({ verify_data }) => ({ verify_data: verify_data.map((byte) => byte ^ 1) }))
    : undefined;
const dropped =
  (...names: string[]): Tamper =>
  (_message, name) =>
    names.includes(name) ? [] : undefined;

interface Case {
  readonly name: string;
  readonly server?: () => IssuedIdentity;
  readonly tamper?: Tamper;
  readonly code: TlsErrorCode | undefined;
  readonly client?: Partial<ClientOptions>;
}

const CASES: readonly Case[] = [
  { name: "a certificate of an unknown CA", server: () => impostor, code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" },
  { name: "another name", server: () => elsewhere, code: "ERR_TLS_CERT_ALTNAME_INVALID" },
  { name: "an expired certificate", server: () => expired, code: "CERT_HAS_EXPIRED" },
  { name: "the client's own kind of certificate", server: () => client, code: "INVALID_PURPOSE" },
  {
    name: "a wrong signature",
    tamper: proofless((data) => data.map((byte) => byte ^ 1)),
    code: "ERR_SSL_BAD_SIGNATURE",
  },
  { name: "no signature", tamper: proofless(() => new Uint8Array(0)), code: "ERR_SSL_BAD_SIGNATURE" },
  { name: "no CertificateVerify", tamper: dropped("certificate_verify"), code: "ERR_SSL_UNEXPECTED_MESSAGE" },
  { name: "no Certificate", tamper: dropped("certificate", "certificate_verify"), code: "ERR_SSL_UNEXPECTED_MESSAGE" },
  { name: "a wrong Finished", tamper: wrongFinished, code: "ERR_SSL_DIGEST_CHECK_FAILED" },
  { name: "no Finished", tamper: dropped("finished"), code: undefined },
  {
    name: "a client that will not have it",
    code: "ERR_TLS_ACCESS_DENIED",
    client: { authorize: () => false },
  },
];

function meet({ server = () => world.server, tamper, client: options }: Omit<Case, "name" | "code">): [End, Rogue] {
  const victim = world.honestClient({ ...options, ignoreRequestHints: true });
  const rogue = world.rogueServer({ tamper }, { identities: [identityOf(server())] });
  confront(victim, rogue);
  victim.engine.receiveEnd();
  confront(victim, rogue);
  return [victim, rogue];
}

describe("a server with", () => {
  it.each(CASES)("$name gets no client certificate", ({ code, ...given }) => {
    const [victim, rogue] = meet(given);
    expect(failure(victim)?.code).toBe(code ?? "ERR_SSL_UNEXPECTED_EOF_WHILE_READING");
    expect(disclosed(rogue)).toBe(false);
    // It could have read it: its keys open what the client did send, the alert.
    if (code !== undefined) expect(rogue.alerts).toEqual([victim.engine.error?.alert]);
  });

  it("everything in order gets it, and this is where the search finds it", () => {
    const [, rogue] = meet({});
    expect(rogue.result?.peer?.commonName).toBe("client");
    expect(disclosed(rogue)).toBe(true);
  });

  it("an unknown CA gets it from a client that asked for no verification", () => {
    const [, rogue] = meet({ server: () => impostor, client: { trust: undefined, rejectUnauthorized: false } });
    expect(disclosed(rogue)).toBe(true);
  });
});
