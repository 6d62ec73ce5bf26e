/** Command-line flags as tables, and the one parser that reads them. */
import { usage } from "./exit.ts";

/** One flag of a command. */
export interface Flag {
  /** Without its dashes. */
  readonly name: string;
  /** One letter, as `-k`. */
  readonly short?: string;
  /** What its value is called in the help; a flag without takes none. */
  readonly value?: string;
  /** The only values allowed. */
  readonly choices?: readonly string[];
  /** May be given more than once. */
  readonly repeat?: true;
  readonly help: string;
}

/** One command. */
export interface Command {
  readonly name: string;
  /** What follows the name on the command line. */
  readonly synopsis: string;
  readonly summary: string;
  /** For people: what goes in and comes out. */
  readonly description: string;
  readonly flags: readonly Flag[];
  /** Positional arguments wanted. */
  readonly positionals: number;
  /** Positional arguments that may follow them. */
  readonly optionalPositionals?: number;
  readonly examples: readonly string[];
  run(args: Arguments): Promise<number>;
}

/** A command line, taken apart. */
export class Arguments {
  readonly positionals: readonly string[];
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(values: ReadonlyMap<string, readonly string[]>, positionals: readonly string[]) {
    this.#values = values;
    this.positionals = positionals;
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** The value of a flag that is given once at most. */
  get(name: string): string | undefined {
    return this.#values.get(name)?.[0];
  }

  all(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  /** A list separated by commas, or by colons as openssl has it. */
  list(name: string, separator: RegExp = /[,:]/): readonly string[] | undefined {
    const value = this.get(name);
    if (value === undefined) return undefined;
    const items = value.split(separator).map((item) => item.trim());
    if (items.includes("")) throw usage(`--${name}: an entry of "${value}" is empty`);
    return items;
  }

  /** A whole number between bounds. */
  number(name: string, min: number, max: number): number | undefined {
    const value = this.get(name);
    if (value === undefined) return undefined;
    if (!/^\d{1,10}$/.test(value) || Number(value) < min || Number(value) > max) {
      throw usage(`--${name}: "${value}" is not a whole number from ${min} to ${max}`);
    }
    return Number(value);
  }
}

const HELP: Flag = { name: "help", short: "h", help: "this text" };

/**
 * Reads `--flag value`, `--flag=value`, `-k`, `-kv`, and `--` before what only looks like flags.
 *
 * @returns `undefined` when help is asked for.
 * @throws CliError with status 2 and a hint for anything that the table does not allow.
 */
export function parseArguments(command: Command, argv: readonly string[]): Arguments | undefined {
  const flags = [...command.flags, HELP];
  const values = new Map<string, string[]>();
  const positionals: string[] = [];
  const rest = [...argv];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--") {
      positionals.push(...rest.splice(0));
    } else if (word.startsWith("--")) {
      const equals = word.indexOf("=");
      const name = word.slice(2, equals < 0 ? undefined : equals);
      take(
        find(flags, `--${name}`, (flag) => flag.name === name, command),
        equals < 0 ? undefined : word.slice(equals + 1),
      );
    } else if (word.startsWith("-") && word.length > 1) {
      // `-CAfile`, as openssl writes it, is to be refused as one word.
      const known = [...word.slice(1)].every((letter) => flags.some(({ short }) => short === letter));
      if (!known) find(flags, word, () => false, command);
      for (const letter of word.slice(1))
        take(
          find(flags, `-${letter}`, (flag) => flag.short === letter, command),
          undefined,
        );
    } else {
      positionals.push(word);
    }
  }
  if (values.has(HELP.name)) return undefined;
  const most = command.positionals + (command.optionalPositionals ?? 0);
  if (positionals.length < command.positionals || positionals.length > most) {
    throw usage(
      positionals.length < command.positionals
        ? `mutls ${command.name} needs ${command.synopsis}`
        : `"${positionals[most]}" is one argument too many`,
      `see: mutls ${command.name} --help`,
    );
  }
  return new Arguments(values, positionals);

