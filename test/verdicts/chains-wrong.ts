/** Chains of which one certificate breaks one rule: validity, signatures, issuers, purposes, keys, names. */
import { derEncode, Tag } from "../../src/bytes/der.ts";
import { KeyPurpose, KeyUsage } from "../../src/x509/certificate.ts";
import { encodeOid, encodeSequence, extension, generalName } from "../support/der.ts";
import { type Chain, type ChainKind, chain, kind, path } from "./chain.ts";
import { addressRange, inhibitAny, policies, policyConstraints, policyMapping, registeredId } from "./extensions.ts";
import { DAY, HOST, type Made, type Maker, NOW, unknownExtension } from "./maker.ts";

const expired = (maker: Maker) => ({ notAfter: NOW - 1000 - maker.random.integer(20 * DAY) });
const future = (maker: Maker) => ({ notBefore: NOW + 1000 + maker.random.integer(20 * DAY) });
const otherPurpose = ({ role }: Maker) => ({
  purposes: [role === "server" ? KeyPurpose.clientAuth : KeyPurpose.serverAuth],
});
const flipSignature = (der: Uint8Array) => {
  const copy = der.slice();
  // Not in the length or a leading byte, so that it stays a well-formed signature.
  copy[copy.length - 10] = (copy[copy.length - 10] as number) ^ 1;
  return copy;
};
const critical = { extensions: [unknownExtension(true)] };

const VALIDITY: readonly ChainKind[] = [
  kind("expired end entity", { leaf: expired }),
  kind("expired intermediate", { intermediate: expired }),
  kind("expired root", { root: expired }),
  kind("end entity not yet valid", { leaf: future }),
  kind("intermediate not yet valid", { intermediate: future }),
  kind("root not yet valid", { root: future }),
  kind("end entity valid from later than to", { leaf: { notBefore: NOW + DAY, notAfter: NOW - DAY } }),
];

/** What the peer sends when it leaves one intermediate out, counted from the end entity. */
function gap(maker: Maker, lost: number): Chain {
  const whole = chain(maker, { depth: lost + maker.random.integer(2) });
  return { ...whole, sent: whole.sent.filter((_, index) => index !== lost) };
}

function strangers(maker: Maker, withRoot: boolean): Chain {
  const [root, ...others] = path(maker, { intermediate: {} });
  const sent = [...others.reverse(), ...(withRoot ? [root] : [])].map(({ der }) => der);
  return { sent, trusted: [maker.make({ ca: true }).der], name: HOST };
}

/** An issuer of the right name whose key is another. */
function namesake(maker: Maker, keyIds: boolean): Chain {
  const subject = [["CN", `namesake ${maker.random.integer(1000)}`]] as const;
  const trusted = maker.make({ ca: true, subject, keyIds, key: "P-256" });
  const impostor = maker.make({ ca: true, subject, keyIds, key: "P-256" });
  return { sent: [maker.make({ issuer: impostor, keyIds }).der], trusted: [trusted.der], name: HOST };
}

/** Two CAs that certify each other, and no root. */
function loop(maker: Maker): Chain {
  const key = maker.key();
  const a = maker.make({ ca: true, subject: "loop A", key });
  const b = maker.make({ ca: true, issuer: a, subject: "loop B" });
  const back = maker.make({ ca: true, issuer: b, subject: "loop A", key });
  const sent = [maker.make({ issuer: b }), b, back].map(({ der }) => der);
  return { sent, trusted: [maker.make({ ca: true }).der], name: HOST };
}

/** An end entity that issues certificates. */
function upstart(maker: Maker): Chain {
  const [root, ...others] = path(maker, {});
  const issuer = others[others.length - 1] as Made;
  const sent = [maker.make({ issuer }), ...others.reverse()].map(({ der }) => der);
  return { sent, trusted: [root.der], name: HOST };
}

const ISSUERS: readonly ChainKind[] = [
  kind("signature of the end entity's certificate changed", { leaf: { damage: flipSignature } }),
  kind("signature of an intermediate's certificate changed", { intermediate: { damage: flipSignature } }),
  kind("end entity signed by another key", { leaf: (maker, made) => ({ signer: likeIssuer(maker, made) }) }),
  kind("signature by an algorithm of another kind of key", {
    leaf: (maker, made) => ({ signer: unlikeIssuer(maker, made) }),
  }),
  { title: "namesake of the root with another key", make: (maker) => namesake(maker, true) },
  { title: "namesake of the root with another key, no key identifiers", make: (maker) => namesake(maker, false) },
  { title: "issuer of the end entity left out", make: (maker) => gap(maker, 1) },
  { title: "intermediate further up left out", make: (maker) => gap(maker, 2) },
  { title: "unknown root", make: (maker) => strangers(maker, false) },
  { title: "unknown root that is sent along", make: (maker) => strangers(maker, true) },
  {
    title: "self-signed end entity",
    make: (maker) => ({ sent: [maker.make({}).der], trusted: [maker.make({ ca: true }).der], name: HOST }),
  },
  { title: "loop of two CAs without a root", make: loop },
  { title: "end entity that issues", make: upstart },
  kind("authorityKeyIdentifier of another key", { leaf: { authorityKeyId: new Uint8Array(20).fill(7) } }),
  { title: "path length of an intermediate exceeded", make: tooLong },
  kind("path length of the root exceeded", { root: { pathLength: 0 }, depth: 2 }),
  kind("intermediate with CA:FALSE", {
    intermediate: { ca: false, keyUsage: KeyUsage.keyCertSign, purposes: [], names: [] },
  }),
  kind("intermediate without basicConstraints", { intermediate: { basicConstraints: false } }),
  kind("intermediate of version 1", { intermediate: { version: null } }),
  kind("root with CA:FALSE", { root: { ca: false, keyUsage: KeyUsage.keyCertSign, purposes: [], names: [] } }),
  kind("root of version 3 without basicConstraints", { root: { basicConstraints: false } }),
  kind("intermediate without keyCertSign", { intermediate: { keyUsage: KeyUsage.cRLSign } }),
  kind("root without keyCertSign", { root: { keyUsage: KeyUsage.digitalSignature } }),
];

