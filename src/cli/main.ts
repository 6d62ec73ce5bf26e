#!/usr/bin/env node
/** The command `mutls`: finds the command, and turns what ends it into an exit status. */
import "../explained.ts";
import { readFileSync } from "node:fs";
import { CliError, ExitStatus, exitStatus, usage } from "./exit.ts";
import { type Command, helpText, nearest, parseArguments } from "./flags.ts";
import { reportError } from "./report.ts";

/** Each loads what it needs, when it is needed. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  connect: async () => (await import("./connect.ts")).connectCommand,
  serve: async () => (await import("./serve.ts")).serveCommand,
  inspect: async () => (await import("./inspect.ts")).inspectCommand,
  verify: async () => (await import("./verify.ts")).verifyCommand,
  bench: async () => (await import("./bench.ts")).benchCommand,
  relay: async () => (await import("./relay.ts")).relayCommand,
  gateway: async () => (await import("./gateway.ts")).gatewayCommand,
};
/** For `npm start`; in no help. */
const HIDDEN: typeof COMMANDS = { demo: async () => (await import("./demo.ts")).demoCommand };
/** Commands with commands of their own. */
const GROUPS: Readonly<Record<string, Group>> = {
  ca: {
    summary: "A private CA: issues, renews, revokes.",
    load: async () => (await import("./ca/index.ts")).CA_COMMANDS,
  },
};

interface Group {
  readonly summary: string;
  load(): Promise<typeof COMMANDS>;
}

async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined) {
    process.stderr.write(await overview());
    return ExitStatus.usage;
  }
  if (name === "--version" || name === "-V") return say(`mutls ${version()}\n`);
  if (name === "--help" || name === "-h" || (name === "help" && rest[0] === undefined)) return say(await overview());
  if (name === "help") return help(rest);
  const group = groupNamed(name);
  if (group !== undefined) return runInGroup(name, group, rest);
  const command = await find(name);
  const args = parseArguments(command, rest);
  return args === undefined ? say(helpText(command)) : command.run(args);
}

function groupNamed(name: string): Group | undefined {
  return Object.entries(GROUPS).find(([known]) => known === name)?.[1];
}

async function help([name = "", ...rest]: readonly string[]): Promise<number> {
  const group = groupNamed(name);
  if (group === undefined) return say(helpText(await find(name)));
  return runInGroup(name, group, [...rest.slice(0, 1), "--help"]);
}

async function runInGroup(name: string, group: Group, [second, ...rest]: readonly string[]): Promise<number> {
  const commands = await group.load();
  if (second === undefined) {
    process.stderr.write(await groupOverview(name, group));
    return ExitStatus.usage;
  }
  if (second === "--help" || second === "-h") return say(await groupOverview(name, group));
  if (second === "help") return runInGroup(name, group, [...rest.slice(0, 1), "--help"]);
  const load = Object.entries(commands).find(([known]) => known === second)?.[1];
  if (load === undefined) {
    const close = nearest(second, Object.keys(commands));
    const hint = close === undefined ? `see: mutls ${name} --help` : `did you mean ${close}?`;
    throw usage(`mutls ${name} has no command ${second}`, hint);
  }
  const command = await load();
  const args = parseArguments(command, rest);
  return args === undefined ? say(helpText(command)) : command.run(args);
}

async function groupOverview(name: string, group: Group): Promise<string> {
  const commands = await Promise.all(Object.values(await group.load()).map((load) => load()));
  return [
    `usage: mutls ${name} COMMAND [flags]`,
    "",
    group.summary,
    "",
    "commands:",
    ...commands.map((command) => `  ${`${command.name} ${command.synopsis}`.padEnd(32)}  ${command.summary}`),
    "",
    `mutls ${name} COMMAND --help says more.`,
    "",
  ].join("\n");
}

async function find(name: string): Promise<Command> {
  const load = Object.entries({ ...COMMANDS, ...HIDDEN }).find(([known]) => known === name)?.[1];
  if (load !== undefined) return load();
  const close = nearest(name, [...Object.keys(COMMANDS), ...Object.keys(GROUPS)]);
  throw usage(`mutls has no command ${name}`, close === undefined ? "see: mutls --help" : `did you mean ${close}?`);
}

async function overview(): Promise<string> {
  const commands = await Promise.all(Object.values(COMMANDS).map((load) => load()));
  const lines = [
    ...commands.map(({ name, synopsis, summary }) => [`${name} ${synopsis}`, summary] as const),
    ...Object.entries(GROUPS).map(([name, { summary }]) => [`${name} …`, summary] as const),
  ];
  const width = Math.max(...lines.map(([form]) => form.length));
  return [
    "usage: mutls COMMAND [flags]",
    "",
    "TLS 1.3 with client certificates, and every byte of it explained.",
    "",
    "commands:",
    ...lines.map(([form, summary]) => `  ${form.padEnd(width)}  ${summary}`),
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
