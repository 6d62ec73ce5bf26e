/**
 * Takes the traces and private keys out of the text of RFC 8448. Strict: a line that fits no rule is an error, so nothing
 * printed can go missing. `npx vitest run test/vectors -u` writes what it finds to the JSON files beside this one.
 */

export type Actor = "client" | "server";

/** One `{actor}  action` of a trace with the values printed below it. */
export interface StepData {
  readonly actor: Actor;
  /** As printed, line breaks joined, without `(same as ...)`. */
  readonly action: string;
  /** What stands after "same as", where the text repeats no values. */
  readonly sameAs?: string;
  /** Name to lower-case hexadecimal. A salt printed as `0 (all zero octets)` is `"0"`. */
  readonly values: Readonly<Record<string, string>>;
}

/** One example handshake: a section from 3 to 7. */
export interface TraceData {
  readonly section: number;
  readonly title: string;
  readonly steps: readonly StepData[];
}

/** Section 2: the RSA key of the server's certificate in sections 3, 4, 5 and 7. */
export interface PrivateKeyData {
  readonly section: number;
  readonly title: string;
  /** Name to lower-case hexadecimal, big-endian. */
  readonly rsa: Readonly<Record<string, string>>;
}

interface Section {
  readonly number: number;
  readonly title: string;
  readonly lines: readonly string[];
}

/** Everything in the RFC's text that a computation can be checked against. */
export function extract(rfc: string): { readonly privateKeys: PrivateKeyData; readonly traces: readonly TraceData[] } {
  const found = sections(rfc);
  const section = (number: number): Section => {
    const match = found.find((candidate) => candidate.number === number);
    if (match === undefined) throw new Error(`section ${number} is missing`);
    return match;
  };
  return { privateKeys: privateKeys(section(2)), traces: [3, 4, 5, 6, 7].map((number) => trace(section(number))) };
}

/** The body's numbered sections without page breaks and blank lines. */
function sections(rfc: string): Section[] {
  const found: { number: number; title: string; lines: string[] }[] = [];
  for (const line of rfc.replaceAll("\f", "").split(/\r?\n/)) {
    if (line.trim() === "" || /^Thomson .*\[Page \d+\]$/.test(line) || /^RFC 8448 .* January 2019$/.test(line))
      continue;
    const heading = /^(\d+)\. {2}(\S.*)$/.exec(line);
    if (heading !== null) found.push({ number: Number(heading[1]), title: heading[2] as string, lines: [] });
    else found.at(-1)?.lines.push(line);
  }
  return found;
}

function privateKeys({ number, title, lines }: Section): PrivateKeyData {
  const rsa: Record<string, string> = {};
  let name: string | undefined;
  for (const line of lines) {
    const value = /^ {3}(\w+(?: \w+)?)(?: \(public\))?: {2}((?:[0-9a-f]{2} ?)+)$/.exec(line);
    const more = /^ {6}((?:[0-9a-f]{2} ?)+)$/.exec(line);
    if (value !== null) {
      name = value[1] as string;
      rsa[name] = digits(value[2] as string);
    } else if (more !== null && name !== undefined) {
      rsa[name] += digits(more[1] as string);
    } else if (name !== undefined) {
      throw new Error(`section ${number}: cannot read "${line}"`);
    }
  }
  return { section: number, title, rsa };
}

function trace({ number, title, lines }: Section): TraceData {
  const start = lines.findIndex((line) => line.startsWith("   {"));
  const blocks: string[][] = [];
  // A step begins at column 3; a value at column 6 with a name; what continues either has no name.
  for (const line of lines.slice(start)) {
    if (/^ {3}\{(client|server)\} {2}\S/.test(line) || /^ {6}[A-Za-z ]+(?: \(\d+ octets\))?:(?: |$)/.test(line)) {
      blocks.push([line.trim()]);
    } else if (/^ {6,9}\S/.test(line)) {
      blocks.at(-1)?.push(line.trim());
    } else {
      throw new Error(`section ${number}: cannot read "${line}"`);
    }
  }
  const steps: (StepData & { values: Record<string, string> })[] = [];
  for (const block of blocks) {
    const text = block.join(" ");
    const step = /^\{(client|server)\} {2}(.+?)(?: \(same as (.+)\))?:?$/.exec(text);
    if (step !== null) {
      const [, actor, action, sameAs] = step as unknown as [string, Actor, string, string | undefined];
      steps.push({ actor, action, ...(sameAs === undefined ? {} : { sameAs }), values: {} });
      continue;
    }
    const [name, hex] = value(text);
    const { values } = steps.at(-1) as (typeof steps)[number];
    if (name in values) throw new Error(`section ${number}: a second ${name}`);
    values[name] = hex;
  }
  for (const { action, sameAs, values } of steps) {
    if ((sameAs === undefined) !== Object.keys(values).length > 0)
      throw new Error(`section ${number}: values of "${action}"`);
  }
  return { section: number, title, steps };
}

/** `name (N octets):  hex`, with the count checked. */
function value(text: string): [name: string, hex: string] {
  if (text === "salt:  0 (all zero octets)") return ["salt", "0"];
  const match = /^([A-Za-z ]+) \((\d+) octets\): {1,2}(\(empty\)|[0-9a-f ]+)$/.exec(text);
  if (match === null) throw new Error(`cannot read "${text}"`);
  const [, name, octets, printed] = match as unknown as [string, string, string, string];
  const hex = printed === "(empty)" ? "" : digits(printed);
  if (hex.length !== 2 * Number(octets))
    throw new Error(`${name}: ${hex.length / 2} octets where ${octets} are announced`);
  return [name, hex];
}

function digits(printed: string): string {
  const hex = printed.trim();
  if (!/^[0-9a-f]{2}(?: [0-9a-f]{2})*$/.test(hex)) throw new Error(`not octets: "${printed}"`);
  return hex.replaceAll(" ", "");
}
