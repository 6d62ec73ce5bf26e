/** Rules about requests: by method, path and host. */
import { parseAddress } from "../../x509/address.ts";
import { hostForm } from "../host.ts";
import { pathFault, readAlike } from "../target.ts";
import { allOf, type Condition } from "./condition.ts";
import { at, quoted, readObject, readSome, readString, wrong } from "./reading.ts";

/** A request as it is judged. */
export interface PolicyRequest {
  /** Case counts, RFC 9110 9.1. */
  readonly method: string;
  /** In its one form, see {@link readTarget}; without the query. */
  readonly path: string;
  /** Lower case, without port. */
  readonly host: string;
}

/** What a rule is about, in a document. All keys must fit, of each list one entry. */
export interface WhatDocument {
  /** `GET` does not imply `HEAD`. */
  readonly method?: string | readonly string[];
  /**
   * By segments: `*` is one, `**` any number of them, and stands once. `/a/**` is `/a`, `/a/` and all below; `/a` is not
   * `/a/`. Case counts; whether a character is percent-encoded does not.
   */
  readonly path?: string | readonly string[];
  /** A name or address without port, or `*.` and a name, for one label more. */
  readonly host?: string | readonly string[];
}

type Matches = (value: string) => boolean;

const KEYS: Readonly<
  Record<keyof WhatDocument, { check(text: string): string | undefined; matching(wanted: string): Matches }>
> = {
  method: {
    check: (text) => (/^[A-Z][A-Z0-9-]{0,31}$/.test(text) ? undefined : "is no method, in upper case"),
    matching: (wanted) => (method) => method === wanted,
  },
  path: { check: patternFault, matching: pathPattern },
  host: {
    check: hostFault,
    matching: (wanted) =>
      wanted.startsWith("*.")
        ? (host) => host.includes(".") && host.slice(host.indexOf(".")) === wanted.slice(1)
        : (host) => host === wanted,
  },
};

/** Reads `what`. */
export function readWhat(value: unknown, place: string): Condition<PolicyRequest> {
  const document = readObject(value, place, Object.keys(KEYS));
  const names = Object.keys(document) as (keyof WhatDocument)[];
  if (names.length === 0) throw wrong(place, "says nothing; leave it out for every request");
  return allOf(
    names.map((name) => {
      const { check, matching } = KEYS[name];
      const wanted = document[name];
      const tests = readSome(wanted, at(place, name), (entry, where) => matching(readString(entry, where, check)));
      return {
        holds: (request) => tests.some((matches) => matches(request[name])),
        why: (request) => `${name} is ${request[name]}, not ${quoted(wanted)}`,
      };
    }),
  );
}

function hostFault(pattern: string): string | undefined {
  const [, any = "", host = ""] = /^(\*\.)?(.*)$/s.exec(pattern) ?? [];
  const form = hostForm(host);
  if (form === undefined) return "is no host, or has a port";
  if (form !== host) return `is written ${any}${form}`;
  return any !== "" && parseAddress(host) !== undefined ? "has * before an address" : undefined;
}

function patternFault(pattern: string): string | undefined {
  if (!pattern.startsWith("/")) return "does not begin with /";
  const segments = pattern.slice(1).split("/");
  if (segments.filter((segment) => segment === "**").length > 1) return "has ** more than once";
  if (segments.some((segment) => segment.includes("*") && !/^\*{1,2}$/.test(segment))) {
    return "has * beside other characters: it stands for whole segments";
  }
  return pathFault(pattern);
}

function pathPattern(pattern: string): Matches {
  const wanted = pattern.slice(1).split("/");
  const rest = wanted.indexOf("**");
  const head = rest < 0 ? wanted : wanted.slice(0, rest);
  const tail = rest < 0 ? [] : wanted.slice(rest + 1);
  return (path) => {
    const segments = readAlike(path).slice(1).split("/");
    if (rest < 0 ? segments.length !== head.length : segments.length < head.length + tail.length) return false;
    const last = segments.length - tail.length;
    return (
      head.every((segment, index) => fits(segment, segments[index])) &&
      tail.every((segment, index) => fits(segment, segments[last + index]))
    );
  };
}

function fits(wanted: string, segment: string | undefined): boolean {
  return wanted === "*" ? segment !== "" : segment === readAlike(wanted);
}
