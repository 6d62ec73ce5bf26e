import { posix, win32 } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readHost } from "../../src/gateway/host.ts";
import { compilePolicy } from "../../src/gateway/index.ts";
import { isRefusal, readTarget } from "../../src/gateway/target.ts";

/** The name of the rule that a target breaks, or its form. */
function read(target: string): string {
  const found = readTarget(target);
  return isRefusal(found) ? found.rule : found.path + found.query;
}

describe("a request target", () => {
  it.each([
    ["/", "/"],
    ["/a/b", "/a/b"],
    ["/a/", "/a/"],
    ["/a?b=/../c//d;e", "/a?b=/../c//d;e"],
    ["/%61%2D%7e", "/a-~"],
    ["/%c3%a9", "/%C3%A9"],
    ["/a%20b", "/a%20b"],
    ["/100%25", "/100%25"],
    ["/a:b@c!$&'()*+,=", "/a:b@c!$&'()*+,="],
    ["/...", "/..."],
    ["/.well-known/a", "/.well-known/a"],
    ["http://localhost/a?b", "/a?b"],
    ["HTTPS://localhost:8443", "/"],
    ["https://localhost?x", "/?x"],
  ])("%s has the form %s", (target, form) => {
    expect(read(target)).toBe(form);
  });

  it.each([
    ["", "target-empty"],
    [`/${"a".repeat(8192)}`, "target-length"],
    ["/a b", "target-octets"],
    ["/a\tb", "target-octets"],
    ["/a\0b", "target-octets"],
    ["/caf\u00e9", "target-octets"],
    ["/a#b", "target-fragment"],
    ["a/b", "target-form"],
    ["*", "target-form"],
    ["localhost:443", "target-form"],
    ["ftp://localhost/a", "target-form"],
    ["?a", "target-form"],
    ["http://user@localhost/", "target-userinfo"],
    ["/a\\..\\admin", "path-backslash"],
    ["/admin;a=b", "path-parameters"],
    ["/public/..;/admin", "path-parameters"],
    ["/a|b", "path-characters"],
    ['/a"b', "path-characters"],
    ["/[a]", "path-characters"],
    ["/a%", "path-encoding"],
    ["/a%2", "path-encoding"],
    ["/a%u002e", "path-encoding"],
    ["/a%zz", "path-encoding"],
    ["/a%00", "path-encoded-control"],
    ["/admin%0a", "path-encoded-control"],
    ["/a%0d%0aHost:b", "path-encoded-control"],
    ["/a%7f", "path-encoded-control"],
    ["/public%2fadmin", "path-encoded-delimiter"],
    ["/public%2F..%2Fadmin", "path-encoded-delimiter"],
    ["/..%5cadmin", "path-encoded-delimiter"],
    ["/admin%3ba", "path-encoded-delimiter"],
    ["/admin%3Fa", "path-encoded-delimiter"],
    ["/admin%23", "path-encoded-delimiter"],
    ["/%252e%252e/admin", "path-double-encoding"],
    ["/a%252fb", "path-double-encoding"],
    ["/a%25252f", "path-double-encoding"],
    ["/%25%32%65", "path-double-encoding"],
    ["/%25u002e", "path-double-encoding"],
    ["/%c0%ae%c0%ae/admin", "path-utf8"],
    ["/%c0%af", "path-utf8"],
    ["/%e0%80%af", "path-utf8"],
    ["/%f0%80%80%af", "path-utf8"],
    ["/%ed%a0%80", "path-utf8"],
    ["/%ff", "path-utf8"],
    ["/%c3", "path-utf8"],
    ["//admin", "path-empty-segment"],
    ["/a//b", "path-empty-segment"],
    ["/a/b//", "path-empty-segment"],
    ["http://localhost//admin", "path-empty-segment"],
    ["/.", "path-dot-segment"],
    ["/..", "path-dot-segment"],
    ["/a/./b", "path-dot-segment"],
    ["/public/../admin", "path-dot-segment"],
    ["/public/%2e%2e/admin", "path-dot-segment"],
    ["/public/.%2E/admin", "path-dot-segment"],
    ["/public/%2e", "path-dot-segment"],
    ["http://localhost/public/../admin", "path-dot-segment"],
    // Fullwidth solidus, full stop, one-dot leader, reverse solidus, semicolon, two-dot leader.
    ["/public%ef%bc%8fadmin", "path-compatibility"],
    ["/%ef%bc%8e%ef%bc%8e/admin", "path-compatibility"],
    ["/%e2%80%a4%e2%80%a4/admin", "path-compatibility"],
    ["/a%ef%bc%bcb", "path-compatibility"],
    ["/a%ef%bc%9bb", "path-compatibility"],
    ["/%e2%80%a5/admin", "path-compatibility"],
  ])("%j is refused: %s", (target, rule) => {
    expect(read(target)).toBe(rule);
  });

  it("that is accepted is read alike by others: by URL parsers, by file systems, however often it is decoded", () => {
    const pieces = [
      "a",
      "B",
      ".",
      "..",
      "/",
      "//",
      "\\",
      ";",
      ":",
      "%2e",
      "%2E",
      "%2f",
      "%5C",
      "%25",
      "%61",
      "%c0%ae",
      "%c3%a9",
    ];
    const more = [
      "%ef%bc%8f",
      "%e2%80%a4",
      "%",
      "%u002f",
      "%00",
      "%20",
      "?",
      "#",
      "*",
      "~",
      "@",
      "%3b",
      "%7f",
      "%ff",
      "\t",
      " ",
    ];
    const target = fc
      .array(fc.constantFrom(...pieces, ...more), { maxLength: 12 })
      .map((parts) => `/${parts.join("")}`);
    let accepted = 0;
    fc.assert(
      fc.property(target, (text) => {
        const found = readTarget(text);
        if (isRefusal(found)) return;
        accepted++;
        const { path } = found;
        expect(new URL(`http://h${path}`).pathname).toBe(path);
        for (let form = path, round = 0; round < 3; round++) {
          expect(posix.normalize(form)).toBe(form);
          expect(win32.normalize(form).replaceAll("\\", "/")).toBe(form);
          form = decodeURIComponent(form.replace(/%(?![0-9A-Fa-f]{2})/g, "%25")).normalize("NFKC");
          expect(form.split("/").length).toBe(path.split("/").length);
        }
      }),
      { numRuns: 3000 },
    );
    expect(accepted).toBeGreaterThan(100);
  });

  it("in its form is its own form, and is judged as that", () => {
    const policy = compilePolicy({
      version: "1",
      rules: [
        { name: "all", effect: "allow", who: "anyone" },
        { name: "admin", effect: "deny", who: "anyone", what: { path: "/admin/**" } },
      ],
    });
    for (const target of ["/admin", "/%61dmin", "/a%64min/", "/%61%64%6d%69%6e/x?/public", "http://h/admin/x"]) {
      const found = readTarget(target);
      if (isRefusal(found)) throw new Error(found.rule);
      expect(readTarget(found.path)).toEqual({ path: found.path, query: "", authority: undefined });
      expect([target, policy.decide(undefined, { method: "GET", path: found.path, host: "h" }).rule]).toEqual([
        target,
        "admin",
      ]);
    }
  });
});

