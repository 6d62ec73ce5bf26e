/** Chains that nothing is wrong with, some of them unusual. */

import { utf8 } from "../../src/bytes/bytes.ts";
import { derEncode } from "../../src/bytes/der.ts";
import { KeyPurpose, KeyUsage } from "../../src/x509/certificate.ts";
import { encodeSequence, extension, generalName } from "../support/der.ts";
import { type Chain, type ChainKind, chain, kind, path } from "./chain.ts";
import { addressRange, policies, policyConstraints } from "./extensions.ts";
import { DAY, HOST, type Maker, NOW, unknownExtension } from "./maker.ts";

/** The certificates of a path in any order, with others between them. */
function untidy(maker: Maker): Chain {
  const [root, ...others] = path(maker, { depth: 3 });
  const [leaf, ...rest] = others.reverse();
  const strays = [path(maker, { depth: 1 }), path(maker, { depth: 0 })].flat();
  const pile = [root, ...rest, ...strays].map(({ der }) => ({ der, at: maker.random.fraction() }));
  pile.sort((a, b) => a.at - b.at);
  return { sent: [leaf, ...pile].map((made) => made?.der as Uint8Array), trusted: [root.der], name: HOST };
}

/** A CA that two roots have certified, of which one is trusted. */
function crossSigned(maker: Maker, trustedFirst: boolean): Chain {
  const trusted = maker.make({ ca: true });
  const other = maker.make({ ca: true });
  const subject = [["CN", `crossed CA ${maker.random.integer(1000)}`]] as const;
  const first = maker.make({ ca: true, subject, issuer: other });
  const second = maker.make({ ca: true, subject, issuer: trusted, key: first.key });
  const leaf = maker.make({ issuer: first });
  const between = trustedFirst ? [second, first] : [first, second];
  return { sent: [leaf, ...between].map(({ der }) => der), trusted: [trusted.der], name: HOST };
}

/** An intermediate that has expired, and its renewal with the same key. */
function renewed(maker: Maker): Chain {
  const root = maker.make({ ca: true });
  const subject = [["CN", `renewed CA ${maker.random.integer(1000)}`]] as const;
  const old = maker.make({ ca: true, subject, issuer: root, notAfter: NOW - DAY });
  const young = maker.make({ ca: true, subject, issuer: root, key: old.key });
  const leaf = maker.make({ issuer: old });
  const between = maker.random.chance(0.5) ? [old, young] : [young, old];
  return { sent: [leaf, ...between].map(({ der }) => der), trusted: [root.der], name: HOST };
}

/** Two CAs that have certified each other, and a root above one of them. */
function loopWithExit(maker: Maker): Chain {
  const root = maker.make({ ca: true });
  const a = maker.make({ ca: true, issuer: root, subject: "loop A" });
  const b = maker.make({ ca: true, issuer: a, subject: "loop B" });
  const back = maker.make({ ca: true, issuer: b, subject: "loop A", key: a.key });
  const leaf = maker.make({ issuer: b });
  return { sent: [leaf, b, back, a].map(({ der }) => der), trusted: [root.der], name: HOST };
}

/** A self-issued intermediate, which path lengths do not count. */
function rollover(maker: Maker): Chain {
  const root = maker.make({ ca: true });
  const subject = [["CN", `rolled CA ${maker.random.integer(1000)}`]] as const;
  const top = maker.make({ ca: true, subject, issuer: root, pathLength: 0 });
  const lower = maker.make({ ca: true, subject, issuer: top, pathLength: 0 });
  const leaf = maker.make({ issuer: lower });
  return { sent: [leaf, lower, top].map(({ der }) => der), trusted: [root.der], name: HOST };
}

const subtrees = (permitted: Uint8Array[], excluded: Uint8Array[] = []) => ({
  extensions: [extension.nameConstraints(permitted, excluded)],
});

