/**
 * Request targets (RFC 9112 3.2, RFC 3986): the one form in which they are judged is the form in which they are forwarded.
 * What servers behind might read in two ways is refused by a rule that has a name; nothing is guessed.
 */

/** A target as it is judged and forwarded. */
export interface Target {
  /** Starts with `/`; what need not be encoded is not, and what is, is in upper case. */
  readonly path: string;
  /** With its question mark; empty where there is none. Not judged. */
  readonly query: string;
  /** Host and port of an absolute target. */
  readonly authority: string | undefined;
}

/** Why a request is not even judged. */
export interface Refusal {
  readonly status: number;
  /** The name of the rule that it breaks. */
  readonly rule: string;
  /** For people. */
  readonly reason: string;
}

/** Octets of a target. */
const MAX_TARGET = 8192;

interface Rule {
  readonly name: string;
  readonly status?: number;
  readonly reason: string;
  breaks(text: string): boolean;
}

/** About the target as it came, in this order. */
const TARGET_RULES: readonly Rule[] = [
  { name: "target-length", status: 414, reason: "is too long", breaks: ({ length }) => length > MAX_TARGET },
  { name: "target-empty", reason: "is empty", breaks: (text) => text === "" },
  {
    name: "target-octets",
    reason: "has a control character, a space or an octet beyond ASCII",
    breaks: (text) => /[^\x21-\x7e]/.test(text),
  },
  { name: "target-fragment", reason: "has a fragment", breaks: (text) => text.includes("#") },
  {
    name: "target-form",
    reason: "is neither a path nor an absolute http or https URI",
    breaks: (text) => !text.startsWith("/") && !ABSOLUTE.test(text),
  },
  {
    name: "target-userinfo",
    reason: "names a user",
    breaks: (text) => !text.startsWith("/") && text.replace(ABSOLUTE, "$1").includes("@"),
  },
];

const ABSOLUTE = /^https?:\/\/([^/?]*)([^?]*)(\?.*)?$/i;

/** About the path as it came, in this order. */
const PATH_RULES: readonly Rule[] = [
  { name: "path-backslash", reason: "has a backslash", breaks: (path) => path.includes("\\") },
  { name: "path-parameters", reason: "has ;parameters", breaks: (path) => path.includes(";") },
  {
    name: "path-characters",
    reason: "has a character that must be percent-encoded",
    breaks: (path) => /[^A-Za-z0-9\-._~!$&'()*+,=:@/%]/.test(path),
  },
  {
    name: "path-encoding",
    reason: "has a % without two hexadecimal digits",
    breaks: (path) => /%(?![0-9A-Fa-f]{2})/.test(path),
  },
  {
    name: "path-encoded-control",
    reason: "has an encoded control character",
    breaks: (path) => /%(?:[01][0-9A-Fa-f]|7[Ff])/.test(path),
  },
  {
    name: "path-encoded-delimiter",
    reason: "has an encoded slash, backslash, semicolon, question mark or number sign",
    breaks: (path) => /%(?:2[Ff]|5[Cc]|3[BbFf]|23)/.test(path),
  },
  {
    name: "path-double-encoding",
    reason: "is percent-encoded twice",
    breaks: (path) => /%25(?:[0-9A-Fa-f]{2}|u)/i.test(normal(path)),
  },
  {
    name: "path-utf8",
    reason: "is not UTF-8 in its shortest form once it is decoded",
    breaks: (path) => decoded(path) === undefined,
  },
  { name: "path-empty-segment", reason: "has an empty segment", breaks: (path) => path.includes("//") },
  {
    name: "path-dot-segment",
    reason: "has a segment . or ..",
    breaks: (path) => /\/\.{1,2}(?=\/|$)/.test(normal(path)),
  },
  {
    name: "path-compatibility",
    reason: "has characters that some take for others: for dots, slashes, backslashes or semicolons",
    // What was there in ASCII has its own rules.
    breaks: (path) => /[./\\;%?#]/.test((decoded(path) ?? "").replace(/[\0-\x7f]/g, "").normalize("NFKC")),
  },
];

/** The target in its one form, or the rule that it breaks. */
export function readTarget(target: string): Target | Refusal {
  const refusal = broken(TARGET_RULES, target, "the request target");
  if (refusal !== undefined) return refusal;
  const absolute = ABSOLUTE.exec(target);
  const question = target.indexOf("?");
  const end = question < 0 ? target.length : question;
  const path = absolute === null ? target.slice(0, end) : absolute[2] || "/";
  return (
    broken(PATH_RULES, path, "the path") ?? {
      path: normal(path),
      query: absolute === null ? target.slice(end) : (absolute[3] ?? ""),
      authority: absolute?.[1],
    }
  );
}

/** The rule that a path breaks as others might read it; of a path in a policy too. */
export function pathFault(path: string): string | undefined {
  const refusal = broken(PATH_RULES, path, "the path");
  if (refusal !== undefined) return refusal.reason;
  const form = normal(path);
  return form === path ? undefined : `in its normal form that is ${form}`;
}

/**
 * A path as rules are held against it. RFC 3986 2.2 lets `@` and `%40` differ, and so both are forwarded as they are; but
 * servers that decode paths take them for the same, and so must a rule that denies.
 */
export function readAlike(path: string): string {
  return path.replace(/%(?:2[146-9A-C]|3[AD]|40)/g, decodeURIComponent);
}

export function isRefusal(read: object): read is Refusal {
  return "rule" in read;
}

function broken(rules: readonly Rule[], text: string, what: string): Refusal | undefined {
  const rule = rules.find(({ breaks }) => breaks(text));
  return rule && { status: rule.status ?? 400, rule: rule.name, reason: `${what} ${rule.reason}` };
}

/** RFC 3986 6.2.2: unreserved characters decoded, what stays encoded in upper case. */
function normal(path: string): string {
  return path.replace(/%([0-9A-Fa-f]{2})/g, (encoded, digits: string) => {
    const character = String.fromCharCode(Number.parseInt(digits, 16));
    return /[A-Za-z0-9\-._~]/.test(character) ? character : encoded.toUpperCase();
  });
}

function decoded(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    // Overlong, surrogates, truncated: no UTF-8 (RFC 3629 3).
    return undefined;
  }
}
