import { describe, expect, it } from "vitest";
import { addressOf, clientOf, isPublic, parsePrefix, within } from "../../src/relay/addresses.ts";
import { AllowList, parseRelayTarget, type RelayTarget } from "../../src/relay/allow.ts";
import { codeOf } from "../support/errors.ts";

const bytes = (text: string) => addressOf(text) as Uint8Array;

describe("an address", () => {
  it.each([
    ...[
      "8.8.8.8",
      "1.1.1.1",
      "172.15.255.255",
      "172.32.0.0",
      "100.63.255.255",
      "100.128.0.0",
      "192.169.0.1",
      "223.255.255.255",
    ],
    ...["2606:4700::1111", "2a00::1", "2001:200::1", "64:ff9b::808:808", "::ffff:8.8.8.8"],
  ])("is anybody's: %s", (text) => {
    expect(isPublic(bytes(text))).toBe(true);
  });

  it.each([
    ...[
      "0.0.0.0",
      "10.1.2.3",
      "100.64.0.1",
      "127.0.0.1",
      "127.255.255.255",
      "169.254.169.254",
      "172.16.0.1",
      "172.31.255.255",
    ],
    ...[
      "192.0.0.1",
      "192.0.2.1",
      "192.88.99.1",
      "192.168.0.1",
      "198.18.0.1",
      "198.19.255.255",
      "198.51.100.1",
      "203.0.113.1",
    ],
    ...["224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"],
    ...["::", "::1", "fe80::1", "fc00::1", "fd00::1", "ff02::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1"],
    ...[
      "::ffff:127.0.0.1",
      "::ffff:10.0.0.1",
      "64:ff9b::7f00:1",
      "64:ff9b::a00:1",
      "::127.0.0.1",
      "64:ff9b:1::1",
      "4000::1",
    ],
  ])("is somebody's in particular: %s", (text) => {
    expect(isPublic(bytes(text))).toBe(false);
  });

  it.each([
    ["10.0.0.0/8", "10.255.0.1", true],
    ["10.0.0.0/8", "11.0.0.0", false],
    ["10.0.0.0/8", "::ffff:10.0.0.1", true],
    ["192.168.1.128/25", "192.168.1.128", true],
    ["192.168.1.128/25", "192.168.1.127", false],
    ["192.168.1.7", "192.168.1.7", true],
    ["0.0.0.0/0", "1.2.3.4", true],
    ["0.0.0.0/0", "::1", false],
    ["fd00::/8", "fdff::1", true],
    ["fd00::/8", "fe00::1", false],
    ["::/0", "2a00::1", true],
  ])("is within a network or not: %s, %s", (network, address, expected) => {
    const prefix = parsePrefix(network);
    expect(prefix !== undefined && within(bytes(address), prefix)).toBe(expected);
  });

  it.each(["10.0.0.1/8", "10.0.0.0/33", "fd00::1/8", "::/129", "10.0.0.0/", "10/8", "a/8"])(
    "is no network: %s",
    (text) => {
      expect(parsePrefix(text)).toBeUndefined();
    },
  );

  it("stands for a client: IPv6 by its network", () => {
    expect(
      ["::ffff:192.0.2.7", "192.0.2.7", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::9", "fe80::1%eth0"].map(clientOf),
    ).toEqual(["192.0.2.7", "192.0.2.7", "2001:db8:1:2::", "2001:db8:1:2::", "fe80::"]);
    expect(clientOf(undefined)).toBe("unknown");
  });
});

describe("a target", () => {
  it.each([
    ["device.example:443", "device.example", 443],
    ["Device.Example.:1", "device.example", 1],
    ["_a-b.c:65535", "_a-b.c", 65535],
    ["192.168.1.7:443", "192.168.1.7", 443],
    ["[fd00::1]:443", "fd00::1", 443],
    ["localhost:443", "localhost", 443],
  ])("is %s", (text, host, port) => {
    expect(parseRelayTarget(text)).toEqual({ host, port });
  });

  it.each([
    ...[
      "",
      "device.example",
      "device.example:0",
      "device.example:65536",
      "device.example:",
      ":443",
      "a b:443",
      "a..b:443",
    ],
    ...[
      "-a.b:443",
      "a-.b:443",
      "fd00::1:443",
      "[fd00::1]",
      "[192.168.1.7]:443",
      "[a]:443",
      "user@a:443",
      "a/b:443",
      "a%00:443",
    ],
    ...[
      "127.1:443",
      "2130706433:443",
      "0x7f000001:443",
      "0177.0.0.1:443",
      "1.2.3.4.5:443",
      "a.0x1:443",
      "ü.example:443",
    ],
    `${"a".repeat(64)}.b:443`,
    `${"a.".repeat(130)}b:443`,
  ])("is none: %s", (text) => {
    expect(parseRelayTarget(text)).toBeUndefined();
  });
});

describe("what is allowed", () => {
  const list = new AllowList([
    "device.example:443",
    "*.Wild.example:8443",
    "192.168.1.7:443",
    "10.0.0.0/8:443",
    "[fd00::/8]:443",
    "[2001:db8::1]:443",
    "lan.example:443",
    "localhost:443",
  ]);
  const allows = (text: string) => list.allows(parseRelayTarget(text) ?? { host: "?", port: 0 });
  const leads = (text: string, address: string) =>
    list.leadsTo(bytes(address), parseRelayTarget(text) ?? { host: "?", port: 0 });

  it.each([
    ["device.example:443", true],
    ["DEVICE.example.:443", true],
    ["device.example:444", false],
    ["other.example:443", false],
    ["a.device.example:443", false],
    ["evildevice.example:443", false],
    ["a.wild.example:8443", true],
    ["a.b.wild.example:8443", false],
    ["wild.example:8443", false],
    ["a.wild.example:443", false],
    ["192.168.1.7:443", true],
    ["192.168.1.8:443", false],
    ["10.9.8.7:443", true],
    ["[::ffff:10.9.8.7]:443", true],
    ["10.9.8.7:80", false],
    ["[fd12::1]:443", true],
    ["[2001:db8::1]:443", true],
    ["[2001:db8::2]:443", false],
    ["8.8.8.8:443", false],
    ["127.0.0.1:443", false],
  ])("is named: %s, %s", (text, expected) => {
    expect(allows(text)).toBe(expected);
  });

  it.each([
    ["device.example:443", "8.8.8.8", true],
    ["device.example:443", "127.0.0.1", false],
    ["device.example:443", "::ffff:127.0.0.1", false],
    ["device.example:443", "169.254.169.254", false],
    ["device.example:443", "::1", false],
    ["lan.example:443", "10.1.1.1", true],
    ["lan.example:443", "192.168.1.7", true],
    ["lan.example:443", "192.168.1.8", false],
    ["a.wild.example:8443", "10.1.1.1", false],
    ["localhost:443", "127.0.0.1", true],
    ["localhost:443", "::1", true],
    ["localhost:443", "192.168.1.9", false],
  ])("leads there: %s to %s, %s", (text, address, expected) => {
    expect(leads(text, address)).toBe(expected);
  });

  it("is not every name that ends as a name of one letter does", () => {
    const short = new AllowList(["d:443"]);
    expect(["d:443", "device-d:443"].map((text) => short.allows(parseRelayTarget(text) as RelayTarget))).toEqual([
      true,
      false,
    ]);
  });

  it("is nothing by default", () => {
    expect(new AllowList([]).allows({ host: "device.example", port: 443 })).toBe(false);
  });

  it.each([
    "device.example",
    "*:443",
    "a.*.example:443",
    "*example:443",
    "a:0",
    "a:65536",
    "10.0.0.1/8:443",
    "127.1:443",
    "",
    "a b:1",
  ])("is refused as a rule: %s", (rule) => {
    expect(codeOf(() => new AllowList([rule]))).toBe("ERR_TLS_OPTION");
  });
});
