/** One chain for each rule, broken in that alone: code, alert and explanation, for both roles, beside node:tls. */
import { beforeAll, describe, expect, it } from "vitest";
import { derEncode, Tag } from "../../src/bytes/der.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { nodeProvider } from "../../src/crypto/node.ts";

import { TlsError } from "../../src/errors.ts";
import { settle } from "../../src/flow.ts";
import { encodeOid, encodeSequence, extension, generalName } from "../../src/pki/encode.ts";
import { KeyPurpose, KeyUsage } from "../../src/x509/certificate.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { type TrustVerifierOptions, trustVerifier } from "../../src/x509/verifier.ts";
import { nodeVerdict } from "../support/node-verdict.ts";
import { DAY, makeAuthority, makeCertificate, makeWeakRsa, type TestCertificate } from "../support/pki.ts";

type Role = "server" | "client";

interface Chain {
  /** As sent, end entity first. */
  readonly sent: readonly TestCertificate[];
  readonly trusted: readonly TestCertificate[];
  readonly options?: Omit<TrustVerifierOptions, "trust">;
  /** `localhost` where left out. */
  readonly name?: string;
}

interface Case {
  readonly title: string;
  readonly make: (role: Role) => Promise<Chain>;
  /** Undefined: accepted. */
  readonly code?: string;
  readonly alert?: string;
  readonly reason?: RegExp;
  /** What node:tls says where it says something else, and why that is; `null`: node:tls cannot be asked. */
  readonly node?: { readonly code: string | undefined; readonly why: string } | null;
}

const other = { server: KeyPurpose.clientAuth, client: KeyPurpose.serverAuth } as const;
const unknownOid = "1.3.6.1.4.1.55738.666.1";
const criticalUnknown = { oid: unknownOid, critical: true, value: derEncode(Tag.null) };
const unspecified = (why: string) => ({ code: "UNSPECIFIED", why });

let root: TestCertificate;
let middle: TestCertificate;

beforeAll(async () => {
  root = await makeAuthority({ subject: "test root" });
  middle = await makeAuthority({ subject: "test intermediate", issuer: root });
});

/** A leaf under the root. */
async function leaf(options: Parameters<typeof makeCertificate>[0] = {}): Promise<Chain> {
  return { sent: [await makeCertificate({ issuer: root, ...options })], trusted: [root] };
}

/** A leaf under an intermediate made to order. */
async function under(options: Parameters<typeof makeAuthority>[0], leafOptions = {}): Promise<Chain> {
  const issuer = await makeAuthority({ subject: "odd intermediate", issuer: root, ...options });
  return { sent: [await makeCertificate({ issuer, ...leafOptions }), issuer], trusted: [root] };
}

const constrained = (permitted: Uint8Array[], excluded: Uint8Array[], names: Uint8Array[], subject = "test leaf") =>
  under({ extensions: [extension.nameConstraints(permitted, excluded)] }, { names, subject });

const range = (...bytes: number[]) => derEncode(0x87, Uint8Array.from(bytes));

