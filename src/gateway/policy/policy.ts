/** Who may do what: a document of rules, compiled into decisions that explain themselves. */
import { fault } from "../../errors.ts";
import type { PeerIdentity } from "../../x509/identity.ts";
import type { Condition } from "./condition.ts";
import { parseJson } from "./json.ts";
import { at, quoted, readObject, readString, wrong } from "./reading.ts";
import { type PolicyRequest, readWhat, type WhatDocument } from "./what.ts";
import { type Client, readWho, type WhoDocument } from "./who.ts";

/** A policy as it is written. */
export interface PolicyDocument {
  /** Told with every decision: up to 128 printable ASCII characters. */
  readonly version: string;
  /** Their order does not matter: one that denies wins over all that allow, and what none allows is denied. */
  readonly rules: readonly RuleDocument[];
}

/** One rule. */
export interface RuleDocument {
  /** Its own: letters, digits, `.`, `_` and `-`. */
  readonly name: string;
  readonly effect: "allow" | "deny";
  readonly who: WhoDocument;
  /** Left out: every request. */
  readonly what?: WhatDocument;
  /** Given to clients that it allows; to be passed on. */
  readonly roles?: readonly string[];
}

/** What becomes of a request. */
export interface Decision {
  readonly allowed: boolean;
  /** The version of the policy that decided. */
  readonly policy: string;
  /** The rule that decided; `undefined` where none fits, and so the request is denied. */
  readonly rule: string | undefined;
  /** Of all rules that allow it, without repetition. Empty where it is denied. */
  readonly roles: readonly string[];
  /** For people: one line. */
  readonly reason: string;
  /** What each rule says, in the order of the document; put together when it is asked for. */
  readonly trail: readonly RuleVerdict[];
}

/** What one rule says. */
export interface RuleVerdict {
  readonly rule: string;
  readonly effect: "allow" | "deny";
  readonly fits: boolean;
  /** Why it does not fit; empty where it does. */
  readonly reason: string;
}

/** A compiled policy: a value that does not change. */
export interface Policy {
  readonly version: string;
  /** Names, in the order of the document. */
  readonly rules: readonly string[];
  /** What it was compiled from. */
  readonly document: PolicyDocument;
  /**
   * Judges one request.
   *
   * @param client - `undefined` where there is no certificate. What was not verified is nobody.
   */
  decide(client: PeerIdentity | undefined, request: PolicyRequest): Decision;
  /**
   * The last word of a handshake, for the option `authorize`: refuses clients to whom no request at all would be allowed.
   *
   * @throws TlsError `ERR_TLS_ACCESS_DENIED` with the reasons.
   */
  authorize(client: PeerIdentity | undefined): boolean;
}

interface Rule {
  readonly name: string;
  readonly effect: "allow" | "deny";
  readonly who: Condition<Client>;
  readonly what: Condition<PolicyRequest> | undefined;
  readonly roles: readonly string[];
}

const MAX_RULES = 1000;
const MAX_ROLES = 32;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/**
 * Compiles a policy.
 *
 * @param source - JSON, or what it stands for.
 * @throws TlsError `ERR_TLS_OPTION` that names the place of what is wrong: `rules[2].who.spiffe`, or line and column.
 * @example
 * ```ts
 * const policy = compilePolicy({
 *   version: "2",
 *   rules: [
 *     { name: "read", effect: "allow", who: "verified", what: { method: "GET", path: "/books/*" }, roles: ["reader"] },
 *     { name: "secret", effect: "deny", who: "anyone", what: { path: "/books/secret" } },
 *   ],
 * });
 * const { allowed, reason } = policy.decide(undefined, { method: "GET", path: "/books/1", host: "localhost" });
 * console.log(allowed); // false
 * console.log(reason); // no rule allows it: read: there is no certificate
 * ```
 */
