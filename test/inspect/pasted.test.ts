/** What people paste, in every form in which it comes. */
import { spawnSync } from "node:child_process";
import { beforeAll, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { toHex } from "../../src/bytes/hex.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import {
  createRenderer,
  type InspectItem,
  inspectPasted,
  type PastedOptions,
  type TraceItem,
} from "../../src/inspect/index.ts";
import { createThrowawayAuthority } from "../../src/pki/index.ts";
import { trace } from "../../vectors/rfc8448/load.ts";
import { missing } from "../support/needs.ts";
import { CLIENT, notesOf, packet, SERVER } from "./captures.ts";
import { messagesOf, recordsOf } from "./support.ts";

const { records } = trace(3);
/** A ClientHello in its record, 201 bytes, and the answer, 95. */
const hello = records[0]?.bytes as Uint8Array;
const answer = records[1]?.bytes as Uint8Array;

function explain(input: Uint8Array | string, options: Partial<PastedOptions> = {}) {
  const items: InspectItem[] = [];
  const bytes = typeof input === "string" ? utf8(input) : input;
  const kind = inspectPasted(bytes, { provider: nobleProvider, onItem: (item) => items.push(item), ...options });
  return { kind, items };
}

const wires = (items: readonly InspectItem[]) => recordsOf(items as TraceItem[]).map(({ wire }) => toHex(wire));
const pairs = (bytes: Uint8Array, separator: string) =>
  Array.from(bytes, (byte) => toHex(Uint8Array.of(byte))).join(separator);