const CASES: readonly Case[] = [
  { title: "a leaf under the root", make: () => leaf() },
  {
    title: "an intermediate",
    make: async () => ({ sent: [await makeCertificate({ issuer: middle }), middle], trusted: [root] }),
  },
  {
    title: "intermediates in the wrong order, with superfluous certificates and the root",
    make: async () => {
      const lower = await makeAuthority({ subject: "lower", issuer: middle });
      const stray = await makeAuthority({ subject: "stray" });
      return { sent: [await makeCertificate({ issuer: lower }), stray, middle, root, lower], trusted: [root] };
    },
  },
  {
    title: "no key identifiers",
    make: () => leaf({ keyIds: false }),
  },
  {
    title: "anyExtendedKeyUsage",
    make: () => leaf({ purposes: [KeyPurpose.any] }),
    node: {
      code: "INVALID_PURPOSE",
      why: "OpenSSL does not count anyExtendedKeyUsage (RFC 5280 4.2.1.12 allows both)",
    },
  },
  { title: "no extKeyUsage", make: () => leaf({ purposes: [] }) },
  { title: "no keyUsage", make: () => leaf({ keyUsage: 0 }) },
  {
    title: "an intermediate whose extKeyUsage includes the purpose",
    make: () => under({ purposes: [KeyPurpose.serverAuth, KeyPurpose.clientAuth] }),
  },
  {
    title: "the end entity itself is trusted",
    make: async () => {
      const own = await makeCertificate({ subject: "own" });
      return { sent: [own], trusted: [own] };
    },
  },
  {
    title: "an intermediate is trusted and the root is not known",
    make: async () => ({ sent: [await makeCertificate({ issuer: middle })], trusted: [middle] }),
    node: { code: "UNABLE_TO_GET_ISSUER_CERT", why: "node:tls takes self-signed anchors only" },
  },
  {
    title: "two roots of one name, the second of which signed, without key identifiers",
    make: async () => {
      const impostor = await makeAuthority({ subject: "test root" });
      const chain = await leaf({ keyIds: false });
      return { ...chain, trusted: [impostor, root] };
    },
    node: { code: "CERT_SIGNATURE_FAILURE", why: "OpenSSL tries one of several namesakes" },
  },
  {
    title: "an expired intermediate beside a renewed one with the same key",
    make: async () => {
      const subject = "renewed";
      const old = await makeAuthority({ subject, issuer: root, notAfter: Date.now() - DAY / 2 });
      const renewed = await makeAuthority({ subject, issuer: root, key: old.pair });
      return { sent: [await makeCertificate({ issuer: old }), old, renewed], trusted: [root] };
    },
  },
  {
    title: "a path length that holds, self-issued intermediates not counted",
    make: async () => {
      const top = await makeAuthority({ subject: "same", issuer: root, pathLength: 0 });
      const rolled = await makeAuthority({ subject: "same", issuer: top, pathLength: 0 });
      return { sent: [await makeCertificate({ issuer: rolled }), rolled, top], trusted: [root] };
    },
  },
  {
    title: "permitted names of every form",
    make: () =>
      constrained(
        [
          generalName.dns("example.com"),
          range(192, 0, 2, 0, 255, 255, 255, 0),
          generalName.email(".example.com"),
          generalName.uri("host.example.com"),
          generalName.directory([["O", "Example"]]),
        ],
        [generalName.dns("bad.example.com")],
        [
          generalName.dns("localhost.example.com"),
          generalName.ip("192.0.2.7"),
          generalName.email("root@mail.example.com"),
          generalName.uri("https://host.example.com:8443/path"),
        ],
        [
          ["O", "example"],
          ["CN", "test leaf"],
        ] as never,
      ).then((chain) => ({ ...chain, name: "localhost.example.com" })),
  },

  {
    title: "expired",
    make: () => leaf({ notAfter: Date.now() - DAY / 2 }),
    code: "CERT_HAS_EXPIRED",
    alert: "certificate_expired",
    reason: /expired at 20.*, 12 hours before 20/,
  },
  {
    title: "not yet valid",
    make: () => leaf({ notBefore: Date.now() + DAY / 2 }),
    code: "CERT_NOT_YET_VALID",
    alert: "certificate_expired",
    reason: /valid from 20.*, 1[12] hours after 20/,
  },
  {
    title: "an expired intermediate",
    make: () => under({ notAfter: Date.now() - DAY / 2 }),
    code: "CERT_HAS_EXPIRED",
    alert: "certificate_expired",
    reason: /expired at/,
  },
  {
    title: "an expired root",
    make: async () => {
      const old = await makeAuthority({ subject: "old root", notAfter: Date.now() - DAY / 2 });
      return { sent: [await makeCertificate({ issuer: old })], trusted: [old] };
    },
    code: "CERT_HAS_EXPIRED",
    alert: "certificate_expired",
    reason: /expired at/,
  },
  {
    title: "expired and by an unknown issuer",
    make: async () => ({ ...(await leaf({ notAfter: Date.now() - DAY / 2 })), trusted: [middle] }),
    code: "CERT_HAS_EXPIRED",
    alert: "certificate_expired",
    reason: /expired/,
  },
  {
    title: "an unknown issuer and nothing but the leaf",
    make: async () => ({ sent: [await makeCertificate({ issuer: middle })], trusted: [root] }),
    code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    alert: "unknown_ca",
    reason: /its issuer CN=test intermediate is neither trusted nor among the certificates sent/,
  },
  {
    title: "an unknown root above an intermediate",
    make: async () => {
      const chain = [await makeCertificate({ issuer: middle }), middle];
      return { sent: chain, trusted: [await makeAuthority({ subject: "another root" })] };
    },
    code: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    alert: "unknown_ca",
    reason: /its issuer CN=test root is neither/,
  },
  {
    title: "a self-signed leaf",
    make: async () => ({ sent: [await makeCertificate({ subject: "self" })], trusted: [root] }),
    code: "DEPTH_ZERO_SELF_SIGNED_CERT",
    alert: "unknown_ca",
    reason: /names itself as its issuer/,
  },
  {
    title: "a root that is sent and not trusted",
    make: async () => {
      const chain = [await makeCertificate({ issuer: middle }), middle, root];
      return { sent: chain, trusted: [await makeAuthority({ subject: "another root" })] };
    },
    code: "SELF_SIGNED_CERT_IN_CHAIN",
    alert: "unknown_ca",
    reason: /names itself as its issuer/,
  },
  {
    title: "a namesake of the root with another key",
    make: async () => {
      const impostor = await makeAuthority({ subject: "test root" });
      return { sent: [await makeCertificate({ issuer: impostor })], trusted: [root] };
    },
    code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    alert: "unknown_ca",
    reason: /neither trusted/,
  },
  {
    title: "a namesake of the root, without key identifiers",
    make: async () => {
      const impostor = await makeAuthority({ subject: "test root", keyIds: false });
      return { sent: [await makeCertificate({ issuer: impostor, keyIds: false })], trusted: [root] };
    },
    code: "CERT_SIGNATURE_FAILURE",
    alert: "bad_certificate",
    reason: /not signed by the key of CN=test root/,
  },
  {
    title: "a signature that is not the issuer's",
    make: async () => leaf({ signer: middle.pair }),
    code: "CERT_SIGNATURE_FAILURE",
    alert: "bad_certificate",
    reason: /not signed by the key of CN=test root/,
  },
  {
    title: "the name of another host",
    make: async () => ({
      ...(await leaf({ names: [generalName.dns("b.example"), generalName.ip("::1")] })),
      name: "a.example",
    }),
    code: "ERR_TLS_CERT_ALTNAME_INVALID",
    alert: "bad_certificate",
    reason: /wanted DNS:a.example, offered DNS:b.example, IP:::1/,
  },
  {
    title: "a name in the CN alone",
    make: () => leaf({ subject: "localhost", names: [] }),
    code: "ERR_TLS_CERT_ALTNAME_INVALID",
    alert: "bad_certificate",
    reason: /offered no DNS name/,
    node: { code: undefined, why: "node:tls falls back to the CN, which RFC 9525 2 forbids" },
  },
  {
    title: "the wrong extKeyUsage",
    make: (role) => leaf({ purposes: [other[role]] }),
    code: "INVALID_PURPOSE",
    alert: "unsupported_certificate",
    reason: /extKeyUsage has (client|server)Auth but not (server|client)Auth/,
  },
  {
    title: "an intermediate with the wrong extKeyUsage",
    make: (role) => under({ purposes: [other[role]] }),
    code: "INVALID_PURPOSE",
    alert: "unsupported_certificate",
    reason: /extKeyUsage/,
  },
  {
    title: "keyUsage without digitalSignature",
    make: () => leaf({ keyUsage: KeyUsage.nonRepudiation }),
    code: "INVALID_PURPOSE",
    alert: "unsupported_certificate",
    reason: /keyUsage has nonRepudiation but not digitalSignature/,
  },
  {
    title: "an issuer with CA:FALSE",
    make: () => under({ ca: false, keyUsage: KeyUsage.keyCertSign, purposes: [] }),
    code: "INVALID_CA",
    alert: "unknown_ca",
    reason: /CA:FALSE/,
    node: { code: "INVALID_PURPOSE", why: "OpenSSL finds INVALID_CA first, and node:tls reports what it finds last" },
  },
  {
    title: "an issuer without basicConstraints",
    make: () => under({ basicConstraints: false }),
    code: "INVALID_CA",
    alert: "unknown_ca",
    reason: /without basicConstraints/,
  },
  {
    title: "an issuer without keyCertSign",
    make: () => under({ keyUsage: KeyUsage.digitalSignature }),
    code: "INVALID_CA",
    alert: "unknown_ca",
    reason: /not keyCertSign/,
    node: unspecified("node:tls has no code for it"),
  },
  {
    title: "an exhausted path length",
    make: async () => {
      const top = await makeAuthority({ subject: "top", issuer: root, pathLength: 0 });
      const lower = await makeAuthority({ subject: "lower", issuer: top });
      return { sent: [await makeCertificate({ issuer: lower }), lower, top], trusted: [root] };
    },
    code: "PATH_LENGTH_EXCEEDED",
    alert: "unknown_ca",
    reason: /allows 0 intermediates below it, there are 1/,
  },
  {
    title: "more intermediates than allowed",
    make: async () => ({
      sent: [await makeCertificate({ issuer: middle }), middle],
      trusted: [root],
      options: { maxDepth: 0 },
    }),
    code: "CERT_CHAIN_TOO_LONG",
    alert: "bad_certificate",
    reason: /more than 0 intermediates/,
    node: null,
  },
  {
    title: "a critical extension that nobody knows",
    make: () => leaf({ extensions: [criticalUnknown] }),
    code: "CERT_UNHANDLED_CRITICAL_EXTENSION",
    alert: "certificate_unknown",
    reason: /1\.3\.6\.1\.4\.1\.55738\.666\.1/,
    node: unspecified("node:tls has no code for it"),
  },
  {
    title: "an intermediate with a critical extension that nobody knows",
    make: () => under({ extensions: [criticalUnknown] }),
    code: "CERT_UNHANDLED_CRITICAL_EXTENSION",
    alert: "certificate_unknown",
    reason: /critical extension/,
    node: unspecified("node:tls has no code for it"),
  },
  {
    title: "a policy required by an intermediate, and none there",
    make: () =>
      under({ extensions: [{ oid: "2.5.29.36", critical: true, value: encodeSequence(Uint8Array.of(0x80, 1, 0)) }] }),
    code: "CERT_POLICY_REQUIRED",
    alert: "certificate_unknown",
    reason: /no valid policy is left/,
    node: { code: undefined, why: "OpenSSL looks at policies only when it is asked to" },
  },
  ...constraintCases(),
  {
    title: "an RSA key of 1024 bits",
    make: async () => leaf({ key: await makeWeakRsa(1024, "SHA-256") }),
    code: "EE_KEY_TOO_SMALL",
    alert: "bad_certificate",
    reason: /RSA 1024, the least accepted is 2048/,
    node: { code: undefined, why: "OpenSSL's security level 1 accepts 1024 bits" },
  },
  {
    title: "an RSA key of 1024 bits where that is allowed",
    make: async () => ({ ...(await leaf({ key: await makeWeakRsa(1024, "SHA-256") })), options: { minRsaBits: 1024 } }),
  },
  {
    title: "an issuer with an RSA key of 1024 bits",
    make: async () => under({ key: await makeWeakRsa(1024, "SHA-256") }),
    code: "CA_KEY_TOO_SMALL",
    alert: "bad_certificate",
    reason: /RSA 1024/,
    node: { code: undefined, why: "OpenSSL's security level 1 accepts 1024 bits" },
  },
  {
    title: "a SHA-1 signature",
    make: async () => under({ key: await makeWeakRsa(2048, "SHA-1") }),
    code: "CA_MD_TOO_WEAK",
    alert: "bad_certificate",
    reason: /sha1WithRSAEncryption/,
    node: unspecified("node:tls has no code for it"),
  },
  {
    title: "an anchor that is itself signed with SHA-1",
    make: async () => {
      const key = await makeWeakRsa(2048, "SHA-1");
      const old = await makeAuthority({ subject: "old root", key });
      const lower = await makeAuthority({ subject: "lower", issuer: old, signer: root.pair });
      return { sent: [await makeCertificate({ issuer: root })], trusted: [old, lower, root] };
    },
  },
  {
    title: "a signature algorithm that nobody knows",
    make: () =>
      leaf({ signer: { algorithm: encodeSequence(encodeOid("1.2.3.4")), sign: (message) => root.pair.sign(message) } }),
    code: "CERT_UNSUPPORTED_ALGORITHM",
    alert: "unsupported_certificate",
    reason: /signature algorithm is not known/,
    node: null,
  },
  {
    title: "a signature algorithm that does not go with the issuer's key",
    make: async () => leaf({ signer: (await makeAuthority({ key: "Ed25519" })).pair }),
    code: "CERT_SIGNATURE_FAILURE",
    alert: "bad_certificate",
    reason: /ed25519 cannot be verified with a key of the kind P-256/,
    node: null,
  },
];

