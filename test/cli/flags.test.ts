import { describe, expect, it } from "vitest";
import { parseTarget } from "../../src/cli/address.ts";
import { connectCommand } from "../../src/cli/connect.ts";
import { CliError, exitStatus } from "../../src/cli/exit.ts";
import { type Arguments, type Command, helpText, parseArguments } from "../../src/cli/flags.ts";
import { serveCommand } from "../../src/cli/serve.ts";
import { alertReceived, type CauseCode, fault } from "../../src/errors.ts";

const command: Command = {
  ...connectCommand,
  name: "try",
  positionals: 1,
  flags: [
    { name: "cert", value: "FILE", repeat: true, help: "a certificate" },
    { name: "mode", value: "MODE", choices: ["a", "b", "c"], help: "a mode" },
    { name: "count", value: "N", help: "a number" },
    { name: "list", value: "A,B", help: "a list" },
    { name: "insecure", short: "k", help: "careless" },
    { name: "verbose", short: "v", help: "chatty" },
  ],
};

const parse = (...argv: string[]) => parseArguments(command, argv) as Arguments;

function refusal(...argv: string[]): string {
  try {
    parse(...argv);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    expect(error.status).toBe(2);
    return [error.message, error.hint].join(" | ");
  }
  throw new Error("accepted");
}

describe("flags", () => {
  it("are read in every form", () => {
    const args = parse("--cert", "a", "x:1", "--cert=b=c", "--mode=b", "-kv");
    expect(args.all("cert")).toEqual(["a", "b=c"]);
    expect(args.get("mode")).toBe("b");
    expect([args.has("insecure"), args.has("verbose"), args.has("count")]).toEqual([true, true, false]);
    expect(args.positionals).toEqual(["x:1"]);
    expect(parse("--", "--mode").positionals).toEqual(["--mode"]);
    expect(parse("-k", "-k", "x").has("insecure")).toBe(true);
    expect(parse("x", "--cert", "-").get("cert")).toBe("-");
    expect(parseArguments(command, ["--help", "--mode", "a"])).toBeUndefined();
    expect(parseArguments(command, ["-h"])).toBeUndefined();
  });

  it.each([
    [["x", "--cret", "a"], "mutls try has no flag --cret | did you mean --cert?"],
    [["x", "--zzzzzz"], "mutls try has no flag --zzzzzz | see: mutls try --help"],
    [["x", "-z"], "mutls try has no flag -z | see: mutls try --help"],
    [["x", "-cert", "a"], "mutls try has no flag -cert | did you mean --cert?"],
    [["x", "-verbose"], "mutls try has no flag -verbose | did you mean --verbose?"],
    [["x", "--spk", "a"], "mutls try has no flag --spk | see: mutls try --help"],
    [["x", "--msg"], "mutls try has no flag --msg | see: mutls try --help"],
    [["x", "--__proto__"], "mutls try has no flag --__proto__ | see: mutls try --help"],
    [["x", "--cert"], "--cert needs a value: FILE | "],
    [["x", "--cert", "--mode", "a"], "--cert needs a value: FILE | "],
    [["x", "--insecure=1"], "--insecure takes no value | "],
    [["x", "--mode", "d"], '--mode: "d" is not a, b or c | '],
    [["x", "--mode", "a", "--mode", "b"], "--mode is given twice | "],
    [[], "mutls try needs HOST:PORT | see: mutls try --help"],
    [["x", "y"], '"y" is one argument too many | see: mutls try --help'],
  ])("refuse %j", (argv, expected) => {
    expect(refusal(...argv)).toBe(expected);
  });

  it("leave room for arguments that may be left out", () => {
    const optional = { ...command, positionals: 0, optionalPositionals: 1 };
    expect(parseArguments(optional, [])?.positionals).toEqual([]);
    expect(parseArguments(optional, ["x:1"])?.positionals).toEqual(["x:1"]);
    expect(() => parseArguments(optional, ["x:1", "y"])).toThrow('"y" is one argument too many');
  });

  it.each([
    [connectCommand, "-CAfile", "cacert"],
    [connectCommand, "--curves", "groups"],
    [serveCommand, "--mtls", "client-auth"],
  ])("of other tools lead to ours", (of, written, ours) => {
    expect(() => parseArguments(of, [written])).toThrow(expect.objectContaining({ hint: `did you mean --${ours}?` }));
  });

  it("hold numbers and lists", () => {
    expect(parse("x", "--count", "12").number("count", 0, 12)).toBe(12);
    expect(parse("x").number("count", 0, 12)).toBeUndefined();
    for (const value of ["13", "-1", "1.5", "1e1", "", "0x1"]) {
      expect(() => parse("x", `--count=${value}`).number("count", 0, 12), value).toThrow(
        "is not a whole number from 0 to 12",
      );
    }
    expect(parse("x", "--list", "a:b,c").list("list")).toEqual(["a", "b", "c"]);
    expect(parse("x", "--list", "a:b").list("list", /,/)).toEqual(["a:b"]);
    expect(() => parse("x", "--list", "a,,b").list("list")).toThrow("is empty");
  });

  it("are all in the help", () => {
    for (const shown of [connectCommand, serveCommand]) {
      const help = helpText(shown);
      for (const { name } of shown.flags) expect(help).toContain(`--${name}`);
      expect(Math.max(...help.split("\n").map((line) => line.length))).toBeLessThanOrEqual(120);
    }
  });
});

