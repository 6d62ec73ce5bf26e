/** JSON as a policy is written in it: with the line of what is wrong, and no key twice. */
import { wrong } from "./reading.ts";

/** Characters of a document. */
const MAX_TEXT = 0x100000;

/**
 * The value of a JSON text. A key that an object has twice would be read by the last one alone, and is refused.
 *
 * @throws TlsError `ERR_TLS_OPTION` naming line and column.
 */
export function parseJson(text: string): unknown {
  if (text.length > MAX_TEXT) throw wrong("document", `more than ${MAX_TEXT} characters`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const { message } = error as Error;
    const position = /position (\d+)/.exec(message)?.[1];
    throw wrong(position === undefined ? "document" : place(text, Number(position)), message);
  }
  assertUnique(text);
  return value;
}

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g;

/** @param text - Which is JSON. */
function assertUnique(text: string): void {
  const open: (Set<string> | undefined)[] = [];
  let isKey = false;
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (token === "{" || token === "[") open.push(token === "{" ? new Set() : undefined);
    else if (token === "}" || token === "]") open.pop();
    const keys = open[open.length - 1];
    if (token[0] === '"' && isKey && keys !== undefined) {
      const key = JSON.parse(token) as string;
      if (keys.has(key)) throw wrong(place(text, index), `the key ${token} is there twice`);
      keys.add(key);
    }
    isKey = keys !== undefined && (token === "{" || token === ",");
  }
}

function place(text: string, position: number): string {
  const before = text.slice(0, position).split("\n");
  return `line ${before.length}, column ${(before[before.length - 1] as string).length + 1}`;
}
