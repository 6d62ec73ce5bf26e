/** Revocation as a policy: CRLs, staples and what is fetched, in paths and in handshakes, on both sides. */
import { beforeAll, describe, expect, it } from "vitest";
import { DerReader } from "../../src/bytes/der.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import type { CryptoProvider } from "../../src/crypto/provider.ts";
import { sealedTickets, sessionCache } from "../../src/engine/index.ts";
import { type CauseCode, TlsError } from "../../src/errors.ts";
import { settle } from "../../src/flow.ts";
import { generateKeyPair } from "../../src/pki/keys.ts";
import { KeyUsage } from "../../src/x509/certificate.ts";
import { type RevocationFetch, type RevocationOptions, revocationChecker } from "../../src/x509/revocation.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { trustVerifier } from "../../src/x509/verifier.ts";
import { encodeBitString, encodeSequence, extension } from "../support/der.ts";
import { exchange, failure } from "../support/pair.ts";
import {
  DAY,
  makeAuthority,
  makeCertificate,
  type TestCertificate,
  type TestCertificateOptions,
} from "../support/pki.ts";
import {
  distributionPoint,
  makeCrl,
  makeOcspResponse,
  mustStaple,
  ocspAccess,
  scope,
  serialOf,
  type TestCrlOptions,
  unknownCritical,
} from "../support/status.ts";
import { createWorld, provider, type World } from "../support/world.ts";

let root: TestCertificate;
let middle: TestCertificate;
let leaf: TestCertificate;
/** The root's CRL, without entries. */
let rootCrl: Uint8Array;
const URL_A = "http://a.test/crl";

beforeAll(async () => {
  root = await makeAuthority({ subject: "test root" });
  middle = await makeAuthority({ subject: "test CA", issuer: root });
  leaf = await makeCertificate({ issuer: middle });
  rootCrl = await makeCrl({ issuer: root });
});

/** The same certificate without version and extensions. */
async function asVersion1(certificate: TestCertificate, issuer: TestCertificate): Promise<TestCertificate> {
  const tbs = new DerReader(certificate.der).sequence().sequence();
  const parts: Uint8Array[] = [];
  while (tbs.remaining > 0) parts.push(tbs.raw());
  const plain = encodeSequence(...parts.slice(1, -1));
  const signature = encodeBitString(await issuer.pair.sign(plain));
  return { ...certificate, der: encodeSequence(plain, issuer.pair.algorithm, signature) };
}

interface Verification {
  readonly sent?: readonly TestCertificate[];
  readonly role?: "server" | "client";
  readonly staple?: Uint8Array;
  readonly time?: number;
  readonly provider?: CryptoProvider;
  /** The root where left out. */
  readonly anchor?: TestCertificate;
  readonly maxSignatureChecks?: number;
}

/** `good`, or the error. */
async function verify(
  options: Partial<RevocationOptions>,
  verification: Verification = {},
): Promise<TlsError | "good"> {
  return ask(revocationChecker({ mode: "hard-fail", ...options }), verification);
}

async function ask(
  revocation: ReturnType<typeof revocationChecker>,
  verification: Verification = {},
): Promise<TlsError | "good"> {
  const { sent = [leaf, middle], role = "server", staple, time = Date.now(), provider = nodeProvider } = verification;
  const { anchor = root, maxSignatureChecks } = verification;
  const verifier = trustVerifier({ trust: trustStore(anchor.der), revocation, maxSignatureChecks });
  const certificates = sent.map(({ der }) => der);
  try {
    const request = { certificates, role, name: undefined, time, provider, ocspResponse: staple };
    await settle(verifier.verify(request));
    return "good";
  } catch (error) {
    if (error instanceof TlsError) return error;
    throw error;
  }
}

const issue = (options: TestCertificateOptions) => makeCertificate({ issuer: middle, ...options });

