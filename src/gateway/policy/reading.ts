/** Values out of a JSON document, each with its place in it, so that what is wrong is named where it stands. */
import { fault, type TlsError } from "../../errors.ts";

/** Entries of one list. */
const MAX_ENTRIES = 1000;
/** Characters of one string. */
const MAX_STRING = 2048;
/** Characters of a value that is quoted in an error. */
const MAX_QUOTED = 60;

/** The error for what is wrong at one place. */
export function wrong(place: string, what: string): TlsError {
  return fault("ERR_TLS_OPTION", `policy: ${place}: ${what}`);
}

/** A value as an error quotes it. */
export function quoted(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text;
}

/** An object with these keys and no others. */
export function readObject(value: unknown, place: string, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrong(place, `${quoted(value)} is not an object`);
  }
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) throw wrong(at(place, unknown), `there is no such key; there are ${known.join(", ")}`);
  return value as Readonly<Record<string, unknown>>;
}

/** A string that is not empty and of which `check` knows no wrong. */
export function readString(value: unknown, place: string, check: (text: string) => string | undefined): string {
  if (typeof value !== "string") throw wrong(place, `${quoted(value)} is not a string`);
  if (value === "") throw wrong(place, "is empty");
  if (value.length > MAX_STRING) throw wrong(place, `is longer than ${MAX_STRING} characters`);
  const fault = check(value);
  if (fault !== undefined) throw wrong(place, `${quoted(value)}: ${fault}`);
  return value;
}

/** One value, or a list of some: each read by `read`. */
export function readSome<T>(value: unknown, place: string, read: (value: unknown, place: string) => T): readonly T[] {
  if (!Array.isArray(value)) return [read(value, place)];
  if (value.length === 0) throw wrong(place, "an empty list: nothing would ever match");
  if (value.length > MAX_ENTRIES) throw wrong(place, `more than ${MAX_ENTRIES} entries`);
  return value.map((entry, index) => read(entry, `${place}[${index}]`));
}

/** The place of a key in an object. */
export function at(place: string, key: string): string {
  const name = /^[A-Za-z_]\w*$/.test(key) ? key : quoted(key);
  return place === "" ? name : `${place}.${name}`;
}