function constraintCases(): Case[] {
  const violation = (
    title: string,
    make: () => Promise<Chain>,
    reason: RegExp,
    node: Case["node"] = unspecified("node:tls has no code for it"),
  ): Case => ({
    title: `name constraints: ${title}`,
    make,
    code: "CERT_NAME_CONSTRAINT_VIOLATION",
    alert: "certificate_unknown",
    reason,
    node,
  });
  const localhost = generalName.dns("localhost");
  const all = [localhost];
  return [
    violation(
      "DNS not permitted",
      () => constrained([generalName.dns("example.com")], [], all),
      /DNS:localhost is not/,
    ),
    violation("DNS excluded", () => constrained([], [generalName.dns("LOCALHOST")], all), /DNS:localhost is excluded/),
    violation(
      "a wildcard that reaches into what is excluded",
      () => constrained([], [generalName.dns("bad.example.com")], [localhost, generalName.dns("*.example.com")]),
      /DNS:\*\.example\.com is excluded/,
      { code: undefined, why: "OpenSSL compares the wildcard literally (CVE-2025-61727 of Go)" },
    ),
    violation(
      "an address outside the range",
      () => constrained([range(192, 0, 2, 0, 255, 255, 255, 0)], [], [localhost, generalName.ip("192.0.3.1")]),
      /IP:192\.0\.3\.1 is not among/,
    ),
    violation(
      "an IPv6 address where IPv4 alone is permitted",
      () => constrained([range(0, 0, 0, 0, 0, 0, 0, 0)], [], [localhost, generalName.ip("::1")]),
      /IP:::1 is not among/,
    ),
    violation(
      "a mailbox behind quotes",
      () =>
        constrained([], [generalName.email("root@example.com")], [localhost, generalName.email('"root"@example.com')]),
      /excluded/,
      { code: undefined, why: "OpenSSL compares the quotes as well" },
    ),
    violation(
      "the subject's emailAddress",
      () =>
        under(
          { extensions: [extension.nameConstraints([generalName.email("example.com")], [])] },
          { subject: [["emailAddress", "a@example.org"]] },
        ),
      /email:a@example\.org is not among/,
    ),
    violation(
      "a URI on another host",
      () => constrained([generalName.uri(".example.com")], [], [localhost, generalName.uri("https://example.com/")]),
      /URI:https:\/\/example\.com\/ is not among/,
    ),
    violation(
      "a URI without a host",
      () => constrained([], [generalName.uri("example.com")], [localhost, generalName.uri("urn:uuid:1")]),
      /URI:urn:uuid:1 cannot be compared/,
    ),
    violation(
      "a subject outside the directory subtree",
      () => constrained([generalName.directory([["O", "Example"]])], [], all),
      /directory name CN=test leaf is not among/,
    ),
    violation(
      "a form that is not understood",
      () => {
        const registered = derEncode(0x88, Uint8Array.of(42, 3, 4));
        return constrained([], [registered], [localhost, registered]);
      },
      /form \[8\] are not supported/,
    ),
    violation(
      "of the root, on an intermediate",
      async () => {
        const top = await makeAuthority({
          subject: "constrained root",
          extensions: [extension.nameConstraints([], [generalName.directory("forbidden")])],
        });
        const lower = await makeAuthority({ subject: "forbidden", issuer: top });
        return { sent: [await makeCertificate({ issuer: lower }), lower], trusted: [top] };
      },
      /directory name CN=forbidden is excluded/,
    ),
  ];
}