describe("HOST:PORT", () => {
  it.each([
    ["localhost:1", "localhost", 1],
    ["127.0.0.1:65535", "127.0.0.1", 65535],
    ["[::1]:443", "::1", 443],
  ])("%s", (text, host, port) => {
    expect(parseTarget(text)).toEqual({ host, port });
  });

  it.each([
    ["localhost", "did you mean localhost:443?"],
    ["https://localhost", "leave out the scheme"],
    ["::1", "write [::1]:443"],
    ["localhost:0", undefined],
    ["localhost:65536", undefined],
    [":443", undefined],
    ["a:b", undefined],
    ["", undefined],
  ])("not %s", (text, hint) => {
    try {
      parseTarget(text);
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({
        status: 2,
        ...(hint === undefined ? {} : { hint: expect.stringContaining(hint) }),
      });
    }
  });
});

describe("exit statuses", () => {
  it.each([
    ["ERR_TLS_OPTION", 2],
    ["ERR_TLS_HANDSHAKE_TIMEOUT", 28],
    ["ERR_SSL_NO_SHARED_CIPHER", 35],
    ["ERR_SSL_BAD_SIGNATURE", 35],
    ["ERR_TLS_KEY", 58],
    ["ERR_TLS_SIGNING_FAILED", 58],
    ["CERT_HAS_EXPIRED", 60],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", 60],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", 60],
    ["SELF_SIGNED_CERT_IN_CHAIN", 60],
    ["ERR_TLS_CERT_ALTNAME_INVALID", 60],
    ["INVALID_PURPOSE", 60],
    ["INVALID_CA", 60],
    ["PATH_LENGTH_EXCEEDED", 60],
    ["CA_MD_TOO_WEAK", 60],
    ["EE_KEY_TOO_SMALL", 60],
  ] as [CauseCode, number][])("%s is %i", (code, status) => {
    expect(exitStatus(fault(code), false)).toBe(status);
  });

  it("tell a handshake from what comes after", () => {
    expect(exitStatus(alertReceived("certificate_required"), false)).toBe(98);
    expect(exitStatus(alertReceived("unknown_ca"), false)).toBe(35);
    expect(exitStatus(fault("ERR_SSL_UNEXPECTED_EOF_WHILE_READING"), false)).toBe(35);
    expect(exitStatus(fault("ERR_SSL_UNEXPECTED_EOF_WHILE_READING"), true)).toBe(56);
    expect(exitStatus(new CliError(77, "x"), true)).toBe(77);
    expect(exitStatus(new TypeError("a fault of ours"), false)).toBe(1);
  });
});
