/**
 * Damaged certificates, CRLs and OCSP responses: the parsers, and what judges by what they read. FUZZ_CASES says how many of
 * each (20,000 in CI), FUZZ_SEED where to begin: a case's number is its seed.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { concat, equal } from "../../src/bytes/bytes.ts";
import { derEncode, Tag } from "../../src/bytes/der.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import { TlsError } from "../../src/errors.ts";
import { settle } from "../../src/flow.ts";
import { type CertificateRevocationList, parseCrl } from "../../src/x509/crl.ts";
import { parseOcspResponse } from "../../src/x509/ocsp.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import { rfc5280Profile, webpkiProfile } from "../../src/x509/profiles.ts";
import { revocationChecker } from "../../src/x509/revocation.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { trustVerifier, type VerifyRequest } from "../../src/x509/verifier.ts";
import { encodeOid, encodeSequence, extension, generalName } from "../support/der.ts";
import { makeAuthority, makeCertificate, type TestCertificate, type TestCertificateOptions } from "../support/pki.ts";
import { Random } from "../support/random.ts";
import {
  distributionPoint,
  makeCrl,
  makeOcspResponse,
  mustStaple,
  ocspAccess,
  ocspNoCheck,
  scope,
  serialOf,
} from "../support/status.ts";
import { workOf } from "../support/work.ts";
import { KINDS, question } from "../verdicts/chains.ts";
import { policies, policyConstraints, policyMapping } from "../verdicts/extensions.ts";
import { mutateDer } from "./mutate-der.ts";

const CASES = Number(process.env.FUZZ_CASES ?? (process.env.CI ? 20_000 : 1500));
const SEED = Number(process.env.FUZZ_SEED ?? 1);
/** ms for one test. */
const PATIENCE = 30_000 + 20 * CASES;

const provider = createNodeProvider();
let root: TestCertificate;
let middle: TestCertificate;
let leaf: TestCertificate;
let responder: TestCertificate;
/** Certificates of all sorts, well-formed and not. */
let certificates: Uint8Array[];
let crls: Uint8Array[];
let responses: Uint8Array[];

beforeAll(async () => {
  root = await makeAuthority({ subject: "fuzz root" });
  middle = await makeAuthority({
    subject: "fuzz CA",
    issuer: root,
    pathLength: 3,
    extensions: [
      extension.nameConstraints([generalName.dns("localhost"), generalName.directory("fuzzed")], []),
      policies("1.2.3", "1.2.4"),
      policyMapping("1.2.3", "1.2.5"),
      policyConstraints(9),
    ],
  });
  leaf = await makeCertificate({
    subject: "fuzzed",
    issuer: middle,
    names: [generalName.dns("localhost")],
    extensions: [distributionPoint("http://a.test/crl"), ocspAccess("http://a.test/"), policies("1.2.5"), mustStaple],
  });
  responder = await makeCertificate({
    subject: "fuzz responder",
    issuer: middle,
    purposes: ["1.3.6.1.5.5.7.3.9"],
    names: [],
    extensions: [ocspNoCheck],
  });
  certificates = [leaf.der, middle.der, root.der, responder.der];
  for (const kind of KINDS) certificates.push(...question(kind, 0).sent);
  const entries = [
    { serial: serialOf(leaf), reason: 1 },
    { serial: Uint8Array.of(2), issuer: root },
    { serial: Uint8Array.of(3), reason: 8 },
  ];
  const indirect = scope({ url: "http://a.test/crl", indirect: true });
  crls = [
    await makeCrl({ issuer: middle }),
    await makeCrl({ issuer: middle, entries, scope: indirect }),
    await makeCrl({ issuer: middle, entries: entries.slice(0, 1), scope: scope({ user: true, reasons: [1, 2] }) }),
    await makeCrl({
      issuer: middle,
      number: 3,
      base: 1,
      extensions: [{ ...distributionPoint("http://a.test/d"), oid: "2.5.29.46" }],
    }),
  ];
  const about = { certificate: leaf, issuer: middle };
  responses = [
    await makeOcspResponse(about),
    await makeOcspResponse({ ...about, status: "revoked", hash: "sha256", byKey: true }),
    await makeOcspResponse({ ...about, responder, status: "revoked", nonce: new Uint8Array(32) }),
    await makeOcspResponse({ ...about, status: "unknown", version: 0 }),
  ];
});