describe("CRLs", () => {
  it("clear every certificate of the path but the anchor, in either role", async () => {
    const crls = [rootCrl, await makeCrl({ issuer: middle })];
    for (const role of ["server", "client"] as const) expect(await verify({ crls }, { role })).toBe("good");
  });

  it("revoke, with serial number, reason and time in the explanation", async () => {
    const crls = [rootCrl, await makeCrl({ issuer: middle, entries: [{ serial: serialOf(leaf), reason: 1 }] })];
    for (const mode of ["hard-fail", "soft-fail"] as const) {
      const error = (await verify({ crls, mode })) as TlsError;
      expect(error).toMatchObject({ code: "CERT_REVOKED", alert: "certificate_revoked" });
      const serial = Buffer.from(serialOf(leaf)).toString("hex");
      expect(error.rejection?.paths[0]).toMatchObject({
        certificate: "CN=test leaf",
        reason: expect.stringMatching(`${serial} was revoked at .*Z for keyCompromise`),
      });
      expect(error.rejection?.remedy).toMatch(/new key/);
    }
  });

  it("revoke an intermediate", async () => {
    const crls = [await makeCrl({ issuer: root, entries: [{ serial: serialOf(middle) }] })];
    const error = (await verify({ crls, mode: "soft-fail" })) as TlsError;
    expect(error.rejection?.paths[0]).toMatchObject({ code: "CERT_REVOKED", certificate: "CN=test CA" });
  });

  it("let another path be taken where one is revoked", async () => {
    const cross = await makeAuthority({ subject: "test CA", key: middle.pair, issuer: root });
    const crls = [
      await makeCrl({ issuer: root, entries: [{ serial: serialOf(middle) }] }),
      await makeCrl({ issuer: middle }),
    ];
    expect(await verify({ crls }, { sent: [leaf, middle, cross] })).toBe("good");
    expect(await verify({ crls }, { sent: [leaf, middle] })).toMatchObject({ code: "CERT_REVOKED" });
  });

  const BROKEN: readonly (readonly [string, CauseCode, () => Promise<Partial<TestCrlOptions>>])[] = [
    ["by another issuer", "UNABLE_TO_GET_CRL", async () => ({ issuer: await makeAuthority({ subject: "else" }) })],
    ["expired", "CRL_HAS_EXPIRED", async () => ({ nextUpdate: Date.now() - DAY / 2 })],
    [
      "without nextUpdate and older than a week",
      "CRL_HAS_EXPIRED",
      async () => ({ nextUpdate: null, thisUpdate: Date.now() - 8 * DAY }),
    ],
    ["of tomorrow", "CRL_NOT_YET_VALID", async () => ({ thisUpdate: Date.now() + DAY })],
    ["signed by another key", "CRL_SIGNATURE_FAILURE", async () => ({ signer: root.pair })],
    ["with a critical extension", "UNHANDLED_CRITICAL_CRL_EXTENSION", async () => ({ extensions: [unknownCritical] })],
    ["for CA certificates", "DIFFERENT_CRL_SCOPE", async () => ({ scope: scope({ ca: true }) })],
    ["for attribute certificates", "DIFFERENT_CRL_SCOPE", async () => ({ scope: scope({ attribute: true }) })],
    ["for another distribution point", "DIFFERENT_CRL_SCOPE", async () => ({ scope: scope({ url: URL_A }) })],
    ["for some reasons only", "DIFFERENT_CRL_SCOPE", async () => ({ scope: scope({ reasons: [1, 2] }) })],
    ["a delta without its base", "UNABLE_TO_GET_CRL", async () => ({ base: 1, number: 2 })],
  ];
  it.each(BROKEN)("%s settle nothing: refused in hard-fail mode, accepted in soft-fail", async (_, code, options) => {
    const crls = [rootCrl, await makeCrl({ issuer: middle, ...(await options()) })];
    const error = (await verify({ crls })) as TlsError;
    expect(error).toMatchObject({ code, alert: "certificate_unknown" });
    expect(error.rejection?.remedy).not.toBe("see the reason");
    expect(await verify({ crls, mode: "soft-fail" })).toBe("good");
  });

  it("for users' certificates alone settle nothing about a CA's", async () => {
    const crls = [await makeCrl({ issuer: root, scope: scope({ user: true }) }), await makeCrl({ issuer: middle })];
    expect(await verify({ crls })).toMatchObject({ code: "DIFFERENT_CRL_SCOPE" });
  });

  it("for users' certificates alone settle nothing about one of version 1 (RFC 5280 5.2.5)", async () => {
    const sent = [await asVersion1(await issue({}), middle), middle];
    expect(await verify({ crls: [rootCrl, await makeCrl({ issuer: middle })] }, { sent })).toBe("good");
    const crls = [rootCrl, await makeCrl({ issuer: middle, scope: scope({ user: true }) })];
    expect(await verify({ crls }, { sent })).toMatchObject({ code: "DIFFERENT_CRL_SCOPE" });
  });

  it("clear their own issuer's certificate only where its CA has said so", async () => {
    const key = await generateKeyPair("P-256");
    const named = { subject: "CRL signer", issuer: root, key, keyUsage: KeyUsage.cRLSign, names: [], purposes: [] };
    const plain = await makeCertificate(named);
    const appointed = await makeCertificate({ ...named, extensions: [distributionPoint(undefined, plain)] });
    const sent = [await issue({ extensions: [distributionPoint(undefined, plain)] }), middle];
    const crl = await makeCrl({ issuer: plain, scope: scope({ indirect: true }) });
    const middleOnly = await makeCrl({ issuer: root, scope: scope({ ca: true }) });
    const crls = [middleOnly, crl];
    expect(await verify({ crls, certificates: appointed.der }, { sent })).toBe("good");
    expect(await verify({ crls, certificates: plain.der }, { sent })).toMatchObject({
      code: "UNABLE_TO_GET_CRL_ISSUER",
    });
  });

  it("of an issuer without cRLSign settle nothing", async () => {
    const mute = await makeAuthority({ subject: "mute", issuer: root, keyUsage: KeyUsage.keyCertSign });
    const crls = [rootCrl, await makeCrl({ issuer: mute })];
    const sent = [await issue({ issuer: mute }), mute];
    expect(await verify({ crls }, { sent })).toMatchObject({ code: "KEYUSAGE_NO_CRL_SIGN" });
  });

  it("may be held to the letter of RFC 5280 5.2", async () => {
    const crls = [rootCrl, await makeCrl({ issuer: middle, number: null })];
    expect(await verify({ crls })).toBe("good");
    expect(await verify({ crls, strictCrls: true })).toMatchObject({ code: "CRL_PARSE_ERROR" });
  });

  it("cover a distribution point by its name, and all reasons together", async () => {
    const sent = [await issue({ extensions: [distributionPoint(URL_A)] }), middle];
    const part = (reasons: number[]) => makeCrl({ issuer: middle, scope: scope({ url: URL_A, reasons }) });
    const [some, rest] = [await part([1, 2, 3, 4]), await part([5, 6, 7])];
    const last = await makeCrl({ issuer: middle, scope: scope({ url: URL_A }) });
    expect(await verify({ crls: [rootCrl, some, rest] }, { sent })).toMatchObject({ code: "DIFFERENT_CRL_SCOPE" });
    expect(await verify({ crls: [rootCrl, some, last] }, { sent })).toBe("good");
  });

  it("and delta CRLs together: revoked since, and removed since (RFC 5280 5.2.4)", async () => {
    const serial = serialOf(leaf);
    const hold = { serial, reason: 6 };
    const make = (options: Omit<TestCrlOptions, "issuer">) => makeCrl({ issuer: middle, ...options });
    const complete = await make({ number: 5 });
    const held = await make({ number: 5, entries: [hold] });
    const revoking = await make({ number: 6, base: 4, entries: [hold] });
    const removing = await make({ number: 6, base: 5, entries: [{ serial, reason: 8 }] });
    const gap = await make({ number: 8, base: 6, entries: [hold] });
    const older = await make({ number: 5, base: 3, entries: [hold] });
    const stale = await make({ number: 5, nextUpdate: Date.now() - DAY / 2 });
    const otherScope = await make({ number: 6, base: 4, entries: [hold], scope: scope({ user: true }) });
    const forged = await make({ number: 6, base: 4, entries: [{ serial, reason: 8 }], signer: root.pair });
    const codeOf = async (...crls: Uint8Array[]) => {
      const verdict = await verify({ crls: [rootCrl, ...crls] });
      return verdict === "good" ? "good" : verdict.code;
    };
    expect(await codeOf(complete, revoking)).toBe("CERT_REVOKED");
    expect(await codeOf(held, removing)).toBe("good");
    expect(await codeOf(complete, gap)).toBe("good");
    expect(await codeOf(complete, older)).toBe("good");
    expect(await codeOf(complete, otherScope)).toBe("good");
    expect(await codeOf(held, forged)).toBe("CERT_REVOKED");
    expect(await codeOf(stale)).toBe("CRL_HAS_EXPIRED");
    expect(await codeOf(stale, await make({ number: 6, base: 5 }))).toBe("good");
  });

  it("by an issuer of CRLs alone: its certificate verifies under the same anchor and is not revoked", async () => {
    const signer = await makeCertificate({
      subject: "CRL signer",
      issuer: root,
      keyUsage: KeyUsage.cRLSign,
      names: [],
      purposes: [],
    });
    const sent = [await issue({ extensions: [distributionPoint(undefined, signer)] }), middle];
    const target = sent[0] as TestCertificate;
    const indirect = scope({ indirect: true });
    const clean = await makeCrl({ issuer: signer, scope: indirect });
    const same = await makeCrl({ issuer: signer, scope: indirect, entries: [{ serial: serialOf(target) }] });
    const revoking = await makeCrl({
      issuer: signer,
      scope: indirect,
      entries: [{ serial: serialOf(target), issuer: middle }],
    });
    const direct = await makeCrl({ issuer: signer });
    const noSigner = await makeCrl({ issuer: root, entries: [{ serial: serialOf(signer) }] });
    const certificates = signer.der;
    const codeOf = async (options: Partial<RevocationOptions>) => {
      const verdict = await verify(options, { sent });
      return verdict === "good" ? "good" : verdict.code;
    };
    expect(await codeOf({ crls: [rootCrl, clean], certificates })).toBe("good");
    expect(await codeOf({ crls: [rootCrl, same], certificates })).toBe("good");
    expect(await codeOf({ crls: [rootCrl, revoking], certificates })).toBe("CERT_REVOKED");
    expect(await codeOf({ crls: [rootCrl, direct], certificates })).toBe("DIFFERENT_CRL_SCOPE");
    expect(await codeOf({ crls: [rootCrl, clean] })).toBe("UNABLE_TO_GET_CRL_ISSUER");
    expect(await codeOf({ crls: [noSigner, clean], certificates })).toBe("UNABLE_TO_GET_CRL_ISSUER");
    const stranger = await makeCertificate({ subject: "CRL signer", keyUsage: KeyUsage.cRLSign, names: [] });
    const byStranger = await makeCrl({ issuer: stranger, scope: indirect });
    expect(await codeOf({ crls: [rootCrl, byStranger], certificates: stranger.der })).toBe("UNABLE_TO_GET_CRL_ISSUER");
  });

  it("of an issuer that many certificates claim to be cost bounded work", async () => {
    const key = await generateKeyPair("P-256");
    const named = { subject: "CRL signer", key, keyUsage: KeyUsage.cRLSign, names: [], purposes: [] };
    const claims: TestCertificate[] = [];
    for (let i = 0; i < 29; i++) claims.push(await makeCertificate({ ...named, issuer: middle, signer: root.pair }));
    const target = await issue({ extensions: [distributionPoint(undefined, claims[0])] });
    const crl = await makeCrl({ issuer: claims[0] as TestCertificate, scope: scope({ indirect: true }) });
    let count = 0;
    const counting: CryptoProvider = {
      ...nodeProvider,
      verify: (...request) => {
        count++;
        return nodeProvider.verify(...request);
      },
    };
    const verdict = await verify({ crls: [rootCrl, crl] }, { sent: [target, middle, ...claims], provider: counting });
    expect(verdict).toMatchObject({ code: "UNABLE_TO_GET_CRL_ISSUER" });
    expect(count).toBeLessThan(claims.length);
  });

  describe("of a key that the CA has for them alone", () => {
    let signer: TestCertificate;
    let crls: Uint8Array[];
    /** Anyone can certify the name and the public key of whoever signs CRLs, in his own CA's name. */
    let claims: TestCertificate[];

    beforeAll(async () => {
      const named = { subject: "test CA", keyUsage: KeyUsage.cRLSign, names: [], purposes: [] };
      signer = await makeCertificate({ ...named, issuer: root });
      crls = [rootCrl, await makeCrl({ issuer: signer, entries: [{ serial: serialOf(leaf) }] })];
      const nobody = await makeAuthority({ subject: "nobody" });
      claims = [];
      for (let i = 0; i < 20; i++) claims.push(await makeCertificate({ ...named, issuer: nobody, key: signer.pair }));
    });

    it("revoke, whoever else a peer says has it", async () => {
      const renewed = await makeAuthority({ subject: "test CA", key: middle.pair, issuer: root });
      for (const sent of [
        [leaf, middle],
        [leaf, middle, ...claims],
        [leaf, middle, renewed, ...claims],
      ]) {
        const verdict = await verify({ mode: "soft-fail", crls, certificates: signer.der }, { sent, role: "client" });
        expect(verdict).toMatchObject({ code: "CERT_REVOKED", alert: "certificate_revoked" });
      }
    });

    it("are no reason to accept whoever keeps them from being looked at", async () => {
      // The claims come first, since the key's certificate comes from the peer, too.
      const sent = [leaf, middle, ...claims.slice(0, 16), signer];
      const refused = { code: "UNABLE_TO_GET_CRL_ISSUER", alert: "certificate_unknown" };
      const detail = expect.stringMatching(/more than 16 issuers/);
      const staple = await makeOcspResponse({ certificate: leaf, issuer: middle });
      for (const mode of ["soft-fail", "hard-fail"] as const) {
        for (const verification of [{ sent }, { sent, staple }]) {
          expect(await verify({ mode, crls }, verification)).toMatchObject({ ...refused, detail });
        }
      }
      const within = [leaf, middle, ...claims.slice(0, 15), signer];
      expect(await verify({ mode: "soft-fail", crls }, { sent: within })).toMatchObject({ code: "CERT_REVOKED" });
    });

    it("are no reason to accept whoever makes the search for its issuer too long", async () => {
      // Without key identifiers the anchor stands behind whoever claims to be it and has the one that fits.
      const anchor = await makeAuthority({ subject: "bare root", keyIds: false });
      const issuing = await makeAuthority({ subject: "test CA", issuer: anchor, keyIds: false });
      const target = await makeCertificate({ issuer: issuing });
      const keyUsage = KeyUsage.cRLSign;
      const own = await makeCertificate({ subject: "test CA", issuer: anchor, keyUsage, names: [], purposes: [] });
      const revoking = await makeCrl({ issuer: own, entries: [{ serial: serialOf(target) }] });
      const layers: TestCertificate[][] = [];
      let issuer = await makeAuthority({ subject: "nobody" });
      for (const [subject, key] of [
        ["first", await generateKeyPair("P-256")],
        ["second", await generateKeyPair("P-256")],
        ["bare root", anchor.pair],
      ] as const) {
        const layer: TestCertificate[] = [];
        for (let i = 0; i < 8; i++) layer.push(await makeAuthority({ subject, key, issuer }));
        layers.push(layer);
        [issuer] = layer as [TestCertificate];
      }
      const options = { mode: "soft-fail", crls: revoking, certificates: own.der } as const;
      expect(await verify(options, { sent: [target, issuing], anchor })).toMatchObject({ code: "CERT_REVOKED" });
      const error = (await verify(options, { sent: [target, issuing, ...layers.flat()], anchor })) as TlsError;
      expect(error).toMatchObject({ code: "CERT_REJECTED", alert: "certificate_unknown" });
      const reason = expect.stringMatching(/more than 64 signatures/);
      expect(error.rejection?.paths).toContainEqual(
        expect.objectContaining({ code: "UNABLE_TO_GET_CRL_ISSUER", reason }),
      );
    });

    it("are no reason to accept whoever has others' keys tried until no more may be", async () => {
      // With other keys, each costs one signature of the CRL.
      const extensions = [extension.subjectKeyId(signer.keyId)];
      const others: TestCertificate[] = [];
      for (let i = 0; i < 4; i++) {
        others.push(await makeAuthority({ subject: "test CA", keyIds: false, extensions }));
      }
      const sent = [leaf, middle, ...others, signer];
      const options = { mode: "soft-fail", crls } as const;
      expect(await verify(options, { sent })).toMatchObject({ code: "CERT_REVOKED" });
      const error = (await verify(options, { sent, maxSignatureChecks: 5 })) as TlsError;
      expect(error).toMatchObject({ code: "CERT_REJECTED", alert: "certificate_unknown" });
      const reason = expect.stringMatching(/more than 5 signatures of CRLs/);
      expect(error.rejection?.paths).toContainEqual(expect.objectContaining({ code: "CERT_REJECTED", reason }));
    });
  });

  it("can be replaced, and a bad replacement changes nothing", async () => {
    const checker = revocationChecker({ mode: "hard-fail", crls: [rootCrl, await makeCrl({ issuer: middle })] });
    expect(await ask(checker)).toBe("good");
    expect(() => checker.replaceCrls("nothing")).toThrow(expect.objectContaining({ code: "ERR_TLS_PEM" }));
    expect(await ask(checker)).toBe("good");
    checker.replaceCrls([rootCrl, await makeCrl({ issuer: middle, entries: [{ serial: serialOf(leaf) }] })]);
    expect(await ask(checker)).toMatchObject({ code: "CERT_REVOKED" });
  });

  it("make a critical cRLDistributionPoints understood, and one that cannot be read the certificate's fault", async () => {
    const critical = { ...distributionPoint(URL_A), critical: true };
    const crls = [rootCrl, await makeCrl({ issuer: middle })];
    expect(await verify({ crls }, { sent: [await issue({ extensions: [critical] }), middle] })).toBe("good");
    const malformed = { oid: "2.5.29.31", critical: false, value: Uint8Array.of(0x30, 0) };
    const sent = [await issue({ extensions: [malformed] }), middle];
    expect(await verify({ crls }, { sent })).toMatchObject({ code: "CERT_PARSE_ERROR" });
  });
});

