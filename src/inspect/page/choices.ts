/** What can be chosen on the page, and how a choice is written into the fragment of its address. */
import type { CipherSuiteName, NamedGroupName } from "../../codec/registry.ts";
import type { Side } from "../../errors.ts";
import type { IssuedKeyKind } from "../../pki/keys.ts";

/** A handshake to run. */
export interface Choices {
  readonly auth: "mutual" | "server";
  readonly group: NamedGroupName & ("x25519" | "secp256r1" | "X25519MLKEM768");
  /** `yes`: the client's first key share is for another group, so that the server asks again. */
  readonly retry: "no" | "yes";
  readonly suite: CipherSuiteName & (typeof SUITES)[number];
  /** Of both certificates and of their authority. */
  readonly key: IssuedKeyKind & ("P-256" | "P-384" | "Ed25519" | "RSA");
  readonly session: "full" | "resumed" | "early";
  /** Protocols the client offers, separated by commas; the server takes the first. */
  readonly alpn: string;
}

/** One byte that is changed on its way. */
export interface ByteChange {
  readonly from: Side;
  /** Which of its records, from 1. */
  readonly record: number;
  /** Counted from the record's first byte. */
  readonly offset: number;
  readonly value: number;
  /** `inside`: before protection, which is then made anew; `wire`: as it travels. */
  readonly where: "inside" | "wire";
}

/** A byte that is looked at. */
export interface Place {
  /** `c1`: the client's first record as it arrives. */
  readonly record: string;
  readonly offset: number;
}

/** Everything that the page shows follows from this. */
export interface PageState {
  readonly choices: Choices;
  /** Section of RFC 8448 in place of a handshake of its own. */
  readonly example: number | undefined;
  /** What is broken on purpose: a fault by its name, or a byte. */
  readonly fault: string | undefined;
  readonly byte: ByteChange | undefined;
  readonly at: Place | undefined;
}

const SUITES = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"] as const;

/** One question with its answers; the first one is the default. */
export interface Question<Name extends keyof Choices = keyof Choices> {
  readonly name: Name;
  readonly label: string;
  readonly answers: readonly (readonly [value: Choices[Name], label: string])[];
}

const question = <Name extends keyof Choices>(asked: Question<Name>): Question<Name> => asked;

/** Whatever is chosen from a list. */
export const QUESTIONS = [
  question({
    name: "auth",
    label: "Authentication",
    answers: [
      ["mutual", "mutual"],
      ["server", "server only"],
    ],
  }),
  question({
    name: "group",
    label: "Key exchange",
    answers: [
      ["x25519", "X25519"],
      ["secp256r1", "P-256"],
      ["X25519MLKEM768", "X25519MLKEM768"],
    ],
  }),
  question({
    name: "retry",
    label: "HelloRetryRequest",
    answers: [
      ["no", "not needed"],
      ["yes", "needed"],
    ],
  }),
  question({ name: "suite", label: "Cipher suite", answers: SUITES.map((name) => [name, name.slice(4)]) }),
  question({
    name: "key",
    label: "Certificates",
    answers: [
      ["P-256", "ECDSA P-256"],
      ["P-384", "ECDSA P-384"],
      ["Ed25519", "Ed25519"],
      ["RSA", "RSA 2048"],
    ],
  }),
  question({
    name: "session",
    label: "Session",
    answers: [
      ["full", "full handshake"],
      ["resumed", "resumed (PSK)"],
      ["early", "resumed, 0-RTT data"],
    ],
  }),
] as const;

export const DEFAULT_CHOICES: Choices = {
  auth: "mutual",
  group: "x25519",
  retry: "no",
  suite: "TLS_AES_128_GCM_SHA256",
  key: "P-256",
  session: "full",
  alpn: "",
};

/** The page as it opens. */
export const DEFAULT_STATE: PageState = {
  choices: DEFAULT_CHOICES,
  example: undefined,
  fault: undefined,
  byte: undefined,
  at: undefined,
};

/** Characters of the ALPN list that are kept. */
const MAX_ALPN = 1000;

/**
 * The state that a fragment stands for.
 *
 * @param fragment - With or without its `#`.
 * @returns What could not be understood by name: it is left at its default.
 */
export function readFragment(fragment: string): { readonly state: PageState; readonly ignored: readonly string[] } {
  const given = new URLSearchParams(fragment.replace(/^#/, ""));
  const ignored: string[] = [];
  const choices: Record<string, string> = { ...DEFAULT_CHOICES };
  const rest: { -readonly [Name in keyof PageState]?: PageState[Name] } = {};
  for (const [name, value] of given) {
    const asked = QUESTIONS.find((known) => known.name === name);
    if (asked?.answers.some(([answer]) => answer === value)) choices[name] = value;
    else if (name === "alpn" && value.length <= MAX_ALPN) choices.alpn = value;
    else if (name === "example" && /^[3-7]$/.test(value)) rest.example = Number(value);
    else if (name === "fault" && /^[a-z0-9-]{1,64}$/.test(value)) rest.fault = value;
    else if (name === "byte" && readByte(value) !== undefined) rest.byte = readByte(value);
    else if (name === "at" && readPlace(value) !== undefined) rest.at = readPlace(value);
    else ignored.push(name);
  }
  return { state: { ...DEFAULT_STATE, ...rest, choices: choices as unknown as Choices }, ignored };
}

/** The fragment of a state, `#` included; what is at its default is left out. */
export function writeFragment({ choices, example, fault, byte, at }: PageState): string {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(choices)) {
    if (value !== DEFAULT_CHOICES[name as keyof Choices]) parts.set(name, value);
  }
  if (example !== undefined) parts.set("example", String(example));
  if (fault !== undefined) parts.set("fault", fault);
  if (byte !== undefined) parts.set("byte", byteText(byte));
  if (at !== undefined) parts.set("at", `${at.record}.${at.offset}`);
  return `#${parts}`;
}

/** `s2.130.5a`, and with `.wire` at its end where the change comes after protection. */
function byteText({ from, record, offset, value, where }: ByteChange): string {
  const place = `${from.charAt(0)}${record}.${offset}.${value.toString(16).padStart(2, "0")}`;
  return where === "wire" ? `${place}.wire` : place;
}

function readByte(text: string): ByteChange | undefined {
  const match = /^([cs])([1-9]\d{0,3})\.(\d{1,5})\.([0-9a-f]{2})(\.wire)?$/.exec(text);
  if (match === null) return undefined;
  const [, side, record, offset, value, wire] = match as unknown as [string, string, string, string, string, string?];
  return {
    from: side === "c" ? "client" : "server",
    record: Number(record),
    offset: Number(offset),
    value: Number.parseInt(value, 16),
    where: wire === undefined ? "inside" : "wire",
  };
}

function readPlace(text: string): Place | undefined {
  const match = /^([cs][1-9]\d{0,3})\.(\d{1,5})$/.exec(text);
  return match === null ? undefined : { record: match[1] as string, offset: Number(match[2]) };
}

/** The protocols in a list separated by commas. */
export function protocolsOf(alpn: string): readonly string[] {
  return alpn
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}
