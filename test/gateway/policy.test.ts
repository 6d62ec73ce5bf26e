import { beforeAll, describe, expect, it } from "vitest";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { TlsError } from "../../src/errors.ts";
import { compilePolicy, type PolicyDocument, type RuleDocument } from "../../src/gateway/index.ts";
import { createThrowawayAuthority } from "../../src/pki/index.ts";
import { type PeerIdentity, peerIdentity } from "../../src/x509/identity.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import { pinOf } from "../../src/x509/pins.ts";

let alice: PeerIdentity;
let unverified: PeerIdentity;
let bare: PeerIdentity;

beforeAll(async () => {
  const authority = await createThrowawayAuthority({ name: "root" });
  const issued = await authority.issue({
    subject: [
      ["O", "Example"],
      ["OU", "People"],
      ["CN", "alice"],
    ],
    dnsNames: ["alice.example.org"],
    emails: ["Alice@Example.org"],
    uris: ["spiffe://example.org/people/alice"],
  });
  const path = [issued.certificates[0], authority.certificate].map(parseCertificate) as never;
  alice = peerIdentity(path, "client", true, nobleProvider);
  unverified = peerIdentity(path, "client", false, nobleProvider);
  const plain = await authority.issue({ subject: "bare" });
  bare = peerIdentity([parseCertificate(plain.certificates[0])], "client", true, nobleProvider);
});

const GET = { method: "GET", path: "/", host: "localhost" };
const allow = (rule: Partial<RuleDocument>): PolicyDocument => ({
  version: "1",
  rules: [{ name: "rule", effect: "allow", who: "verified", ...rule }],
});

function allows(rule: Partial<RuleDocument>, ...client: [client?: PeerIdentity | undefined]): boolean {
  // An `undefined` that is given is a client without a certificate.
  return compilePolicy(allow(rule)).decide(client.length === 0 ? alice : client[0], GET).allowed;
}

describe("who", () => {
  it.each([
    ["the SPIFFE ID", () => ({ spiffe: "spiffe://example.org/people/alice" })],
    ["a trust domain", () => ({ spiffe: "spiffe://example.org/**" })],
    ["what is below a path", () => ({ spiffe: "spiffe://example.org/people/**" })],
    ["one of several", () => ({ spiffe: ["spiffe://example.com/**", "spiffe://example.org/**"] })],
    ["a DNS name in other letters", () => ({ dns: "ALICE.example.ORG" })],
    ["a URI", () => ({ uri: "spiffe://example.org/people/alice" })],
    ["an e-mail address, its host in other letters", () => ({ email: "Alice@EXAMPLE.org" })],
    ["attributes of the subject", () => ({ subject: { O: "Example", OU: ["Things", "People"] } })],
    ["the whole subject", () => ({ subject: alice.subject })],
    ["the issuer", () => ({ issuer: { CN: "root" } })],
    ["the whole issuer", () => ({ issuer: "CN=root" })],
    ["the certificate", () => ({ certificate: alice.fingerprint256 })],
    [
      "the certificate, with colons",
      () => ({ certificate: alice.fingerprint256.replace(/..(?=.)/g, "$&:").toUpperCase() }),
    ],
    ["the key", () => ({ key: pinOf(alice.certificate, nobleProvider) })],
    ["all of several kinds", () => ({ dns: "alice.example.org", subject: { CN: "alice" } })],
  ])("knows a client by %s, and no other", (_, who) => {
    expect(allows({ who: who() })).toBe(true);
    expect(allows({ who: who() }, unverified)).toBe(false);
    expect(allows({ who: who() }, undefined)).toBe(false);
    if (!("issuer" in who())) expect(allows({ who: who() }, bare)).toBe(false);
  });

  it.each([
    [{ spiffe: "spiffe://example.org/people/ali" }],
    [{ spiffe: "spiffe://example.org/peop/**" }],
    // What is below alice is not alice.
    [{ spiffe: "spiffe://example.org/people/alice/**" }],
    [{ spiffe: "spiffe://example.org.evil/**" }],
    [{ dns: "example.org" }],
    [{ dns: "*.example.org" }],
    [{ uri: "spiffe://example.org/people/Alice" }],
    [{ email: "alice@example.org" }],
    [{ subject: { CN: "Alice" } }],
    [{ subject: { O: "Example", OU: "Things" } }],
    [{ subject: "CN=alice" }],
    [{ issuer: { CN: "alice" } }],
    [{ certificate: "00".repeat(32) }],
    [{ key: `sha256//${"A".repeat(43)}=` }],
    [{ dns: "alice.example.org", subject: { CN: "bob" } }],
  ])("does not take a client for %j", (who) => {
    expect(allows({ who: who as RuleDocument["who"] })).toBe(false);
  });

  it("has words for everybody, and for everybody verified", () => {
    const clients = [alice, unverified, undefined];
    expect(clients.map((client) => allows({ who: "anyone" }, client))).toEqual([true, true, true]);
    const verified = compilePolicy(allow({ who: "verified" }));
    expect(clients.map((client) => verified.decide(client, GET).allowed)).toEqual([true, false, false]);
  });

  it("takes one of a list of identities", () => {
    expect(allows({ who: [{ dns: "bob.example.org" }, { subject: { CN: "alice" } }] })).toBe(true);
    expect(allows({ who: [{ dns: "bob.example.org" }, { subject: { CN: "bob" } }] })).toBe(false);
  });
});