export function compilePolicy(source: string | PolicyDocument): Policy {
  const root = readObject(typeof source === "string" ? parseJson(source) : source, "", ["version", "rules"]);
  const version = readString(root.version, "version", (text) =>
    /^[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?$/.test(text) ? undefined : "is not up to 128 ASCII characters",
  );
  const list = root.rules;
  if (!Array.isArray(list)) throw wrong("rules", `${quoted(list)} is not a list`);
  if (list.length > MAX_RULES) throw wrong("rules", `more than ${MAX_RULES} rules`);
  const rules = list.map((rule, index) => readRule(rule, `rules[${index}]`));
  const names = rules.map(({ name }) => name);
  const twice = names.findIndex((name, index) => names.indexOf(name) !== index);
  if (twice >= 0) throw wrong(`rules[${twice}].name`, `${quoted(names[twice])} is the name of another rule`);
  return {
    version,
    rules: names,
    // Later changes to what was given are none to the policy.
    document: structuredClone(root) as unknown as PolicyDocument,
    decide: (client, request) => decide(version, rules, client, request),
    authorize: (client) => authorize(rules, client),
  };
}

function readRule(value: unknown, place: string): Rule {
  const rule = readObject(value, place, ["name", "effect", "who", "what", "roles"]);
  const name = readString(rule.name, at(place, "name"), (text) =>
    NAME.test(text) ? undefined : "is not up to 64 letters, digits, dots, dashes and underscores",
  );
  const { effect } = rule;
  if (effect !== "allow" && effect !== "deny") {
    throw wrong(at(place, "effect"), `${quoted(effect)} is neither "allow" nor "deny"`);
  }
  if (rule.who === undefined) throw wrong(at(place, "who"), 'is missing; "anyone" are all clients');
  return {
    name,
    effect,
    who: readWho(rule.who, at(place, "who")),
    what: rule.what === undefined ? undefined : readWhat(rule.what, at(place, "what")),
    roles: readRoles(rule.roles, effect, at(place, "roles")),
  };
}

function readRoles(value: unknown, effect: Rule["effect"], place: string): readonly string[] {
  if (value === undefined) return [];
  if (effect === "deny") throw wrong(place, "a rule that denies gives no roles");
  if (!Array.isArray(value) || value.length > MAX_ROLES)
    throw wrong(place, `is not a list of up to ${MAX_ROLES} roles`);
  return value.map((role, index) =>
    readString(role, `${place}[${index}]`, (text) => (NAME.test(text) ? undefined : "is no name of a role")),
  );
}

function decide(version: string, rules: readonly Rule[], client: Client, request: PolicyRequest): Decision {
  const fitting = rules.filter(({ who, what }) => (what?.holds(request) ?? true) && who.holds(client));
  const denying = fitting.find(({ effect }) => effect === "deny");
  const deciding = denying ?? fitting[0];
  const allowed = denying === undefined && deciding !== undefined;
  return {
    allowed,
    policy: version,
    rule: deciding?.name,
    roles: allowed ? [...new Set(fitting.flatMap(({ roles }) => roles))] : [],
    get reason() {
      if (deciding !== undefined) return `rule ${deciding.name} ${deciding.effect === "deny" ? "denies" : "allows"} it`;
      return `no rule allows it${explained(this.trail.filter(({ effect }) => effect === "allow"))}`;
    },
    get trail() {
      return rules.map(({ name, effect, who, what }) => {
        const fits = (what?.holds(request) ?? true) && who.holds(client);
        const reasons = [
          ...(who.holds(client) ? [] : [who.why(client)]),
          ...(what === undefined || what.holds(request) ? [] : [what.why(request)]),
        ];
        return { rule: name, effect, fits, reason: reasons.join(", ") };
      });
    },
  };
}

/** Rules that an explanation in one line goes into. */
const MAX_EXPLAINED = 5;

function explained(verdicts: readonly { readonly rule: string; readonly reason: string }[]): string {
  if (verdicts.length === 0) return ": there is none that allows anything";
  const shown = verdicts.slice(0, MAX_EXPLAINED).map(({ rule, reason }) => `${rule}: ${reason}`);
  const more = verdicts.length - shown.length;
  return `: ${shown.join("; ")}${more > 0 ? `; and ${more} more` : ""}`;
}

function authorize(rules: readonly Rule[], client: Client): boolean {
  const denying = rules.find(({ effect, who, what }) => effect === "deny" && what === undefined && who.holds(client));
  const allowing = rules.filter(({ effect }) => effect === "allow");
  if (denying === undefined && allowing.some(({ who }) => who.holds(client))) return true;
  const name = client?.verified ? client.subject : "a client without a verified certificate";
  throw fault(
    "ERR_TLS_ACCESS_DENIED",
    denying === undefined
      ? `no rule allows ${name} anything${explained(allowing.map(({ name: rule, who }) => ({ rule, reason: who.why(client) })))}`
      : `rule ${denying.name} denies ${name} everything`,
  );
}