describe.each(["server", "client"] as const)("the chain of a %s", (role) => {
  it.each(CASES)("$title: $code", async ({ make, code, alert, reason, node }) => {
    const { sent, trusted, options, name = "localhost" } = await make(role);
    const wanted = role === "server" || code === "ERR_TLS_CERT_ALTNAME_INVALID" ? name : undefined;
    const verifier = trustVerifier({ trust: trustStore(trusted.map(({ pem }) => pem)), ...options });
    const outcomes = [nodeProvider, nobleProvider].map((provider) => {
      const certificates = sent.map(({ der }) => der);
      try {
        return settle(verifier.verify({ certificates, role, name: wanted, time: Date.now(), provider }));
      } catch (error) {
        return error;
      }
    });
    for (const outcome of outcomes) {
      expect(outcome).not.toBeInstanceOf(Promise);
      if (code === undefined) {
        expect(outcome).toMatchObject({ verified: true, role });
        continue;
      }
      expect(outcome).toBeInstanceOf(TlsError);
      const { rejection, ...error } = outcome as TlsError;
      expect(error).toMatchObject({ code, alert });
      expect(rejection?.paths[0]).toMatchObject({ code, reason: expect.stringMatching(reason as RegExp) });
      expect(rejection?.remedy).not.toBe("see the reason");
    }
    if (node === null || (role === "client" && code === "ERR_TLS_CERT_ALTNAME_INVALID")) return;
    const [end] = sent as [TestCertificate];
    const verdict = await nodeVerdict({
      chain: sent.map(({ pem }) => pem).join(""),
      privateKey: end.privateKeyPem,
      trusted: trusted.map(({ pem }) => pem).join(""),
      role,
      name: role === "server" ? name : undefined,
      other: { certificate: root.pem, privateKey: root.privateKeyPem },
    });
    expect(verdict).toBe(node === undefined ? code : node.code);
  });
});
