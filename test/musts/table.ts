/** How a MUST of RFC 8446 is accounted for. */

/** Test files by the short names that the tables use. */
export const FILES = {
  attachments: "handshake/attachments.test.ts",
  chains: "x509/rejected.ts",
  authentication: "handshake/authentication.test.ts",
  client: "handshake/client-flight.test.ts",
  compression: "handshake/compression.test.ts",
  extensions: "codec/extensions.test.ts",
  finite: "handshake/optional.test.ts",
  framing: "record/framing.test.ts",
  grease: "handshake/grease.test.ts",
  keys: "engine/resumption-ends.test.ts",
  later: "handshake/post-handshake.test.ts",
  lifecycle: "engine/lifecycle.test.ts",
  limits: "record/limits.test.ts",
  psk: "handshake/psk.test.ts",
  refusals: "refusals/refusals.ts",
  resumption: "engine/resumption.test.ts",
  rfc9846: "handshake/rfc9846.test.ts",
  rogue: "handshake/rogue.test.ts",
  server: "handshake/server-flight.test.ts",
  signatures: "crypto/signatures.test.ts",
  states: "handshake/state-table.test.ts",
  suite: "engine/suite.test.ts",
  vectors: "vectors/replay.test.ts",
  violations: "musts/violations.test.ts",
  wipe: "engine/wipe.test.ts",
} as const;

export type File = keyof typeof FILES;
/** A file and the words of a test in it. */
export type TestName = `${File}: ${string}`;

/** Who may break it, towards this library as the other side. */
export type Offender = "client" | "server" | "either";

export interface Must {
  readonly section: string;
  /** Enough of the sentence to know it by. */
  readonly words: string;
  readonly offender: Offender | undefined;
  readonly tests: readonly TestName[];
  /** Why no test breaks it. */
  readonly why: string | undefined;
}

type Row = (section: string) => Must;

/** A peer can break it, and these tests do. */
export const broken =
  (offender: Offender, words: string, ...tests: readonly [TestName, ...TestName[]]): Row =>
  (section) => ({ section, words, offender, tests, why: undefined });

/** It binds this side alone; these tests see it kept. */
export const kept =
  (words: string, ...tests: readonly [TestName, ...TestName[]]): Row =>
  (section) => ({ section, words, offender: undefined, tests, why: "this side's own, seen to be kept" });

/** No test breaks it, and this is why. */
export const none =
  (words: string, why: string): Row =>
  (section) => ({ section, words, offender: undefined, tests: [], why });

export const section = (name: string, ...rows: readonly Row[]): Must[] => rows.map((row) => row(name));

export const OLDER = "earlier versions of TLS, which this library does not speak";
export const UNSEEN = "a peer's breach cannot be seen from outside it";
export const OTHERS = "binds applications, middleboxes or later specifications";
export const ABSENT = "a feature this library does not have";