  function take(flag: Flag, attached: string | undefined): void {
    const { name, choices } = flag;
    if (flag.value === undefined && attached !== undefined) throw usage(`--${name} takes no value`);
    const value = flag.value === undefined ? "" : (attached ?? next(flag));
    if (choices !== undefined && !choices.includes(value)) {
      throw usage(`--${name}: "${value}" is not ${choices.join(", ").replace(/, ([^,]*)$/, " or $1")}`);
    }
    const before = values.get(name);
    if (before !== undefined && flag.value !== undefined && !flag.repeat) throw usage(`--${name} is given twice`);
    if (before === undefined) values.set(name, [value]);
    else before.push(value);
  }

  function next(flag: Flag): string {
    const value = rest.shift();
    if (value === undefined || value.startsWith("--")) throw usage(`--${flag.name} needs a value: ${flag.value}`);
    return value;
  }
}

/** The help of one command. */
export function helpText(command: Command): string {
  const { name, synopsis, summary, description, flags, examples } = command;
  return [
    `usage: mutls ${[name, synopsis, "[flags]"].filter(Boolean).join(" ")}`,
    "",
    summary,
    "",
    description,
    "",
    "flags:",
    ...[...flags, HELP].flatMap(flagHelp),
    "",
    "examples:",
    ...examples.map((example) => `  ${example}`),
    "",
  ].join("\n");
}

const HELP_COLUMN = 34;

function flagHelp({ name, short, value, choices, repeat, help }: Flag): string[] {
  const head = `  ${short === undefined ? "    " : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`;
  const text = `${help}${choices === undefined ? "" : `: ${choices.join(", ")}`}${repeat ? " (may be repeated)" : ""}`;
  const [first = "", ...more] = wrap(text, HELP_COLUMN);
  return head.length < HELP_COLUMN ? [head.padEnd(HELP_COLUMN) + first.trimStart(), ...more] : [head, first, ...more];
}

function wrap(text: string, indent: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && indent + line.length + 1 + word.length > 100) {
      lines.push(" ".repeat(indent) + line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, " ".repeat(indent) + line];
}

/** What openssl, curl and others call some flags, in lower case: their meaning differs less than their spelling. */
const ELSEWHERE: ReadonlyMap<string, string> = new Map([
  ["ca", "cacert"],
  ["cafile", "cacert"],
  ["trusted", "cacert"],
  ["ciphers", "tls13-ciphers"],
  ["ciphersuites", "tls13-ciphers"],
  ["curves", "groups"],
  ["sni", "servername"],
  ["verify_hostname", "hostname"],
  ["accept", "port"],
  ["mtls", "client-auth"],
  ["verify", "client-auth"],
  ["requestcert", "client-auth"],
  ["msg", "trace"],
]);

function find(flags: readonly Flag[], written: string, matches: (flag: Flag) => boolean, command: Command): Flag {
  const found = flags.find(matches);
  if (found !== undefined) return found;
  const name = written.replace(/^-+/, "");
  const names = flags.map((flag) => flag.name);
  const ours = ELSEWHERE.get(name.toLowerCase());
  const close = ours !== undefined && names.includes(ours) ? ours : nearest(name, names);
  throw usage(
    `mutls ${command.name} has no flag ${written}`,
    close === undefined ? `see: mutls ${command.name} --help` : `did you mean --${close}?`,
  );
}

/** The candidate that differs least, if it differs little. */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: distance(name, candidate) }))
    .sort((a, b) => a.distance - b.distance)[0];
  return ranked !== undefined && ranked.distance <= Math.max(name.length > 3 ? 2 : 1, Math.floor(name.length / 3))
    ? ranked.candidate
    : undefined;
}

/** Levenshtein; both are short. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= Math.min(a.length, 64); i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (above[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(replaced, (above[j] as number) + 1, (row[j - 1] as number) + 1));
    }
  }
  return row[b.length] as number;
}