export const RIGHT: readonly ChainKind[] = [
  kind("nothing wrong", {}),
  { title: "in disorder, with superfluous certificates", make: untidy },
  { title: "cross-signed CA, the trusted root's first", make: (maker) => crossSigned(maker, true) },
  { title: "cross-signed CA, the trusted root's last", make: (maker) => crossSigned(maker, false) },
  { title: "expired intermediate beside its renewal", make: renewed },
  { title: "loop of two CAs beside the way to the root", make: loopWithExit },
  { title: "path length that holds, self-issued not counted", make: rollover },
  kind("path length that holds", { depth: 2, root: { pathLength: 2 } }),
  kind("key identifiers left out", { leaf: { keyIds: false }, intermediate: { keyIds: false } }),
  kind("end entity without extKeyUsage", { leaf: { purposes: [] } }),
  kind("end entity without keyUsage", { leaf: { keyUsage: 0 } }),
  kind("intermediate whose extKeyUsage has the purpose", {
    intermediate: { purposes: [KeyPurpose.serverAuth, KeyPurpose.clientAuth] },
  }),
  kind("extension unknown, not critical", { leaf: { extensions: [unknownExtension(false)] } }),
  kind("wildcard for the host", { leaf: { names: [generalName.dns("*.example.com")] } }, "server"),
  kind("host in other letter case", { leaf: { names: [generalName.dns("WWW.Example.COM")] } }, "server"),
  kind(
    "A-label of the host",
    { leaf: { names: [generalName.dns("xn--bcher-kva.example")] }, name: "xn--bcher-kva.example" },
    "server",
  ),
  kind("IPv4 address", { leaf: { names: [generalName.ip("192.0.2.1")] }, name: "192.0.2.1" }, "server"),
  kind("IPv6 address", { leaf: { names: [generalName.ip("2001:db8::1")] }, name: "2001:db8::1" }, "server"),
  kind("empty subject, critical subjectAltName", {
    leaf: {
      subject: encodeSequence(),
      rework: (list) => list.map((each) => (each.oid === "2.5.29.17" ? { ...each, critical: true } : each)),
    },
  }),
  kind("subtree of DNS names that holds", { intermediate: subtrees([generalName.dns("example.com")]) }),
  kind("subtree of addresses that holds", {
    intermediate: subtrees([addressRange(192, 0, 2, 0, 255, 255, 255, 0), generalName.dns("example.com")]),
    leaf: { names: [generalName.dns(HOST), generalName.ip("192.0.2.9")] },
  }),
  kind("subtree of mail domains that holds", {
    intermediate: subtrees([generalName.email("example.com")]),
    leaf: { names: [generalName.dns(HOST), generalName.email("root@example.com")] },
  }),
  kind("subtree of URI hosts that holds", {
    intermediate: subtrees([generalName.uri(".example.com")]),
    leaf: { names: [generalName.dns(HOST), generalName.uri("https://www.example.com/a")] },
  }),
  kind("subtree of directory names that holds", {
    intermediate: subtrees([generalName.directory([["O", "Example"]])]),
  }),
  kind("excluded subtrees that do not touch", {
    intermediate: subtrees([], [generalName.dns("example.org"), addressRange(10, 0, 0, 0, 255, 0, 0, 0)]),
  }),
  kind("policy required and held all the way", {
    depth: 1,
    intermediate: { extensions: [policies("1.2.3.4.5"), policyConstraints(0)] },
    leaf: { extensions: [policies("1.2.3.4.5")] },
  }),
  kind("date before 2050 as GeneralizedTime", {
    leaf: { notAfter: derEncode(0x18, utf8("20350601120000Z")) },
  }),
  kind("valid beyond 2049", { leaf: { notAfter: Date.UTC(2051, 0, 1) }, root: { notAfter: Date.UTC(2060, 0, 1) } }),
  kind("no expiry known (99991231235959Z)", { leaf: { notAfter: derEncode(0x18, utf8("99991231235959Z")) } }),
  kind("end entity that may also encipher keys", {
    leaf: { keyUsage: KeyUsage.digitalSignature | KeyUsage.keyEncipherment },
  }),
  { title: "root of version 1", make: (maker) => chain(maker, { root: { version: null } }) },
];
