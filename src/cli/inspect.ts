/** `mutls inspect`: captures, dumps and certificates explained. */
import { closeSync, createReadStream, writeSync } from "node:fs";
import { TlsError } from "../errors.ts";
import { embedKeyLog } from "../inspect/capture/embed.ts";
import { type CapturedConnection, type InspectedCapture, inspectCapture } from "../inspect/capture/inspect.ts";
import { MAX_FILE } from "../inspect/capture/limits.ts";
import { isCapture } from "../inspect/capture/packets.ts";
import { inspectPasted } from "../inspect/pasted/inspect.ts";
import { createRenderer } from "../inspect/render.ts";
import { type InspectItem, traceJson } from "../inspect/trace.ts";
import { openPrivate } from "./capture-file.ts";
import { CliError, ExitStatus, usage } from "./exit.ts";
import type { Arguments, Command } from "./flags.ts";
import { oneLine, traceWidth, wantsColor } from "./report.ts";
import { createProvider, PROVIDER_FLAG } from "./tls-flags.ts";

export const inspectCommand: Command = {
  name: "inspect",
  synopsis: "FILE",
  summary: "Explains a capture, a dump or a certificate byte by byte.",
  description: [
    "FILE, or stdin for `-`, may be",
    "- a capture (pcap, pcapng): for each TLS 1.3 connection in it, the trace that --trace prints for a live one. What is",
    "  encrypted is decrypted where a key log has the secrets: that of --keylogfile, as browsers, curl, openssl and mutls",
    "  write it (SSLKEYLOGFILE, RFC 9850), or one inside the pcapng. Each Finished is checked where that can be done.",
    "- TLS records or handshake messages, as bytes or as text: plain hexadecimal, xxd, hexdump -C, od -tx1, and what",
    "  Wireshark copies as hex dump, whole packets included",
    "- certificates, PEM or DER",
    "",
    "Nothing in it is judged: no certificate is verified. Connections that speak TLS 1.2 or no TLS get one line each.",
    "",
    "With --json, stdout carries one JSON object per line: connection, then its record, message, alert, secret and note",
    "items, each with the number of its connection.",
    "",
    "exit status: 0 done, 2 usage, 23 cannot write, 26 cannot read",
  ].join("\n"),
  positionals: 1,
  flags: [
    { name: "keylogfile", value: "FILE", repeat: true, help: "the secrets of its connections (RFC 9850)" },
    { name: "stream", value: "N", help: "the connection of this number alone" },
    { name: "full", help: "every byte in hexadecimal, every field, whole secrets" },
    { name: "json", help: "JSON lines in place of text" },
    {
      name: "pcapng",
      value: "FILE",
      help: "write the capture with the secrets of its connections inside, for Wireshark; explain nothing",
    },
    { name: "color", value: "WHEN", choices: ["auto", "always", "never"], help: "colours in text; auto by default" },
    PROVIDER_FLAG,
  ],
  examples: [
    "mutls inspect capture.pcapng",
    "mutls inspect capture.pcap --keylogfile keys.log --stream 2 | less",
    "mutls inspect capture.pcap --keylogfile keys.log --json | jq 'select(.kind == \"alert\")'",
    "mutls inspect capture.pcap --keylogfile keys.log --pcapng with-keys.pcapng",
    "xxd client-hello.bin | mutls inspect -",
    "mutls inspect server.pem",
  ],
  run,
};

async function run(args: Arguments): Promise<number> {
  const [name = ""] = args.positionals;
  const only = args.number("stream", 1, 1_000_000);
  if (args.has("json") && args.has("full")) throw usage("--full is of text: --json has every byte anyway");
  const input = await readInput(name);
  const keyLog = await readKeyLogs(args.all("keylogfile"));
  try {
    if (args.has("pcapng")) return embed(name, input, keyLog, args.get("pcapng") as string);
    if (isCapture(input)) return showCapture(name, input, keyLog, only, args);
    if (only !== undefined) throw usage(`--stream is of captures, and ${label(name)} is none`);
    const { onConnection, onItem } = output(args);
    inspectPasted(input, {
      provider: createProvider(args),
      keyLog,
      onConnection,
      onNote: say,
      onItem: (item) => onItem(item, undefined),
    });
    return ExitStatus.ok;
  } catch (error) {
    if (error instanceof TlsError) throw new CliError(ExitStatus.read, `${label(name)}: ${error.message}`);
    throw error;
  }
}