describe("what is fetched", () => {
  /** Answers by URL and remembers what it was asked. */
  function web(answers: Readonly<Record<string, Uint8Array | (() => Uint8Array)>>) {
    const asked: RevocationFetch[] = [];
    const fetch = (what: RevocationFetch) => {
      asked.push(what);
      const answer = answers[what.url];
      return typeof answer === "function" ? answer() : answer;
    };
    return { asked, fetch };
  }

  it("is a CRL, kept until it expires", async () => {
    const sent = [await issue({ extensions: [distributionPoint(URL_A)] }), middle];
    const { asked, fetch } = web({ [URL_A]: await makeCrl({ issuer: middle, nextUpdate: Date.now() + DAY / 4 }) });
    const checker = revocationChecker({ mode: "hard-fail", crls: rootCrl, fetch });
    expect(await ask(checker, { sent })).toBe("good");
    expect(await ask(checker, { sent })).toBe("good");
    expect(asked).toEqual([{ kind: "crl", url: URL_A }]);
    expect(await ask(checker, { sent, time: Date.now() + DAY / 2 })).toMatchObject({ code: "CRL_HAS_EXPIRED" });
    expect(asked.length).toBe(2);
  });

  it("is no longer what somebody put there on the way, once the CRL itself comes again", async () => {
    const sent = [await issue({ extensions: [distributionPoint(URL_A)] }), middle];
    const forever = Date.now() + 3650 * DAY;
    const impostor = await makeAuthority({ subject: "another CA", issuer: root });
    for (const [put, code] of [
      [await makeCrl({ issuer: middle, signer: impostor.pair, nextUpdate: forever }), "CRL_SIGNATURE_FAILURE"],
      [await makeCrl({ issuer: impostor, nextUpdate: forever }), "UNABLE_TO_GET_CRL"],
    ] as const) {
      const answers: Uint8Array[] = [put, await makeCrl({ issuer: middle })];
      const fetch = () => answers.shift();
      const checker = revocationChecker({ mode: "hard-fail", crls: rootCrl, fetch });
      const first = await ask(checker, { sent: [...sent, impostor] });
      expect(first).toMatchObject({ code: expect.stringMatching(`${code}|DIFFERENT_CRL_SCOPE`) });
      expect(await ask(checker, { sent })).toBe("good");
      expect(await ask(checker, { sent })).toBe("good");
      expect(answers).toEqual([]);
    }
  });

  it.each(["soft-fail", "hard-fail"] as const)(
    "is not kept for the sake of a certificate that the peer made for it: %s",
    async (mode) => {
      const extensions = [distributionPoint(URL_A)];
      const [revoked, honest] = [await issue({ extensions }), await issue({ extensions })];
      // Anyone can make the CA's name with his own key.
      const impostor = await makeAuthority({ subject: "test CA" });
      const answers = [
        await makeCrl({ issuer: impostor, nextUpdate: Date.now() + 3650 * DAY }),
        await makeCrl({ issuer: middle, entries: [{ serial: serialOf(revoked) }] }),
      ];
      const checker = revocationChecker({ mode, crls: rootCrl, fetch: () => answers.shift() });
      const first = await ask(checker, { sent: [revoked, middle, impostor] });
      expect(first === "good").toBe(mode === "soft-fail");
      expect(await ask(checker, { sent: [revoked, middle] })).toMatchObject({ code: "CERT_REVOKED" });
      expect(await ask(checker, { sent: [honest, middle, impostor] })).toBe("good");
      expect(answers).toEqual([]);
    },
  );

  it("gives way to what is there now where nobody who is trusted has signed it", async () => {
    // Two CAs of one name under two roots, and one address.
    const strange = await makeAuthority({ subject: "strange root" });
    const namesake = await makeAuthority({ subject: "test CA", issuer: strange });
    const extensions = [distributionPoint(URL_A)];
    const theirs = { sent: [await issue({ issuer: namesake, extensions }), namesake], anchor: strange };
    const ours = { sent: [await issue({ extensions }), middle] };
    const crls = [rootCrl, await makeCrl({ issuer: strange })];
    const answers = [await makeCrl({ issuer: namesake }), await makeCrl({ issuer: middle })];
    const checker = revocationChecker({ mode: "hard-fail", crls, fetch: () => answers.shift() });
    expect(await ask(checker, theirs)).toBe("good");
    expect(await ask(checker, theirs)).toBe("good");
    expect(answers).toHaveLength(1);
    expect(await ask(checker, ours)).toBe("good");
    expect(await ask(checker, ours)).toBe("good");
    expect(answers).toEqual([]);
  });

  it("is sixteen things at most: who names more is refused in both modes", async () => {
    const urls = Array.from({ length: 17 }, (_, i) => `http://a.test/${i}`);
    const point = (url: string) => new DerReader(distributionPoint(url).value).sequence().rest();
    const points = (count: number) => urls.slice(0, count).map(point);
    const naming = (count: number) => ({ ...distributionPoint(URL_A), value: encodeSequence(...points(count)) });
    for (const [count, outcome] of [
      [16, "good"],
      [17, "UNABLE_TO_GET_CRL"],
    ] as const) {
      const { asked, fetch } = web({});
      const sent = [await issue({ extensions: [naming(count)] }), middle];
      const verdict = await verify({ mode: "soft-fail", crls: rootCrl, fetch }, { sent });
      expect(verdict === "good" ? verdict : verdict.code).toBe(outcome);
      expect(asked).toHaveLength(16);
      expect(await verify({ crls: rootCrl, fetch }, { sent })).toMatchObject({ code: "UNABLE_TO_GET_CRL" });
    }
  });

  it("is not what another CA's certificates had fetched from the same place", async () => {
    const other = await makeAuthority({ subject: "other CA", issuer: root });
    const theirs = [await makeCertificate({ issuer: other, extensions: [distributionPoint(URL_A)] }), other];
    const ours = [await issue({ extensions: [distributionPoint(URL_A)] }), middle];
    const answers = [await makeCrl({ issuer: other }), await makeCrl({ issuer: middle })];
    const checker = revocationChecker({ mode: "hard-fail", crls: rootCrl, fetch: () => answers.shift() });
    expect(await ask(checker, { sent: theirs })).toBe("good");
    expect(await ask(checker, { sent: ours })).toBe("good");
    expect(answers).toEqual([]);
  });

  it.each([
    "http://a.test/\r\nHost: b.test",
    "http://a.test/ HTTP/1.1",
    "http://",
    "file:///etc/passwd",
    "http://a.test/\u00e9",
  ])("is never at %j", async (url) => {
    const { asked, fetch } = web({});
    const sent = [await issue({ extensions: [distributionPoint(url), ocspAccess(url)] }), middle];
    const verdict = (await verify({ crls: rootCrl, fetch }, { sent })) as TlsError;
    expect([verdict.code, asked]).toEqual(["UNABLE_TO_GET_CRL", []]);
    expect(verdict.message).toMatch(/^[ -~]*$/);
  });

  it("is an OCSP response, with a nonce or without", async () => {
    const url = "http://ocsp.test/";
    const certificate = await issue({ extensions: [ocspAccess(url)] });
    const sent = [certificate, middle];
    for (const status of ["good", "revoked"] as const) {
      const { asked, fetch } = web({ [url]: await makeOcspResponse({ certificate, issuer: middle, status }) });
      const checker = revocationChecker({ mode: "hard-fail", crls: rootCrl, fetch });
      for (let round = 0; round < 2; round++) {
        const verdict = await ask(checker, { sent });
        expect(verdict === "good" ? verdict : verdict.code).toBe(status === "good" ? "good" : "CERT_REVOKED");
      }
      expect(asked.length).toBe(status === "good" ? 1 : 2);
    }
    const replayed = web({ [url]: await makeOcspResponse({ certificate, issuer: middle }) });
    const wary = { crls: rootCrl, fetch: replayed.fetch, nonce: true };
    expect(await verify(wary, { sent })).toMatchObject({ code: "ERR_TLS_STATUS_RESPONSE" });
    expect(await verify({ ...wary, mode: "soft-fail" }, { sent })).toBe("good");
  });

  it("may be nothing, garbage or an error: then the status is not known", async () => {
    const sent = [await issue({ extensions: [distributionPoint(URL_A)] }), middle];
    const failing = () => {
      throw new Error("no route");
    };
    for (const [answers, reason] of [
      [{}, /nothing came from http:\/\/a.test/],
      [{ [URL_A]: Uint8Array.of(1, 2) }, /not valid DER/],
      [{ [URL_A]: failing }, /no route/],
    ] as const) {
      const options = { crls: rootCrl, fetch: web(answers).fetch };
      expect(await verify(options, { sent })).toMatchObject({
        code: "UNABLE_TO_GET_CRL",
        detail: expect.stringMatching(reason),
      });
      expect(await verify({ ...options, mode: "soft-fail" }, { sent })).toBe("good");
    }
  });

  it("may come late", async () => {
    const sent = [await issue({ extensions: [distributionPoint(URL_A)] }), middle];
    const crl = await makeCrl({ issuer: middle });
    expect(await verify({ crls: rootCrl, fetch: async () => crl }, { sent })).toBe("good");
  });
});