const text = (bytes: Uint8Array) =>
  Array.from(bytes, (byte) => (byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");

/** Rows of a dump. */
function rows(bytes: Uint8Array, row: (offset: number, part: Uint8Array) => string): string {
  return Array.from({ length: Math.ceil(bytes.length / 16) }, (_, i) =>
    row(16 * i, bytes.subarray(16 * i, 16 * i + 16)),
  ).join("\n");
}
const offset = (at: number, digits: number, radix = 16) => at.toString(radix).padStart(digits, "0");

const FORMS = {
  "plain hexadecimal": (bytes: Uint8Array) => toHex(bytes),
  "in capitals, with line ends": (bytes: Uint8Array) => `${toHex(bytes).toUpperCase().replace(/.{60}/g, "$&\r\n")}\r\n`,
  "pairs with colons": (bytes: Uint8Array) => pairs(bytes, ":"),
  "as an array": (bytes: Uint8Array) => `0x${pairs(bytes, ", 0x")}`,
  "as a string": (bytes: Uint8Array) => `\\x${pairs(bytes, "\\x")}`,
  xxd: (bytes: Uint8Array) =>
    rows(
      bytes,
      (at, part) =>
        `${offset(at, 8)}: ${toHex(part)
          .replace(/....(?=.)/g, "$& ")
          .padEnd(39)}  ${text(part)}`,
    ),
  "hexdump -C": (bytes: Uint8Array) =>
    `${rows(bytes, (at, part) => {
      const [left, right] = [pairs(part.subarray(0, 8), " "), pairs(part.subarray(8), " ")];
      return `${offset(at, 8)}  ${`${left}  ${right}`.padEnd(48)}  |${text(part)}|`;
    })}\n${offset(bytes.length, 8)}\n`,
  "od -tx1": (bytes: Uint8Array) =>
    `${rows(bytes, (at, part) => `${offset(at, 7, 8)} ${pairs(part, " ")}`)}\n${offset(bytes.length, 7, 8)}\n`,
  "Wireshark's": (bytes: Uint8Array) =>
    rows(bytes, (at, part) => `${offset(at, 4)}   ${pairs(part, " ").padEnd(47)}   ${text(part)}`),
  "Wireshark's without text": (bytes: Uint8Array) => rows(bytes, (at, part) => `${offset(at, 4)}  ${pairs(part, " ")}`),
};

describe("records", () => {
  it("are explained as they are", () => {
    const { kind, items } = explain(concat(hello, answer));
    expect([kind, ...items.map((item) => item.kind)]).toEqual(["records", "record", "message", "record", "message"]);
    expect(recordsOf(items as TraceItem[]).map(({ from, direction }) => [from, direction])).toEqual([
      ["client", "sent"],
      ["server", "received"],
    ]);
    expect(messagesOf(items as TraceItem[]).map(({ problem }) => problem)).toEqual([undefined, undefined]);
  });

  it.each(Object.entries(FORMS))("are read from a dump: %s", (_, form) => {
    for (const bytes of [hello, answer, concat(hello, answer), records[0]?.bytes.subarray(0, 9 + 192) as Uint8Array]) {
      const { kind, items } = explain(form(bytes));
      expect([kind, wires(items).join("")]).toEqual(["records", toHex(bytes)]);
    }
    // Rows whose text looks like bytes.
    const digits = concat(Uint8Array.of(23, 3, 3, 0, 43), utf8("00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee"));
    expect(wires(explain(form(digits.subarray(0, 48))).items)).toEqual([toHex(digits.subarray(0, 48))]);
  });

  const commands = [["xxd"], ["hexdump", "-C"], ["od", "-An", "-tx1"], ["od", "-tx1"]] as const;
  it.each(commands.map((command) => [command.join(" "), command] as const))(
    "are read from what `%s` writes",
    (name, [tool, ...args]) => {
      const zeros = concat(Uint8Array.of(23, 3, 3, 0, 200), new Uint8Array(200));
      for (const bytes of [hello, zeros]) {
        const { stdout, error } = spawnSync(tool, args, { input: bytes });
        if (missing(tool, error === undefined)) return;
        // Without -v, rows like the one before are left out; with -An nothing says how many.
        if (bytes === zeros && name === "od -An -tx1") expect(() => explain(stdout)).toThrow("neither a capture");
        else expect(wires(explain(stdout).items)).toEqual([toHex(bytes)]);
      }
    },
  );

  it("of TLS 1.2 are as far as its messages are alike", () => {
    const certificate = Uint8Array.of(22, 3, 3, 0, 7, 11, 0, 0, 3, 0, 0, 0);
    const items = explain(certificate).items as TraceItem[];
    expect(messagesOf(items)).toMatchObject([{ type: "certificate" }]);
  });

  it("that are protected stay closed, with the reason; a key log opens them", () => {
    const bytes = concat(...records.slice(0, 3).map((record) => record.bytes));
    const { items } = explain(bytes);
    expect(recordsOf(items as TraceItem[]).at(-1)).toMatchObject({
      from: "server",
      sequence: undefined,
      note: "there is no key log to decrypt it with",
    });
    const alone = explain(records[2]?.bytes as Uint8Array);
    expect(recordsOf(alone.items as TraceItem[])[0]?.note).toContain("its ClientHello was not seen");
    const step = trace(3).find("server", 'derive secret "tls13 s hs traffic"');
    const keyLog = `SERVER_HANDSHAKE_TRAFFIC_SECRET ${toHex(hello.subarray(11, 43))} ${toHex(step.bytes("expanded"))}`;
    const opened = messagesOf(explain(bytes, { keyLog }).items as TraceItem[]).map(({ type }) => type);
    expect(opened).toContain("finished");
  });

  it("that are cut, or followed by something else, are explained up to there", () => {
    const cut = explain(concat(hello, answer.subarray(0, 20)));
    expect(notesOf(cut.items)).toEqual(["remark the server's last record ends after 20 bytes"]);
    const tail = explain(concat(hello, utf8("nothing of the kind")));
    expect(notesOf(tail.items)[0]).toMatch(/^problem what the client sends here is no TLS record/);
  });

  it("keep their side while a message goes on in the next", () => {
    const content = hello.subarray(5);
    const part = (bytes: Uint8Array) => concat(Uint8Array.of(22, 3, 1, bytes.length >> 8, bytes.length & 255), bytes);
    // The second record begins with a byte that would be a ServerHello's.
    const at = content.indexOf(2, 50);
    const items = explain(concat(part(content.subarray(0, at)), part(content.subarray(at)), answer))
      .items as TraceItem[];
    expect(recordsOf(items).map(({ from }) => from)).toEqual(["client", "client", "server"]);
    expect(messagesOf(items).map(({ type }) => type)).toEqual(["client_hello", "server_hello"]);
  });
});

describe("handshake messages", () => {
  it("are explained without records", () => {
    const flight = concat(hello.subarray(5), answer.subarray(5));
    const { kind, items } = explain(flight);
    expect(kind).toBe("messages");
    expect(items).toMatchObject([
      { kind: "message", type: "client_hello", number: 1, from: "client", spans: [], problem: undefined },
      { kind: "message", type: "server_hello", number: 2, from: "server", spans: [], problem: undefined },
    ]);
    const shown = items.map(createRenderer()).join("");
    expect(shown).toMatch(/^ {2}ClientHello {2}handshake message 1, 196 bytes +RFC 8446 4\.1\.2$/m);
    expect(wires(explain(FORMS.xxd(flight)).items)).toEqual([]);
  });
});

describe("dumps of whole packets", () => {
  const frames = [packet(CLIENT, SERVER, 1, hello), packet(SERVER, CLIENT, 1, answer)];

  it.each(["Wireshark's", "hexdump -C"] as const)("are a capture: %s", (form) => {
    const dump = frames.map(FORMS[form]).join("\n\nNo.     Time           Source\n");
    const seen: string[] = [];
    const { kind, items } = explain(dump, { onConnection: ({ client }) => seen.push(client) });
    expect([kind, seen]).toEqual(["packets", ["192.0.2.1:50000"]]);
    expect(wires(items)).toEqual([toHex(hello), toHex(answer)]);
  });

  it("may begin with IP, and may be bytes", () => {
    const ip = frames[0]?.subarray(14) as Uint8Array;
    expect(explain(toHex(ip)).kind).toBe("packets");
    expect(wires(explain(ip).items)).toEqual([toHex(hello)]);
  });
});

describe("certificates", () => {
  let pem = "";
  let chain: readonly Uint8Array[];

  beforeAll(async () => {
    const authority = await createThrowawayAuthority({ intermediates: 1 });
    const issued = await authority.issue({
      subject: "leaf",
      dnsNames: ["localhost", "*.example.org"],
      ipAddresses: ["127.0.0.1", "::1"],
      uris: ["spiffe://example.org/leaf"],
    });
    pem = issued.certificatePem;
    chain = issued.certificates;
  });

  it.each(["PEM", "PEM with other text", "DER", "hexadecimal"])("are taken apart: %s", (form) => {
    const [leaf = new Uint8Array(0)] = chain;
    const inputs: Readonly<Record<string, string | Uint8Array>> = {
      PEM: pem,
      "PEM with other text": `subject=leaf\n${pem}`,
      DER: leaf,
      hexadecimal: toHex(leaf),
    };
    const { kind, items } = explain(inputs[form] as string);
    expect([kind, items.length]).toEqual(["certificates", form.startsWith("PEM") ? chain.length : 1]);
    expect(items[0]).toMatchObject({ kind: "certificate", number: 1, bytes: leaf, summary: { subject: "CN=leaf" } });
  });

  const refused: readonly (readonly [what: string, input: () => string, code: string, message: string])[] = [
    [
      "a private key",
      () => "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
      "ERR_TLS_CAPTURE",
      "PEM of PRIVATE KEY",
    ],
    ["PEM that is cut", () => pem.slice(0, 200), "ERR_TLS_PEM", "no END line"],
    ["PEM of no DER", () => "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "ERR_TLS_PEM", "tag"],
  ];
  it.each(refused)("are not %s", (_, input, code, message) => {
    expect(() => explain(input())).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    );
  });
});

describe("what is none of these", () => {
  it.each([
    ["nothing", "", "it begins with nothing"],
    ["words", "hello, world", "it begins with 68 65 6c 6c"],
    ["digits without sense", "aabbccdd", "it begins with aa bb cc dd"],
    ["a compressed file", Uint8Array.of(0x1f, 0x8b, 8, 0), "it is compressed: unpack it first"],
    ["a key log", `# of a browser\nCLIENT_RANDOM ${"00".repeat(32)} ${"11".repeat(48)}\n`, "it is a key log"],
    ["an odd number of digits", "16030", "neither a capture"],
    ["words of hexdump", "0000000 0316 0001 0001\n0000006\n", "use hexdump -C"],
    ["offsets that do not fit", "00000000: 1603 0100\n00000007: 0102\n00000009: 01", "does not have 7 bytes"],
    ["a row out of place", "00000000: 1603\n*\n00000001: 02\n", "offset 00000001 is not where it stands"],
    ["an offset that goes back", "0000 16 03 01\n0003 00 01\n0001 00\n", "does not have"],
    ["a message cut off", "01 00 00 05 03 03", "neither a capture"],
  ])("is refused: %s", (_, input, message) => {
    const refused = expect.objectContaining({ code: "ERR_TLS_CAPTURE", message: expect.stringContaining(message) });
    expect(() => explain(input)).toThrow(refused);
  });
});
