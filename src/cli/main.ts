#!/usr/bin/env node
/** The command `mutls`: finds the command, and turns what ends it into an exit status. */
import { readFileSync } from "node:fs";
import { connectCommand } from "./connect.ts";
import { demoCommand } from "./demo.ts";
import { CliError, exitStatus, usage } from "./exit.ts";
import { type Command, helpText, nearest, parseArguments } from "./flags.ts";
import { reportError } from "./report.ts";
import { serveCommand } from "./serve.ts";

const COMMANDS: readonly Command[] = [connectCommand, serveCommand];
/** For `npm start`; in no help. */
const HIDDEN: readonly Command[] = [demoCommand];
const LATER: readonly string[] = ["inspect", "bench", "ca", "gateway", "relay"];

async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined) {
    process.stderr.write(overview());
    return usage("").status;
  }
  if (name === "--version" || name === "-V") return say(`mutls ${version()}\n`);
  if (name === "--help" || name === "-h") return say(overview());
  if (name === "help") return help(rest[0]);
  const args = parseArguments(find(name), rest);
  return args === undefined ? say(helpText(find(name))) : find(name).run(args);
}

function help(name: string | undefined): number {
  return say(name === undefined ? overview() : helpText(find(name)));
}

function find(name: string): Command {
  const command = [...COMMANDS, ...HIDDEN].find((candidate) => candidate.name === name);
  if (command !== undefined) return command;
  if (LATER.includes(name)) throw usage(`mutls ${name} is not supported yet`, "see: mutls --help");
  const close = nearest(
    name,
    COMMANDS.map((candidate) => candidate.name),
  );
  throw usage(`mutls has no command ${name}`, close === undefined ? "see: mutls --help" : `did you mean ${close}?`);
}

function overview(): string {
  return [
    "usage: mutls COMMAND [flags]",
    "",
    "TLS 1.3 with client certificates, and every byte of it explained.",
    "",
    "commands:",
    ...COMMANDS.map(({ name, synopsis, summary }) => `  ${`${name} ${synopsis}`.padEnd(32)}  ${summary}`),
    "",
    `not supported yet: ${LATER.join(", ")}`,
    "",
    "mutls COMMAND --help says more; mutls --version says which mutls.",
    "",
  ].join("\n");
}

function version(): string {
  const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return (manifest as { version: string }).version;
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}

// A reader that has gone is noticed where data is written; here it only must not crash the process.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});

main(process.argv.slice(2)).then(
  (status) => {
    process.exitCode = status;
  },
  (error: unknown) => {
    reportError(error);
    if (!(error instanceof CliError) && !(error instanceof Error && "code" in error)) console.error(error);
    process.exitCode = exitStatus(error, false);
  },
);