function showCapture(
  name: string,
  input: Uint8Array,
  keyLog: string,
  only: number | undefined,
  args: Arguments,
): number {
  const { onConnection, onItem } = output(args);
  const found = inspectCapture(input, {
    provider: createProvider(args),
    keyLog,
    only,
    onConnection,
    onNote: say,
    onItem: (item, { connection }) => onItem(item, connection),
  });
  const { connections } = found;
  if (only !== undefined && only > connections.length) {
    throw usage(`--stream ${only}: there are ${connections.length} connections in ${label(name)}`);
  }
  for (const line of remarks(found, args)) say(line);
  return ExitStatus.ok;
}

/** What a newcomer would wonder about. */
function remarks({ connections, secrets, ignoredLines }: InspectedCapture, args: Arguments): string[] {
  const dissected = connections.filter((connection) => connection.dissected).length;
  if (connections.length === 0) return ["no TCP connection with data in there"];
  if (dissected === 0) return ["no TLS 1.3 connection in there"];
  if (secrets > 0) return [];
  if (!args.has("keylogfile")) {
    return [
      "nothing is decrypted without its secrets: give them with --keylogfile, as SSLKEYLOGFILE makes clients write them",
    ];
  }
  return [
    `no secret of TLS 1.3 in the key log${ignoredLines > 0 ? `: ${ignoredLines} lines are no such ones (RFC 9850 2)` : ""}`,
  ];
}

interface Output {
  readonly onConnection: (connection: CapturedConnection) => void;
  readonly onItem: (item: InspectItem, connection: number | undefined) => void;
}

function output(args: Arguments): Output {
  const { stdout } = process;
  if (args.has("json")) {
    return {
      onConnection: (connection) => void stdout.write(`${JSON.stringify(connection)}\n`),
      onItem: (item, connection) => {
        const text = traceJson(item);
        stdout.write(`${connection === undefined ? text : `{"connection":${connection},${text.slice(1)}`}\n`);
      },
    };
  }
  const when = args.get("color") ?? "auto";
  const color = when === "auto" ? wantsColor(stdout) : when === "always";
  const options = { color, width: traceWidth(stdout), full: args.has("full") };
  let render = createRenderer(options);
  return {
    onConnection: (connection) => {
      // Each trace explains what is in it: it may be the only one that is read.
      render = createRenderer(options);
      stdout.write(`${connectionLines(connection).join("\n")}\n`);
    },
    onItem: (item) => void stdout.write(render(item)),
  };
}

function connectionLines(found: CapturedConnection): string[] {
  const { connection, client, server, began, packets, reason, protocol, cipherSuite, serverName } = found;
  const facts = [
    `${packets} packets`,
    ...(began === undefined ? [] : [`from ${began}`]),
    ...(serverName === undefined ? [] : [`for ${serverName}`]),
  ];
  const head = `=== connection ${connection}: ${client} → ${server}, ${facts.join(", ")}`;
  if (reason !== undefined) return ["", oneLine(`${head}: ${reason}`)];
  const spoken = [protocol ?? "no ServerHello", ...(cipherSuite === undefined ? [] : [cipherSuite])];
  return ["", oneLine(head), oneLine(`    ${spoken.join(", ")}`)];
}

function embed(name: string, input: Uint8Array, keyLog: string, target: string): number {
  if (!isCapture(input)) throw usage(`--pcapng copies captures, and ${label(name)} is none`);
  let descriptor: number | undefined;
  try {
    const count = embedKeyLog(input, keyLog, (bytes) => {
      descriptor ??= openPrivate(target);
      writeSync(descriptor, bytes);
    });
    say(`${target}: the capture with the secrets of ${count} connections; whoever has it can read them`);
    return ExitStatus.ok;
  } catch (error) {
    if (error instanceof TlsError) throw error;
    throw new CliError(ExitStatus.write, `cannot write the capture: ${(error as Error).message}`);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** All of a file, a pipe or stdin; a device that never ends does not fill the memory. */
async function readInput(name: string): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    const stream: AsyncIterable<Buffer> = name === "-" ? process.stdin : createReadStream(name);
    for await (const chunk of stream) {
      length += chunk.length;
      if (length > MAX_FILE) throw new Error(`more than ${MAX_FILE} bytes: cut the capture with editcap`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw new CliError(ExitStatus.read, `cannot read ${label(name)}: ${(error as Error).message}`);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

async function readKeyLogs(names: readonly string[]): Promise<string> {
  const texts: string[] = [];
  for (const name of names) texts.push(new TextDecoder().decode(await readInput(name)));
  return texts.join("\n");
}

function label(name: string): string {
  return name === "-" ? "stdin" : name;
}

function say(text: string): void {
  process.stderr.write(`mutls: ${oneLine(text)}\n`);
}