/** Runs all cases on mutations; the outcomes, counted. */
function fuzz(
  seeds: readonly Uint8Array[],
  judge: (bytes: Uint8Array, seed: Uint8Array) => string,
): Map<string, number> {
  const outcomes = new Map<string, number>();
  for (let number = SEED; number < SEED + CASES; number++) {
    const random = new Random(number);
    const seed = random.pick(seeds);
    const bytes = mutateDer(random, seed, seeds);
    let outcome: string;
    try {
      outcome = judge(bytes, seed);
    } catch (error) {
      throw new Error(`case ${number}`, { cause: error });
    }
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  return outcomes;
}

/** `read`, or the code of the TlsError. */
function codeOf(action: () => void): string {
  try {
    action();
    return "read";
  } catch (error) {
    if (error instanceof TlsError) return error.code;
    throw error;
  }
}

function lookAt(der: Uint8Array): void {
  const { subject, issuer, subjectAltName } = parseCertificate(der);
  for (const name of [subject, issuer, ...(subjectAltName?.directory ?? [])]) {
    expect(name.text).toBeTypeOf("string");
    expect(name.key).toBeTypeOf("string");
    expect(name.within(name)).toBe(true);
  }
}

/** Whether CRLs and OCSP responses can be had where the certificate says. */
const revocation = () => revocationChecker({ mode: "hard-fail", crls, fetch: () => undefined });

describe("damaged certificates", { timeout: PATIENCE }, () => {
  it("are refused with CERT_PARSE_ERROR, or are others that can be looked at", () => {
    const outcomes = fuzz(certificates, (bytes) => codeOf(() => lookAt(bytes)));
    expect([...outcomes.keys()].sort()).toEqual(["CERT_PARSE_ERROR", "read"]);
    for (const count of outcomes.values()) expect(count).toBeGreaterThan(CASES / 50);
  });

  it.each([
    ["end entity", (bytes: Uint8Array) => [bytes, middle.der]],
    ["intermediate", (bytes: Uint8Array) => [leaf.der, bytes]],
    ["intermediate beside the right one", (bytes: Uint8Array) => [leaf.der, bytes, middle.der]],
  ] as const)("as %s are refused with an explanation, or what is signed is what was signed", (place, sent) => {
    const common = { trust: trustStore(root.der) };
    const verifiers = [
      trustVerifier(common),
      trustVerifier({ ...common, revocation: revocation() }),
      trustVerifier({ ...common, profile: rfc5280Profile, purpose: "any" }),
      trustVerifier({ ...common, profile: webpkiProfile }),
    ];
    const seeds = place === "end entity" ? [leaf.der] : [middle.der];
    let turn = 0;
    const outcomes = fuzz(seeds, (bytes, seed) => {
      const verifier = verifiers[turn++ % verifiers.length] as (typeof verifiers)[number];
      const request: VerifyRequest = {
        certificates: sent(bytes),
        role: turn % 3 === 0 ? "client" : "server",
        name: "localhost",
        time: Date.now(),
        provider,
      };
      try {
        const identity = settle(verifier.verify(request));
        if (!("verified" in identity)) throw new Error("it had to wait");
        const first = parseCertificate(seed);
        const fitting = place === "end entity" ? identity.certificate : identity.path[1];
        expect(fitting && equal(fitting.tbs, first.tbs)).toBe(true);
        return "verified";
      } catch (error) {
        if (!(error instanceof TlsError)) throw error;
        expect(error.rejection?.paths.length).toBeGreaterThan(0);
        expect(error.rejection?.remedy).toBeTypeOf("string");
        return error.code;
      }
    });
    expect(outcomes.size).toBeGreaterThan(place === "intermediate beside the right one" ? 2 : 4);
    expect(outcomes.get("CERT_PARSE_ERROR")).toBeGreaterThan(CASES / 50);
  });
});

describe("damaged CRLs", { timeout: PATIENCE }, () => {
  it("are refused with CRL_PARSE_ERROR, or are others that can be asked", () => {
    const outcomes = fuzz(crls, (bytes) =>
      codeOf(() => {
        const crl = parseCrl(bytes);
        expect(crl.issuer.key).toBeTypeOf("string");
        expect(crl.find(crl.issuer, Uint8Array.of(0x77))).toBeUndefined();
      }),
    );
    expect([...outcomes.keys()].sort()).toEqual(["CRL_PARSE_ERROR", "read"]);
    for (const count of outcomes.values()) expect(count).toBeGreaterThan(CASES / 50);
  });

  it("clear nobody whom the CRL as it was did not clear", async () => {
    const rootCrl = await makeCrl({ issuer: root });
    const good = crls[0] as Uint8Array;
    const tbsOf = (der: Uint8Array): Uint8Array | undefined => readCrl(der)?.tbs;
    const signed = tbsOf(good);
    const outcomes = fuzz(crls, (bytes) => {
      if (readCrl(bytes) === undefined) return "unreadable";
      const checker = revocationChecker({ mode: "hard-fail", crls: [rootCrl, bytes], mustStaple: false });
      const verifier = trustVerifier({ trust: trustStore(root.der), revocation: checker });
      const request = { role: "server", name: undefined, time: Date.now(), provider } as const;
      const code = codeOf(() => void settle(verifier.verify({ ...request, certificates: [leaf.der, middle.der] })));
      if (code === "read") expect(equal(tbsOf(bytes) as Uint8Array, signed as Uint8Array)).toBe(true);
      return code;
    });
    expect(outcomes.get("CRL_SIGNATURE_FAILURE")).toBeGreaterThan(CASES / 50);
  });
});

function readCrl(der: Uint8Array): CertificateRevocationList | undefined {
  try {
    return parseCrl(der);
  } catch (error) {
    if (error instanceof TlsError) return undefined;
    throw error;
  }
}

describe("damaged OCSP responses", { timeout: PATIENCE }, () => {
  it("are refused with ERR_TLS_PEM, or are others", () => {
    const outcomes = fuzz(responses, (bytes) => codeOf(() => void parseOcspResponse(bytes)));
    expect([...outcomes.keys()].sort()).toEqual(["ERR_TLS_PEM", "read"]);
    for (const count of outcomes.values()) expect(count).toBeGreaterThan(CASES / 50);
  });

  it("stapled clear nobody whom the response as it was did not clear", async () => {
    const checker = revocationChecker({ mode: "soft-fail" });
    const verifier = trustVerifier({ trust: trustStore(root.der), revocation: checker });
    const request = { role: "server", name: undefined, time: Date.now(), provider } as const;
    const chain = [leaf.der, middle.der];
    const signed = parseOcspResponse(responses[0] as Uint8Array).tbs;
    const outcomes = fuzz(responses, (ocspResponse) => {
      const code = codeOf(() => void settle(verifier.verify({ ...request, certificates: chain, ocspResponse })));
      if (code === "read") expect(equal(parseOcspResponse(ocspResponse).tbs, signed)).toBe(true);
      return code;
    });
    const codes = [...outcomes.keys()].filter((code) => code !== "read" && code !== "CERT_REVOKED");
    expect(codes).toEqual(["ERR_TLS_STATUS_RESPONSE"]);
  });
});

describe("the work of reading", () => {
  const many = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
  const withOptions = (options: TestCertificateOptions) =>
    makeCertificate({ issuer: middle, ...options }).then(({ der }) => der);
  const named = (count: number) => withOptions({ names: many(count, (i) => generalName.dns(`h${i}.example`)) });
  const directories = (count: number) =>
    withOptions({
      names: many(count, (i) =>
        generalName.directory([
          ["O", `o ${i}`],
          ["CN", "x"],
        ]),
      ),
    });
  const constrained = (count: number) =>
    withOptions({
      extensions: [
        extension.nameConstraints(
          many(count, (i) => generalName.dns(`h${i}.example`)),
          [],
        ),
      ],
    });
  const extended = (count: number) =>
    withOptions({ extensions: many(count, (i) => ({ oid: `1.2.3.${i}`, critical: false, value: new Uint8Array(4) })) });
  const attributed = (count: number) => withOptions({ subject: many(count, (i) => ["OU", `unit ${i}`] as const) });
  const purposed = (count: number) => withOptions({ purposes: many(count, (i) => `1.2.3.${i}`) });
  const listed = (count: number) =>
    makeCrl({
      issuer: middle,
      entries: many(count, (i) => ({ serial: Uint8Array.of(1, i >> 8, i & 0xff), reason: 1 })),
    });
  const indirectly = async (count: number) => {
    const issuers = await Promise.all(many(20, (i) => makeAuthority({ subject: `issuer ${i}` })));
    const entries = many(count, (i) => ({
      serial: Uint8Array.of(1, i >> 8, i & 0xff),
      issuer: issuers[i % 20] as TestCertificate,
    }));
    return makeCrl({ issuer: middle, entries, scope: scope({ indirect: true }) });
  };
  /** SEQUENCEs in each other where the subject has its name. */
  const nested = async (count: number) => {
    let value: Uint8Array = new Uint8Array(0);
    for (let i = 0; i < count; i++) value = encodeSequence(value);
    const subject = encodeSequence(derEncode(Tag.set, encodeSequence(encodeOid("2.5.4.3"), value)));
    const { tbs, signatureAlgorithm, subject: old } = parseCertificate(leaf.der);
    const at = Buffer.from(tbs).lastIndexOf(old.der);
    const inner = concat(tbs.subarray(4, at), subject, tbs.subarray(at + old.der.length));
    return encodeSequence(encodeSequence(inner), signatureAlgorithm, derEncode(Tag.bitString, new Uint8Array(65)));
  };

  const work = (der: Uint8Array, parse: (der: Uint8Array) => unknown) => {
    const once = () => void codeOf(() => void parse(der));
    once();
    return workOf(once);
  };
  const look = (der: Uint8Array) => lookAt(der);

  it.each([
    ["names", named, 300, look],
    ["directory names", directories, 300, look],
    ["constraints", constrained, 300, look],
    ["extensions", extended, 25, look],
    ["attributes of a subject", attributed, 30, look],
    ["key purposes", purposed, 30, look],
    ["SEQUENCEs in each other", nested, 300, look],
    ["entries of a CRL", listed, 1000, parseCrl],
    ["entries of an indirect CRL", indirectly, 1000, parseCrl],
  ] as const)("is linear in %s", async (_, make, count, parse) => {
    const [one, two] = [work(await make(count), parse), work(await make(2 * count), parse)];
    expect(one).toBeGreaterThan(100);
    // Four times as much would be quadratic.
    expect(two).toBeLessThan(2.1 * one);
  });

  it.each([
    ["names", named, 1024],
    ["constraints", constrained, 1024],
    ["extensions", extended, 58],
    ["attributes of a subject", attributed, 64],
    ["key purposes", purposed, 64],
  ] as const)("ends at the limit of %s", async (_, make, limit) => {
    const [most, more, double] = [await make(limit), await make(limit + 1), await make(2 * limit)];
    expect(codeOf(() => look(most))).toBe("read");
    expect(codeOf(() => look(more))).toBe("CERT_PARSE_ERROR");
    // What stands behind the limit is not looked at: that would be twice as much. Serial numbers and keys differ.
    expect(work(double, parseCertificate)).toBeLessThan(1.1 * work(more, parseCertificate));
  });

  it("is bounded by the length, whatever the damage", () => {
    for (let batch = 0; batch < 10; batch++) {
      const random = new Random(SEED + batch);
      const damaged = many(100, () => mutateDer(random, random.pick(certificates), certificates));
      const bytes = damaged.reduce((sum, der) => sum + der.length, 0);
      expect(workOf(() => damaged.forEach((der) => void codeOf(() => look(der))))).toBeLessThan(8 * bytes);
    }
  });
});