describe("a staple", () => {
  const staple = (options: Partial<Parameters<typeof makeOcspResponse>[0]> = {}) =>
    makeOcspResponse({ certificate: leaf, issuer: middle, ...options });

  it("clears the peer's own certificate", async () => {
    expect(await verify({ crls: rootCrl }, { staple: await staple() })).toBe("good");
  });

  it("revokes it; and so does a CRL whatever the staple says", async () => {
    const revoked = { code: "CERT_REVOKED", alert: "certificate_revoked" };
    expect(await verify({ crls: rootCrl }, { staple: await staple({ status: "revoked" }) })).toMatchObject(revoked);
    const crls = [rootCrl, await makeCrl({ issuer: middle, entries: [{ serial: serialOf(leaf) }] })];
    expect(await verify({ crls }, { staple: await staple() })).toMatchObject(revoked);
  });

  it("that is not acceptable is refused in both modes (RFC 6066 8)", async () => {
    const bad = [Uint8Array.of(0x30, 0), await staple({ signer: root.pair }), await staple({ status: "unknown" })];
    for (const mode of ["hard-fail", "soft-fail"] as const) {
      for (const response of bad) {
        expect(await verify({ crls: rootCrl, mode }, { staple: response })).toMatchObject({
          code: "ERR_TLS_STATUS_RESPONSE",
          alert: "bad_certificate_status_response",
        });
      }
    }
  });

  /** A provider that counts, and what it has counted. */
  function counting() {
    const count = { verified: 0 };
    const verify: CryptoProvider["verify"] = (...request) => {
      count.verified++;
      return nodeProvider.verify(...request);
    };
    return { count, provider: { ...nodeProvider, verify } };
  }

  it("that brings many responders costs bounded work", async () => {
    const purposes = ["1.3.6.1.5.5.7.3.9"];
    const key = await generateKeyPair("P-256");
    const claims: TestCertificate[] = [];
    for (let i = 0; i < 16; i++) {
      claims.push(await makeCertificate({ subject: "responder", issuer: middle, signer: root.pair, key, purposes }));
    }
    const [responder] = claims as [TestCertificate];
    const response = await staple({ responder, certificates: claims.map(({ der }) => der) });
    const { count, provider } = counting();
    const revocation = revocationChecker({ mode: "soft-fail" });
    const verifier = trustVerifier({ trust: trustStore(root.der), revocation, maxSignatureChecks: 5 });
    const certificates = [leaf.der, middle.der];
    const request = {
      certificates,
      role: "server",
      name: undefined,
      time: Date.now(),
      provider,
      ocspResponse: response,
    } as const;
    const reason = /more signatures were to be checked than may be/;
    const refused = expect.objectContaining({
      code: "ERR_TLS_STATUS_RESPONSE",
      message: expect.stringMatching(reason),
    });
    expect(() => settle(verifier.verify(request))).toThrow(refused);
    // Two for the path.
    expect(count.verified).toBe(2 + 5);
  });

  it("is looked at for so many paths and no more", async () => {
    // Every CA of five layers is certified twice: 32 paths, of which none is better than the first.
    const sent: TestCertificate[] = [];
    let above = [root];
    for (let layer = 0; layer < 5; layer++) {
      const subject = `layer ${layer}`;
      const key = await generateKeyPair("P-256");
      const [issuer] = above as [TestCertificate];
      above = [await makeAuthority({ subject, key, issuer }), await makeAuthority({ subject, key, issuer })];
      sent.unshift(...above);
    }
    const [issuer] = above as [TestCertificate];
    const target = await makeCertificate({ issuer });
    const { count, provider } = counting();
    const response = await makeOcspResponse({ certificate: target, issuer, status: "unknown" });
    const verdict = await verify(
      { crls: rootCrl, mode: "soft-fail" },
      { sent: [target, ...sent], staple: response, provider },
    );
    expect(verdict).toMatchObject({ code: "CERT_REJECTED", message: expect.stringMatching(/more than 100000 steps/) });
    expect(count.verified).toBeLessThan(64);
  });

  it("must be there where the certificate or the policy says so (RFC 7633)", async () => {
    const certificate = await issue({ extensions: [mustStaple] });
    const sent = [certificate, middle];
    const missing = { code: "OCSP_VERIFY_NEEDED", alert: "bad_certificate_status_response" };
    const soft = { mode: "soft-fail" } as const;
    expect(await verify(soft, { sent })).toMatchObject(missing);
    expect(await verify({ ...soft, mustStaple: false }, { sent })).toBe("good");
    expect(await verify(soft, { sent, role: "client" })).toBe("good");
    expect(await verify({ ...soft, mustStaple: "always" }, { role: "client" })).toMatchObject(missing);
    expect(await verify(soft, { sent, staple: await staple({ certificate }) })).toBe("good");
  });

  it("is owed by everything below a CA that promises it (RFC 7633 4.2.2)", async () => {
    const strict = await makeAuthority({ subject: "strict", issuer: root, extensions: [mustStaple] });
    const sent = [await issue({ issuer: strict }), strict];
    expect(await verify({ mode: "soft-fail" }, { sent })).toMatchObject({ code: "CERT_REJECTED" });
  });
});