describe("what", () => {
  it.each([
    ["/a", ["/a"], ["/", "/a/", "/A", "/a/b", "/ab"]],
    ["/a/*", ["/a/b", "/a/.b"], ["/a", "/a/", "/a/b/c"]],
    ["/a/**", ["/a", "/a/", "/a/b", "/a/b/c/"], ["/ab", "/", "/b/a"]],
    ["/**", ["/", "/a", "/a/b"], []],
    ["/a/**/z", ["/a/z", "/a/b/z", "/a/b/c/z"], ["/a", "/z", "/a/z/b"]],
    ["/a/*/c/**", ["/a/b/c", "/a/b/c/d"], ["/a/c", "/a//c"]],
    ["/", ["/"], ["/a"]],
    // Servers that decode take both for the same.
    ["/a@b/**", ["/a@b", "/a%40b/c"], ["/ab", "/a%25b"]],
    ["/a%40b", ["/a@b", "/a%40b"], ["/a%2540b"]],
    ["/!$&'()+,:=", ["/!$&'()+,:=", "/%21%24%26%27%28%29%2B%2C%3A%3D"], ["/"]],
    ["/%2A", ["/*", "/%2A"], ["/a"]],
  ])("path %s", (path, fitting, others) => {
    const policy = compilePolicy(allow({ what: { path } }));
    const decide = (each: string) => policy.decide(alice, { ...GET, path: each }).allowed;
    expect(fitting.filter((each) => !decide(each))).toEqual([]);
    expect(others.filter(decide)).toEqual([]);
  });

  it.each([
    ["api.example.org", ["api.example.org"], ["example.org", "a.api.example.org"]],
    ["*.example.org", ["api.example.org"], ["example.org", "a.b.example.org", "xexample.org"]],
    ["127.0.0.1", ["127.0.0.1"], ["127.0.0.2"]],
    ["[::1]", ["[::1]"], ["[::2]"]],
  ])("host %s", (host, fitting, others) => {
    const policy = compilePolicy(allow({ what: { host } }));
    const decide = (each: string) => policy.decide(alice, { ...GET, host: each }).allowed;
    expect(fitting.filter((each) => !decide(each))).toEqual([]);
    expect(others.filter(decide)).toEqual([]);
  });

  it("goes by the method as it is, and wants all that it names", () => {
    const policy = compilePolicy(allow({ what: { method: ["GET", "PUT"], path: "/a" } }));
    const decide = (method: string, path: string) => policy.decide(alice, { ...GET, method, path }).allowed;
    expect([decide("GET", "/a"), decide("PUT", "/a")]).toEqual([true, true]);
    expect([decide("get", "/a"), decide("HEAD", "/a"), decide("GET", "/b")]).toEqual([false, false, false]);
  });
});

describe("a decision", () => {
  const policy = () =>
    compilePolicy({
      version: "7",
      rules: [
        { name: "read", effect: "allow", who: "verified", what: { method: "GET" }, roles: ["reader", "guest"] },
        {
          name: "people",
          effect: "allow",
          who: { spiffe: "spiffe://example.org/people/**" },
          roles: ["reader", "person"],
        },
        { name: "secret", effect: "deny", who: "anyone", what: { path: "/secret/**" } },
      ],
    });

  it("says which rule decided, and gives the roles of all that allow", () => {
    const { trail, ...decision } = policy().decide(alice, GET);
    expect(decision).toEqual({
      allowed: true,
      policy: "7",
      rule: "read",
      roles: ["reader", "guest", "person"],
      reason: "rule read allows it",
    });
    expect(trail.map(({ rule, fits }) => [rule, fits])).toEqual([
      ["read", true],
      ["people", true],
      ["secret", false],
    ]);
    expect(trail[2]?.reason).toBe('path is /, not "/secret/**"');
  });

  it("denies where one rule does, whatever others allow and wherever it stands", () => {
    const { allowed, rule, roles, reason } = policy().decide(alice, { ...GET, path: "/secret/x" });
    expect({ allowed, rule, roles, reason }).toEqual({
      allowed: false,
      rule: "secret",
      roles: [],
      reason: "rule secret denies it",
    });
  });

  it("denies where none fits, and says why none does", () => {
    const { allowed, rule, reason } = policy().decide(bare, { ...GET, method: "POST" });
    expect([allowed, rule]).toEqual([false, undefined]);
    expect(reason).toBe(
      'no rule allows it: read: method is POST, not "GET"; people: spiffe is absent, not "spiffe://example.org/people/**"',
    );
    expect(policy().decide(undefined, GET).reason).toContain("read: there is no certificate");
    expect(policy().decide(unverified, GET).reason).toContain("read: the certificate was not verified");
    expect(compilePolicy({ version: "0", rules: [] }).decide(alice, GET).reason).toBe(
      "no rule allows it: there is none that allows anything",
    );
  });

  it("is of the policy as it was compiled", () => {
    const document = structuredClone(policy().document) as unknown as { rules: { effect: string }[] };
    const compiled = compilePolicy(document as unknown as PolicyDocument);
    for (const rule of document.rules) rule.effect = "deny";
    expect(compiled.decide(alice, GET).allowed).toBe(true);
    expect(compiled.document.rules.map(({ effect }) => effect)).toEqual(["allow", "allow", "deny"]);
  });
});

