/** Chains that are accepted, some of them against appearances. */

import { KeyPurpose } from "../../src/x509/certificate.ts";
import { generalName } from "../support/der.ts";
import { DAY, makeAuthority, makeCertificate, makeWeakRsa } from "../support/pki.ts";
import {
  type Case,
  constrained,
  leaf,
  localhost,
  middle,
  range,
  root,
  under,
  unspecified,
  utf8Mailbox,
} from "./cases.ts";

export const ACCEPTED: readonly Case[] = [
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
    title: "permitted mailboxes beyond ASCII, in A-labels and in U-labels",
    make: () =>
      constrained(
        [generalName.email("xn--pss25c.example.com"), generalName.email(".example.org")],
        [generalName.email("a.example.org")],
        [
          localhost,
          utf8Mailbox("学生@大学.example.com"),
          utf8Mailbox("学生@xn--pss25c.example.com"),
          utf8Mailbox("ä@b.Example.org"),
        ],
      ),
    node: unspecified(
      "OpenSSL 3.0 goes by RFC 8398, where domains are in U-labels and lower case; RFC 9598 has A-labels",
    ),
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
          generalName.uri("ftp://HOST.example.com:/a(b)~c_d/%2F?q='x'&y[]=*;z=$1!,2+3#@top"),
        ],
        [
          ["O", "example"],
          ["CN", "test leaf"],
        ],
      ).then((chain) => ({ ...chain, name: "localhost.example.com" })),
  },
  {
    title: "a permitted URI with a user",
    make: () => {
      const uri = generalName.uri("ftp://us%20er:pass@host.example.com/");
      return constrained([generalName.uri("host.example.com")], [], [localhost, uri]);
    },
    node: unspecified("OpenSSL takes what stands before the first colon for the host"),
  },
  {
    title: "an RSA key of 1024 bits where that is allowed",
    make: async () => ({ ...(await leaf({ key: await makeWeakRsa(1024, "SHA-256") })), options: { minRsaBits: 1024 } }),
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
];