describe("options", () => {
  it("that make no sense are refused", () => {
    for (const options of [{ mode: "off" }, { mode: "hard-fail", tolerance: -1 }, { mode: "hard-fail", maxAge: 0.5 }]) {
      expect(() => revocationChecker(options as RevocationOptions)).toThrow(
        expect.objectContaining({ code: "ERR_TLS_OPTION" }),
      );
    }
    expect(() => revocationChecker({ mode: "hard-fail", crls: Uint8Array.of(0x30, 0) })).toThrow(
      expect.objectContaining({ code: "CRL_PARSE_ERROR" }),
    );
  });
});

describe("a handshake", () => {
  let world: World;

  beforeAll(async () => {
    world = await createWorld();
  });

  const verifierOf = (options: Partial<RevocationOptions> = {}) =>
    trustVerifier({
      trust: trustStore(world.authority.certificatePem),
      revocation: revocationChecker({ mode: "hard-fail", ...options }),
    });

  it("is refused by the client where the server's status is not known, and by the server likewise", () => {
    const failed = { code: "UNABLE_TO_GET_CRL", alert: "certificate_unknown", direction: "sent" };
    const received = { alert: "certificate_unknown", direction: "received" };
    const [client, server] = [world.honestClient({ trust: undefined, verifier: verifierOf() }), world.honestServer()];
    exchange(client, server);
    expect(failure(client)).toMatchObject(failed);
    expect(failure(server)).toMatchObject(received);
    const [other, guard] = [world.honestClient(), world.honestServer({ trust: undefined, verifier: verifierOf() })];
    exchange(other, guard);
    expect(failure(guard)).toMatchObject(failed);
    expect(failure(other)).toMatchObject(received);
  });

  it("asks for a staple, and refuses one that cannot be read", () => {
    const { certificates: cert, privateKey: key } = world.server;
    const ocspResponse = Uint8Array.of(0x30, 0x03, 0x0a, 0x01, 0x06);
    const client = world.honestClient({ trust: undefined, verifier: verifierOf({ mode: "soft-fail" }) });
    const server = world.honestServer({ identities: [{ cert, key, ocspResponse }] });
    exchange(client, server);
    expect(failure(client)).toMatchObject({
      code: "ERR_TLS_STATUS_RESPONSE",
      alert: "bad_certificate_status_response",
      direction: "sent",
    });
    expect(failure(server)).toMatchObject({ alert: "bad_certificate_status_response", direction: "received" });
  });

  it("is judged again at every resumption, with the staple it began with", async () => {
    const identity = { cert: [leaf.der, middle.der], key: leaf.privateKeyPem };
    const ocspResponse = await makeOcspResponse({ certificate: leaf, issuer: middle });
    const checkers = [0, 1].map(() => revocationChecker({ mode: "hard-fail", crls: rootCrl, mustStaple: "always" }));
    const [ofClient, ofServer] = checkers.map((revocation) => ({
      trust: undefined,
      verifier: trustVerifier({ trust: trustStore(root.der), revocation }),
    }));
    const sessions = sessionCache();
    const store = sealedTickets();
    const meet = () => {
      const client = world.honestClient({ ...ofClient, sessions, identities: [{ ...identity, ocspResponse }] });
      const server = world.honestServer({
        ...ofServer,
        tickets: { store },
        identities: [{ ...identity, ocspResponse }],
      });
      exchange(client, server);
      return { client, server };
    };
    const resumed = ({ client, server }: ReturnType<typeof meet>) => {
      expect([failure(client), failure(server)]).toEqual([undefined, undefined]);
      return client.engine.result?.resumed;
    };
    expect(resumed(meet())).toBe(false);
    expect(resumed(meet())).toBe(true);
    const crls = [rootCrl, await makeCrl({ issuer: middle, entries: [{ serial: serialOf(leaf) }] })];
    const revoked = { code: "CERT_REVOKED", alert: "certificate_revoked", direction: "sent" };
    checkers[1]?.replaceCrls(crls);
    const refusedByServer = meet();
    expect(failure(refusedByServer.server)).toMatchObject(revoked);
    expect(failure(refusedByServer.client)).toMatchObject({ alert: "certificate_revoked", direction: "received" });
    checkers[1]?.replaceCrls([rootCrl]);
    expect(resumed(meet())).toBe(true);
    checkers[0]?.replaceCrls(crls);
    expect(failure(meet().client)).toMatchObject(revoked);
  });

  it("names the verifier's anchors to those who are asked for a certificate", () => {
    const asked: Uint8Array[] = [];
    const client = world.honestClient({
      identities: [],
      selectIdentity: ({ authorities }) => {
        asked.push(...authorities);
        return undefined;
      },
    });
    const verifier = verifierOf({ mode: "soft-fail" });
    exchange(client, world.honestServer({ trust: undefined, verifier, clientAuth: "optional" }));
    expect(asked).toEqual(trustStore(world.authority.certificatePem).subjects);
  });

  it("goes on in soft-fail mode, on both sides", () => {
    const soft = { trust: undefined, verifier: verifierOf({ mode: "soft-fail" }), provider };
    const [client, server] = [world.honestClient(soft), world.honestServer(soft)];
    exchange(client, server);
    expect([client.engine.error, server.engine.error]).toEqual([undefined, undefined]);
  });
});