describe("authorize", () => {
  const refusal = (document: PolicyDocument, client: PeerIdentity | undefined) => {
    try {
      return compilePolicy(document).authorize(client);
    } catch (error) {
      if (!(error instanceof TlsError)) throw error;
      return [error.code, error.alert, error.detail];
    }
  };

  it("lets in to whom some request would be allowed", () => {
    expect(refusal(allow({ what: { path: "/nowhere" } }), alice)).toBe(true);
    expect(refusal(allow({ who: "anyone" }), undefined)).toBe(true);
    const partly = [{ name: "some", effect: "deny", who: "anyone", what: { path: "/x" } }] as const;
    expect(refusal({ version: "1", rules: [...allow({}).rules, ...partly] }, alice)).toBe(true);
  });

  it("refuses others in the handshake, with the reason", () => {
    expect(refusal(allow({ who: { dns: "bob.example.org" } }), alice)).toEqual([
      "ERR_TLS_ACCESS_DENIED",
      "access_denied",
      `no rule allows ${alice.subject} anything: rule: dns is alice.example.org, not "bob.example.org"`,
    ]);
    expect(refusal(allow({}), undefined)).toContain(
      "no rule allows a client without a verified certificate anything: rule: there is no certificate",
    );
    const denied = [{ name: "out", effect: "deny", who: { subject: { CN: "alice" } } }] as const;
    expect(refusal({ version: "1", rules: [...allow({}).rules, ...denied] }, alice)).toContain(
      `rule out denies ${alice.subject} everything`,
    );
  });
});