function tooLong(maker: Maker): Chain {
  const root = maker.make({ ca: true });
  const top = maker.make({ ca: true, issuer: root, pathLength: maker.random.integer(2) });
  const lower = maker.make({ ca: true, issuer: top });
  const lowest = maker.make({ ca: true, issuer: lower });
  const sent = [maker.make({ issuer: lowest }), lowest, lower, top].map(({ der }) => der);
  return { sent, trusted: [root.der], name: HOST };
}

/** The kinds of keys by the first bytes of their SPKI, which differ in length. */
const kindOf = ({ spki }: { spki: Uint8Array }) =>
  spki.length < 60 ? "Ed25519" : spki.length < 100 ? "P-256" : spki.length < 130 ? "P-384" : "RSA 2048";

function likeIssuer(maker: Maker, made: readonly Made[]) {
  return maker.key(kindOf((made[made.length - 1] as Made).key));
}

function unlikeIssuer(maker: Maker, made: readonly Made[]) {
  return maker.key(kindOf((made[made.length - 1] as Made).key) === "Ed25519" ? "P-256" : "Ed25519");
}

const PURPOSES: readonly ChainKind[] = [
  kind("extKeyUsage of the end entity for another purpose", { leaf: otherPurpose }),
  kind("extKeyUsage of the end entity for any purpose", { leaf: { purposes: [KeyPurpose.any] } }),
  kind("extKeyUsage of an intermediate for another purpose", { intermediate: otherPurpose }),
  kind("extKeyUsage of the root for another purpose", { root: otherPurpose }),
  kind("keyUsage of the end entity without digitalSignature", { leaf: { keyUsage: KeyUsage.nonRepudiation } }),
  kind("critical extension unknown, end entity", { leaf: critical }),
  kind("critical extension unknown, intermediate", { intermediate: critical }),
  kind("critical extension unknown, root", { root: critical }),
  kind("RSA key of 1024 bits, end entity", { leaf: { key: "RSA 1024" } }),
  kind("RSA key of 1024 bits, intermediate", { intermediate: { key: "RSA 1024" } }),
  kind("RSA key of 1024 bits, root", { root: { key: "RSA 1024" } }),
  kind("SHA-1 signature on the end entity's certificate", {
    depth: 0,
    root: { key: "RSA SHA-1" },
  }),
  kind("SHA-1 signature on an intermediate's certificate", {
    depth: 1,
    root: { key: "RSA SHA-1" },
  }),
  kind("MD5 signature on the end entity's certificate", {
    depth: 0,
    root: { key: "RSA MD5" },
  }),
  kind("signature algorithm unknown", {
    leaf: (maker) => ({ signer: { ...maker.key("P-256"), algorithm: encodeSequence(encodeOid("1.2.3.4.5")) } }),
  }),
  kind("key of a kind unknown", {
    leaf: {
      spki: encodeSequence(encodeSequence(encodeOid("1.2.3.4.5")), derEncode(Tag.bitString, new Uint8Array(33))),
    },
  }),
  kind("policy required, none held", { depth: 1, intermediate: { extensions: [policyConstraints(0)] } }),
  kind("policy required, another held", {
    depth: 1,
    intermediate: { extensions: [policies("1.2.3.4.5"), policyConstraints(0)] },
    leaf: { extensions: [policies("1.2.3.4.6")] },
  }),
  kind("policy required, anyPolicy inhibited", {
    depth: 1,
    intermediate: { extensions: [policies("1.2.3.4.5"), policyConstraints(0), inhibitAny(0)] },
    leaf: { extensions: [policies("2.5.29.32.0")] },
  }),
  kind("policy mapping of anyPolicy", {
    depth: 1,
    intermediate: { extensions: [policies("1.2.3.4.5"), policyMapping("2.5.29.32.0", "1.2.3.4.5")] },
    leaf: { extensions: [policies("1.2.3.4.5")] },
  }),
];

const named = (title: string, names: Uint8Array[], name = HOST): ChainKind =>
  kind(title, { leaf: { names }, name }, "server");

