/** JSON (RFC 8259) as a policy is written in it: with the line of what is wrong, and no key twice in one object. */
import { wrong } from "./reading.ts";

/** Characters of a document. */
const MAX_TEXT = 0x100000;
/** Objects and lists inside each other. */
const MAX_DEPTH = 16;

const SPACE = /[ \t\n\r]*/y;
const SCALAR =
  /"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/uy;

/**
 * The value of a JSON text. JSON.parse neither says where in a text it stopped, nor minds a key that is there twice, of
 * which it believes the last.
 *
 * @throws TlsError `ERR_TLS_OPTION` naming line and column.
 */
export function parseJson(text: string): unknown {
  if (text.length > MAX_TEXT) throw wrong("document", `more than ${MAX_TEXT} characters`);
  const input = new Input(text.replace(/^\ufeff/, ""));
  const value = readValue(input, 0);
  if (!input.isOver) throw input.wrong("something behind the end of the document");
  return value;
}

class Input {
  readonly #text: string;
  #position = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isOver(): boolean {
    this.#match(SPACE);
    return this.#position === this.#text.length;
  }

  /** The next of these characters; anything else is wrong. */
  one(expected: string): string {
    const found = this.peek();
    if (found === "" || !expected.includes(found)) {
      const names = [...expected].join(" or ");
      throw this.wrong(found === "" ? `the end, where ${names} should be` : `${found} where ${names} should be`);
    }
    this.#position++;
    return found;
  }

  peek(): string {
    this.#match(SPACE);
    return this.#text.charAt(this.#position);
  }

  scalar(): unknown {
    const begun = this.peek();
    const token = this.#match(SCALAR);
    if (token === "") throw this.wrong(begun === "" ? "the end, where a value should be" : `no value: ${begun}`);
    return JSON.parse(token);
  }

  get position(): number {
    return this.#position;
  }

  wrong(what: string, position = this.#position): Error {
    const before = this.#text.slice(0, position).split("\n");
    const column = (before[before.length - 1] as string).length + 1;
    return wrong(`line ${before.length}, column ${column}`, what);
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#position;
    const token = pattern.exec(this.#text)?.[0] ?? "";
    this.#position += token.length;
    return token;
  }
}

function readValue(input: Input, depth: number): unknown {
  const next = input.peek();
  if (next !== "{" && next !== "[") return input.scalar();
  if (depth >= MAX_DEPTH) throw input.wrong(`more than ${MAX_DEPTH} objects and lists inside each other`);
  input.one(next);
  return next === "{" ? readMembers(input, depth) : readEntries(input, depth);
}

function readMembers(input: Input, depth: number): object {
  const members = new Map<string, unknown>();
  if (input.peek() === "}") input.one("}");
  else {
    do {
      if (input.peek() !== '"') input.one('"');
      const { position } = input;
      const key = input.scalar() as string;
      if (members.has(key)) throw input.wrong("a key that is there twice", position);
      input.one(":");
      members.set(key, readValue(input, depth + 1));
    } while (input.one(",}") === ",");
  }
  // Also `__proto__` is a key like others then.
  return Object.fromEntries(members);
}

function readEntries(input: Input, depth: number): unknown[] {
  const entries: unknown[] = [];
  if (input.peek() === "]") {
    input.one("]");
    return entries;
  }
  do entries.push(readValue(input, depth + 1));
  while (input.one(",]") === ",");
  return entries;
}