describe("the Host field", () => {
  const host = (fields: string[], authority?: string, serverName: string | undefined = "localhost") => {
    const found = readHost(fields, authority, serverName);
    return isRefusal(found) ? [found.status, found.rule] : found.field;
  };

  it.each([["localhost"], ["LocalHost:8443"]])("%s is the server that the connection was made to", (field) => {
    expect(host([field])).toBe(field.toLowerCase());
    expect(host([field], field)).toBe(field.toLowerCase());
  });

  it.each([
    [[], undefined, [400, "host-count"]],
    [["localhost", "localhost"], undefined, [400, "host-count"]],
    [[""], undefined, [400, "host-form"]],
    [["local host"], undefined, [400, "host-form"]],
    [["localhost, evil"], undefined, [400, "host-form"]],
    [["localhost/admin"], undefined, [400, "host-form"]],
    [["user@localhost"], undefined, [400, "host-form"]],
    [["localhost:"], undefined, [400, "host-form"]],
    [["localhost:0"], undefined, [400, "host-form"]],
    [["localhost:99999"], undefined, [400, "host-form"]],
    [["localhost."], undefined, [400, "host-form"]],
    [["[::1"], undefined, [400, "host-form"]],
    [["localhost"], "evil.example", [400, "host-target"]],
    [["evil.example"], undefined, [421, "host-misdirected"]],
    [["127.0.0.1"], undefined, [421, "host-misdirected"]],
  ])("%j of a target with %s is refused: %j", (fields, authority, refusal) => {
    expect(host(fields as string[], authority)).toEqual(refusal);
  });

  it("is an address where no server name was asked for", () => {
    const nameless = (field: string) => {
      const found = readHost([field], undefined, undefined);
      return isRefusal(found) ? found.status : found.name;
    };
    expect(["127.0.0.1:8443", "[::1]:1", "localhost"].map(nameless)).toEqual(["127.0.0.1", "[::1]", 421]);
    // Otherwise a rule about one would not be about the others.
    expect(["[0:0:0:0:0:0:0:1]", "[::0001]:80", "[FE80::A]"].map(nameless)).toEqual(["[::1]", "[::1]", "[fe80::a]"]);
    expect(["[127.0.0.1]", "127.1", "0127.0.0.1"].map(nameless)).toEqual([400, expect.any(Number), expect.any(Number)]);
    expect(readHost(["[0::1]:80"], "[0::1]:80", undefined)).toEqual({ name: "[::1]", field: "[::1]:80" });
  });
});