const NAMES: readonly ChainKind[] = [
  named("another host", [generalName.dns("mail.example.com"), generalName.dns("example.com")]),
  named("wildcard one label too short", [generalName.dns("*.com")]),
  named("wildcard over more than one label", [generalName.dns("*.example.com")], "a.b.example.com"),
  named("wildcard for the domain itself", [generalName.dns("*.example.com")], "example.com"),
  named("wildcard within a label", [generalName.dns("w*.example.com")]),
  named("wildcard not left-most", [generalName.dns("www.*.com")]),
  named("wildcard alone", [generalName.dns("*")]),
  named("another IPv4 address", [generalName.ip("192.0.2.2")], "192.0.2.1"),
  named("another IPv6 address", [generalName.ip("2001:db8::2")], "2001:db8::1"),
  named("address written as a DNS name", [generalName.dns("192.0.2.1")], "192.0.2.1"),
  named("host name only as a mail domain", [generalName.email(`root@${HOST}`)]),
  kind("host name in the CN alone", { leaf: { names: [], subject: HOST } }, "server"),
  kind("no name at all", { leaf: { names: [] } }, "server"),
  named("host with a NUL behind it", [generalName.dns(`${HOST}\0.example.org`)]),
];

const constrained = (title: string, permitted: Uint8Array[], excluded: Uint8Array[], names: Uint8Array[]): ChainKind =>
  kind(`name constraints: ${title}`, {
    intermediate: { extensions: [extension.nameConstraints(permitted, excluded)] },
    leaf: { names: [generalName.dns(HOST), ...names] },
  });

const CONSTRAINTS: readonly ChainKind[] = [
  constrained("DNS name not permitted", [generalName.dns("example.org")], [], []),
  constrained("DNS name excluded", [], [generalName.dns("example.com")], []),
  constrained("DNS name excluded in other letter case", [], [generalName.dns("EXAMPLE.com")], []),
  constrained(
    "wildcard reaching what is excluded",
    [],
    [generalName.dns("secret.example.com")],
    [generalName.dns("*.example.com")],
  ),
  constrained(
    "address not permitted",
    [addressRange(192, 0, 2, 0, 255, 255, 255, 0)],
    [],
    [generalName.ip("192.0.3.1")],
  ),
  constrained("address excluded", [], [addressRange(192, 0, 2, 0, 255, 255, 255, 0)], [generalName.ip("192.0.2.1")]),
  constrained(
    "IPv6 address where IPv4 alone is permitted",
    [addressRange(0, 0, 0, 0, 0, 0, 0, 0)],
    [],
    [generalName.ip("::1")],
  ),
  constrained(
    "mail address not permitted",
    [generalName.email("example.com")],
    [],
    [generalName.email("root@example.org")],
  ),
  constrained(
    "mail address excluded",
    [],
    [generalName.email("root@example.com")],
    [generalName.email("root@EXAMPLE.com")],
  ),
  constrained(
    "quoted mail address excluded",
    [],
    [generalName.email("root@example.com")],
    [generalName.email('"root"@example.com')],
  ),
  constrained("URI not permitted", [generalName.uri(".example.com")], [], [generalName.uri("https://example.org/")]),
  constrained("URI excluded", [], [generalName.uri("example.com")], [generalName.uri("https://example.com/")]),
  constrained("URI without a host", [], [generalName.uri("example.com")], [generalName.uri("urn:uuid:1")]),
  constrained("directory name not permitted", [generalName.directory([["O", "Other"]])], [], []),
  constrained("directory name excluded", [], [generalName.directory([["O", "example"]])], []),
  constrained("form that few understand", [], [registeredId], [registeredId]),
  kind("name constraints: of the root", {
    root: { extensions: [extension.nameConstraints([generalName.dns("example.org")], [])] },
  }),
  kind("name constraints: permitted twice, nothing in both", {
    depth: 1,
    root: { extensions: [extension.nameConstraints([generalName.dns("example.com")], [])] },
    intermediate: { extensions: [extension.nameConstraints([generalName.dns("example.org")], [])] },
  }),
  kind("name constraints: minimum other than 0", {
    intermediate: {
      extensions: [
        {
          oid: "2.5.29.30",
          critical: true,
          value: encodeSequence(
            derEncode(0xa0, encodeSequence(generalName.dns("example.com"), derEncode(0x80, Uint8Array.of(1)))),
          ),
        },
      ],
    },
  }),
  kind("name constraints: mask with a hole", {
    intermediate: {
      extensions: [extension.nameConstraints([], [addressRange(10, 0, 0, 0, 255, 0, 255, 0)])],
    },
  }),
  kind("name constraints: empty", {
    intermediate: { extensions: [{ oid: "2.5.29.30", critical: true, value: encodeSequence() }] },
  }),
  kind("name constraints: subject's emailAddress not permitted", {
    intermediate: { extensions: [extension.nameConstraints([generalName.email("example.com")], [])] },
    leaf: {
      subject: [
        ["CN", "mail"],
        ["emailAddress", "root@example.org"],
      ],
    },
  }),
];

export const WRONG: readonly ChainKind[] = [...VALIDITY, ...ISSUERS, ...PURPOSES, ...NAMES, ...CONSTRAINTS];
