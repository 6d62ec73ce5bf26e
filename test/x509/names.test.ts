import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { derEncode, Tag } from "../../src/bytes/der.ts";
import { TlsError } from "../../src/errors.ts";
import { formatAddress, parseAddress } from "../../src/x509/address.ts";
import { DistinguishedName } from "../../src/x509/distinguished.ts";
import { matchesHost, matchName, referenceName } from "../../src/x509/names.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import { encodeName, encodeOid, encodeSequence, generalName } from "../support/der.ts";
import { makeCertificate } from "../support/pki.ts";

async function certificateFor(...names: Uint8Array[]) {
  return parseCertificate((await makeCertificate({ subject: "cn.example", names })).der);
}

describe("service identity (RFC 9525)", () => {
  it.each<[presented: string, wanted: string, matched: boolean]>([
    ["www.example.com", "www.example.com", true],
    ["WWW.Example.COM", "www.eXample.com", true],
    ["www.example.com", "www.example.com.", true],
    ["www.example.com.", "www.example.com", false],
    ["example.com", "www.example.com", false],
    ["www.example.com", "example.com", false],
    ["*.example.com", "www.example.com", true],
    ["*.example.com", "example.com", false],
    ["*.example.com", "a.b.example.com", false],
    ["w*.example.com", "www.example.com", false],
    ["*w.example.com", "www.example.com", false],
    ["www.*.com", "www.example.com", false],
    ["*.*.example.com", "a.b.example.com", false],
    ["*.com", "example.com", false],
    ["*", "localhost", false],
    ["*.", "localhost", false],
    ["", "localhost", false],
    ["xn--bcher-kva.example", "bücher.example", true],
    ["XN--BCHER-KVA.example", "Bücher.Example.", true],
    ["*.example", "bücher.example", false],
    ["*.some.example", "bücher.some.example", true],
    ["xn--*-kva.example", "bücher.example", false],
    ["under_score.example", "under_score.example", true],
    ["127.0.0.1", "127.0.0.1", false],
  ])("DNS:%s for %s: %s", async (presented, wanted, matched) => {
    const certificate = await certificateFor(generalName.dns(presented));
    expect(matchName(certificate, referenceName(wanted)).matched).toBe(matched);
    expect(matchesHost(certificate, wanted)).toBe(matched);
  });

  it("compares addresses as bytes, in every spelling", async () => {
    const certificate = await certificateFor(generalName.ip("192.0.2.1"), generalName.ip("2001:db8::1"));
    for (const wanted of ["192.0.2.1", "2001:db8::1", "[2001:DB8:0:0:0:0:0:1]", "2001:db8::0.0.0.1"]) {
      expect(matchesHost(certificate, wanted)).toBe(true);
    }
    for (const wanted of ["192.0.2.2", "::ffff:192.0.2.1", "2001:db8::2", "192.0.2", "192.0.2.01"]) {
      expect(matchesHost(certificate, wanted)).toBe(false);
    }
  });

  it("never falls back to the CN", async () => {
    expect(matchesHost(await certificateFor(), "cn.example")).toBe(false);
    expect(matchesHost(await certificateFor(generalName.email("a@b.example")), "cn.example")).toBe(false);
  });

  it("says what was wanted and what was offered", async () => {
    const certificate = await certificateFor(generalName.dns("a.example"), generalName.ip("::1"));
    expect(matchName(certificate, referenceName("Other.Example."))).toMatchObject({
      matched: false,
      wanted: { kind: "dns", text: "other.example" },
      offered: ["DNS:a.example", "IP:::1"],
    });
  });

  it.each([
    "",
    ".",
    "a..b",
    "-a.example",
    "a b",
    "*.example.com",
    "a/b",
    "user@host",
    "host:443",
    "1.2.3",
    "fe80::1%eth0",
    "ü/x",
    "a".repeat(64),
    `${"a.".repeat(127)}b`,
  ])("refuses %j as a name", async (name) => {
    expect(() => referenceName(name)).toThrow(expect.objectContaining({ code: "ERR_TLS_OPTION" }));
    expect(matchesHost(await certificateFor(generalName.dns(name.replace(/[^ -~]/g, "?"))), name)).toBe(false);
  });

  it("throws nothing but TlsError whatever the name", async () => {
    const certificate = await certificateFor(generalName.dns("*.example.com"));
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.domain(), fc.ipV6()), (name) => {
        expect(matchesHost(certificate, name)).toBeTypeOf("boolean");
        try {
          referenceName(name);
        } catch (error) {
          expect(error).toBeInstanceOf(TlsError);
        }
      }),
    );
  });
});

