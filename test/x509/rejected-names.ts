/** One chain for each way in which a name can lie outside name constraints. */
import { derEncode } from "../../src/bytes/der.ts";
import { encodeOid, extension, generalName } from "../support/der.ts";
import { makeAuthority, makeCertificate } from "../support/pki.ts";
import {
  type Case,
  type Chain,
  constrained,
  localhost,
  type Rejected,
  range,
  under,
  unspecified,
  utf8Mailbox,
} from "./cases.ts";

const violation = (
  title: string,
  make: () => Promise<Chain>,
  reason: RegExp,
  node: Case["node"] = unspecified("node:tls has no code for it"),
): Rejected => ({
  title: `name constraints: ${title}`,
  make,
  code: "CERT_NAME_CONSTRAINT_VIOLATION",
  alert: "certificate_unknown",
  reason,
  node,
});

const all = [localhost];

export const REJECTED_NAMES: readonly Rejected[] = [
  violation("DNS not permitted", () => constrained([generalName.dns("example.com")], [], all), /DNS:localhost is not/),
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
    "a mailbox beyond ASCII on another host",
    () => constrained([generalName.email("example.com")], [], [localhost, utf8Mailbox("学生@example.org")]),
    /email:\\u\{5b66\}\\u\{751f\}@example\.org is not among/,
  ),
  violation(
    "a mailbox beyond ASCII on an excluded host, in U-labels",
    () =>
      constrained([], [generalName.email("xn--pss25c.example.com")], [localhost, utf8Mailbox("学生@大学.example.com")]),
    /is excluded/,
  ),
  violation(
    "a mailbox beyond ASCII where one mailbox alone is permitted",
    () => constrained([generalName.email("a@example.com")], [], [localhost, utf8Mailbox("ä@example.com")]),
    /is not among/,
  ),
  violation(
    "a mailbox that is no UTF-8",
    () =>
      constrained([generalName.email("example.com")], [], [localhost, utf8Mailbox(Uint8Array.of(0xff, 0x40, 0x61))]),
    /cannot be compared/,
  ),
  violation(
    "a mailbox behind a byte-order mark",
    () => constrained([], [generalName.email("a.example")], [localhost, utf8Mailbox("\ufeffä@a.example")]),
    /cannot be compared/,
  ),
  violation(
    "a mailbox longer than any",
    () =>
      constrained(
        [generalName.email("example.com")],
        [],
        [localhost, generalName.email(`${"a".repeat(501)}@example.com`)],
      ),
    /cannot be compared/,
    { code: undefined, why: "OpenSSL compares it" },
  ),
  violation(
    "an otherName of a constrained type",
    () => {
      const custom = derEncode(0xa0, encodeOid("1.2.3.4"), derEncode(0xa0, derEncode(12, Uint8Array.of(0x61))));
      return constrained([], [custom], [localhost, custom]);
    },
    /constraints on otherName 1\.2\.3\.4 are not supported/,
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
  ...[
    { uri: "https://evil.test\\@example.com/" },
    { uri: "https://evil.test\\.example.com/" },
    { uri: "https://evil.test @example.com/" },
    { uri: "https://evil.test/@example.com/" },
    { uri: "https://evil.test@evil.test@example.com/" },
    { uri: "https://evil.test%zz@example.com/" },
    { uri: "https://example.com:80:80/", node: { code: undefined, why: "OpenSSL reads up to the first colon" } },
    { uri: 'https://example.com/"', node: { code: undefined, why: "OpenSSL reads up to the path" } },
  ].map(({ uri, node }) =>
    violation(
      `a URI of which readers differ: ${uri}`,
      () => constrained([generalName.uri("example.com")], [], [localhost, generalName.uri(uri)]),
      /: URI:.* (cannot be compared with the constraints|is not among the permitted names)$/,
      node,
    ),
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