describe("a document", () => {
  const rule = { name: "a", effect: "allow", who: "verified" };
  const wrong = (change: object) => ({ version: "1", rules: [rule, { ...rule, name: "b", ...change }] });

  it.each([
    [[], "policy: : [] is not an object"],
    [{}, "policy: version: undefined is not a string"],
    [{ version: 1, rules: [] }, "policy: version: 1 is not a string"],
    [{ version: " 1", rules: [] }, "policy: version:"],
    [{ version: "1", rules: [], more: 1 }, "policy: more: there is no such key; there are version, rules"],
    [{ version: "1", rules: {} }, "policy: rules: {} is not a list"],
    [{ version: "1", rules: Array(1001).fill(rule) }, "policy: rules: more than 1000 rules"],
    [{ version: "1", rules: [rule, rule] }, 'policy: rules[1].name: "a" is the name of another rule'],
    [wrong({ name: "a b" }), 'policy: rules[1].name: "a b"'],
    [wrong({ effect: "permit" }), 'policy: rules[1].effect: "permit" is neither "allow" nor "deny"'],
    [wrong({ who: undefined }), "policy: rules[1].who: is missing"],
    [wrong({ who: "all" }), 'policy: rules[1].who: "all" is neither "anyone" nor "verified"'],
    [wrong({ who: {} }), "policy: rules[1].who: names nobody"],
    [wrong({ who: [] }), "policy: rules[1].who: an empty list"],
    [wrong({ who: { spife: "x" } }), "policy: rules[1].who.spife: there is no such key; there are spiffe, dns"],
    [wrong({ who: [{ dns: "a.b" }, { dns: 7 }] }), "policy: rules[1].who[1].dns: 7 is not a string"],
    [wrong({ who: { dns: ["a.b", ""] } }), "policy: rules[1].who.dns[1]: is empty"],
    [wrong({ who: { spiffe: "spiffe://example.org" } }), "has no path: /** for the whole trust domain"],
    [wrong({ who: { spiffe: "spiffe://example.org/a/*" } }), "is neither a SPIFFE ID nor one with /** at its end"],
    [wrong({ who: { spiffe: "spiffe://example.org/../a" } }), "has a segment . or .."],
    [wrong({ who: { spiffe: "spiffe://Example.org/a" } }), "is neither a SPIFFE ID"],
    [wrong({ who: { dns: "a b" } }), "is no DNS name"],
    [wrong({ who: { uri: "nothing" } }), "is no URI"],
    [wrong({ who: { email: "nobody" } }), "is no e-mail address"],
    [wrong({ who: { subject: {} } }), "policy: rules[1].who.subject: wants no attribute at all"],
    [wrong({ who: { subject: { CM: "x" } } }), "policy: rules[1].who.subject.CM: there is no such key"],
    [wrong({ who: { subject: "alice" } }), "is no RFC 4514 string"],
    [wrong({ who: { certificate: "abcd" } }), "is no SHA-256 in hexadecimal"],
    [wrong({ who: { key: "abcd" } }), "is not sha256// and the Base64 of 32 bytes"],
    [wrong({ what: {} }), "policy: rules[1].what: says nothing"],
    [wrong({ what: { verb: "GET" } }), "policy: rules[1].what.verb: there is no such key"],
    [wrong({ what: { method: "get" } }), "is no method, in upper case"],
    [wrong({ what: { path: "a" } }), "does not begin with /"],
    [wrong({ what: { path: "/a*" } }), "has * beside other characters"],
    [wrong({ what: { path: "/**/a/**" } }), "has ** more than once"],
    [wrong({ what: { path: "/a/../b" } }), "the path has a segment . or .."],
    [wrong({ what: { path: "/a//b" } }), "the path has an empty segment"],
    [wrong({ what: { path: "/%61" } }), "in its normal form that is /a"],
    [wrong({ what: { path: "/a%2fb" } }), "has an encoded slash"],
    [wrong({ what: { path: "/a?b" } }), "has a character that must be percent-encoded"],
    [wrong({ what: { host: "a.b:443" } }), "is no host, or has a port"],
    [wrong({ what: { host: "A.b" } }), "is written a.b"],
    [wrong({ what: { host: "[0:0::1]" } }), "is written [::1]"],
    [wrong({ what: { host: "[127.0.0.1]" } }), "is no host, or has a port"],
    [wrong({ what: { host: "*.127.0.0.1" } }), "has * before an address"],
    [wrong({ roles: "x" }), "policy: rules[1].roles: is not a list"],
    [wrong({ roles: ["a,b"] }), "policy: rules[1].roles[0]:"],
    [wrong({ effect: "deny", roles: ["a"] }), "policy: rules[1].roles: a rule that denies gives no roles"],
    [wrong({ what: { path: `/${"a".repeat(2100)}` } }), "is longer than 2048 characters"],
  ])("names its fault: %#", (document, reason) => {
    const compile = () => compilePolicy(document as never);
    expect(compile).toThrow(reason);
    expect(compile).toThrow(expect.objectContaining({ code: "ERR_TLS_OPTION" }));
  });

  it.each([
    ['{\n  "version": "1",\n  "rules": [,]\n}', /policy: line 3, column 13: /],
    ['{\n  "version": "1",\n  "version": "2", "rules": []\n}', /policy: line 3, column 3: a key that is there twice/],
    [
      '{"version":"1","rules":[{"name":"a","effect":"allow","\\u0065ffect":"deny","who":"anyone"}]}',
      /line 1, column 54: a key that is there twice/,
    ],
    ['{"version":"1","rules":[],"__proto__":{}}', /__proto__: there is no such key/],
    ["", /line 1, column 1: the end, where a value should be/],
    ['{"version":"1" "rules":[]}', /line 1, column 16: " where , or } should be/],
    ['{"version":"1",}', /line 1, column 16: } where " should be/],
    ['{"version":"1"', /line 1, column 15: the end, where , or } should be/],
    ["{} {}", /line 1, column 4: something behind the end/],
    ['{"version":"a\tb"}', /line 1, column 12: no value: "/],
    ["[".repeat(17) + "]".repeat(17), /more than 16 objects and lists inside each other/],
    [`"${"x".repeat(0x100000)}"`, /more than 1048576 characters/],
  ])("of JSON names line and column: %#", (text, reason) => {
    expect(() => compilePolicy(text)).toThrow(reason);
  });

  it("may use a key in two objects, and in strings what looks like keys", () => {
    const text =
      '{"version":"1","rules":[{"name":"a","effect":"allow","who":{"uri":"a:\\"},{\\"a\\":"}},{"name":"b","effect":"deny","who":"anyone"}]}';
    expect(compilePolicy(text).rules).toEqual(["a", "b"]);
  });
});