describe("addresses", () => {
  it("reads back what it writes (RFC 5952)", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ minLength: 4, maxLength: 4 }),
          fc
            .array(fc.constantFrom(0, 0, 0, 255), { minLength: 16, maxLength: 16 })
            .map((list) => Uint8Array.from(list)),
        ),
        (bytes) => {
          expect(parseAddress(formatAddress(bytes))).toEqual(bytes);
          // The platform's own idea of the shortest form.
          if (bytes.length === 16)
            expect(new URL(`http://[${formatAddress(bytes)}]/`).hostname).toBe(`[${formatAddress(bytes)}]`);
        },
      ),
    );
  });

  it("reads what fast-check and the platform call addresses", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        expect(parseAddress(text)).toBeDefined();
      }),
    );
  });

  it.each([
    "1.2.3",
    "1.2.3.4.5",
    "256.1.1.1",
    "01.2.3.4",
    "1.2.3.4 ",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8",
    "::g",
    "::1.2.3",
    "1.2.3.4::",
    "12345::",
    "[::1",
    "::1%1",
  ])("refuses %s", (text) => expect(parseAddress(text)).toBeUndefined());
});

describe("DistinguishedName", () => {
  const attribute = (oid: string, tag: number, value: string | Uint8Array) =>
    encodeSequence(encodeOid(oid), derEncode(tag, typeof value === "string" ? utf8(value) : value));
  const name = (...rdns: Uint8Array[][]) =>
    new DistinguishedName(encodeSequence(...rdns.map((rdn) => derEncode(Tag.set, ...rdn))));
  const CN = "2.5.4.3";

  it("compares by RFC 5280 7.1", () => {
    const a = name([attribute(CN, Tag.printableString, "  Some   CA ")]);
    expect(a.equals(name([attribute(CN, Tag.utf8String, "some ca")]))).toBe(true);
    expect(a.equals(name([attribute(CN, Tag.utf8String, "someca")]))).toBe(false);
    expect(a.equals(name([attribute("2.5.4.10", Tag.utf8String, "some ca")]))).toBe(false);
    expect(a.equals(name([attribute(CN, Tag.utf8String, "some ca")], [attribute(CN, Tag.utf8String, "x")]))).toBe(
      false,
    );
    const pair = [attribute(CN, Tag.utf8String, "x"), attribute("2.5.4.10", Tag.utf8String, "y")] as const;
    expect(name([...pair]).equals(name([pair[1], pair[0]]))).toBe(true);
    expect(name([...pair]).equals(name([pair[0]], [pair[1]]))).toBe(false);
    expect(
      name([attribute(CN, Tag.bmpString, Uint8Array.of(0, 0x58))]).equals(name([attribute(CN, Tag.utf8String, "x")])),
    ).toBe(true);
  });

  it("does not let one value pass for two", () => {
    const one = name([attribute(CN, Tag.utf8String, "a;2.5.4.3=1:b")]);
    const two = name([attribute(CN, Tag.utf8String, "a"), attribute(CN, Tag.utf8String, "b")]);
    expect(one.equals(two)).toBe(false);
    const number = name([attribute(CN, Tag.integer, Uint8Array.of(1))]);
    expect(number.equals(name([attribute(CN, Tag.utf8String, "#020101")]))).toBe(false);
  });

  it("knows subtrees", () => {
    const base = new DistinguishedName(encodeName([["O", "Example"]]));
    expect(
      new DistinguishedName(
        encodeName([
          ["O", "example"],
          ["CN", "a"],
        ]),
      ).within(base),
    ).toBe(true);
    expect(
      new DistinguishedName(
        encodeName([
          ["CN", "a"],
          ["O", "example"],
        ]),
      ).within(base),
    ).toBe(false);
    expect(new DistinguishedName(encodeName([])).within(base)).toBe(false);
    expect(base.within(new DistinguishedName(encodeName([])))).toBe(true);
  });

  it("writes RFC 4514", () => {
    expect(name([attribute(CN, Tag.utf8String, '#a,b+"c\\<d>;e ')]).text).toBe('CN=\\#a\\,b\\+\\"c\\\\\\<d\\>\\;e\\ ');
    expect(
      name(
        [attribute("2.5.4.10", Tag.utf8String, "O")],
        [attribute(CN, Tag.utf8String, "x"), attribute("1.2.3", Tag.utf8String, "y")],
      ).text,
    ).toBe("CN=x+1.2.3=y,O=O");
    expect(name([attribute(CN, Tag.integer, Uint8Array.of(1))]).text).toBe("CN=#020101");
    expect(name([attribute(CN, Tag.utf8String, Uint8Array.of(0xff))]).text).toBe("CN=#0c01ff");
    expect(name([attribute(CN, Tag.utf8String, "a\nb\u202ec")]).text).toBe("CN=a\\0ab\\e2\\80\\aec");
    expect(new DistinguishedName(encodeName([])).text).toBe("");
  });
});
