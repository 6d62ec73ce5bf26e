/** `--sess-in`, `--sess-out` and `--early-data` of `mutls connect`: a session cache that is two files. */
import { closeSync, fchmodSync, fstatSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { TlsError } from "../errors.ts";
import { isFresh } from "../handshake/session.ts";
import { decodeSession, encodeSession, type Session, type SessionCache, type TlsSession } from "../node/index.ts";
import { parseAddress } from "../x509/address.ts";
import { referenceName } from "../x509/names.ts";
import { CliError, ExitStatus, usage } from "./exit.ts";
import type { Arguments, Flag } from "./flags.ts";

export const SESSION_FLAGS: readonly Flag[] = [
  {
    name: "sess-out",
    value: "FILE",
    help: "keep the session of the last ticket that comes; who has the file can speak as you, so only you may read it",
  },
  { name: "sess-in", value: "FILE", help: "resume this session, as whoever made it" },
  {
    name: "early-data",
    value: "FILE",
    help: "with --sess-in: send FILE with the ClientHello, before stdin; anybody may replay it (RFC 8446 2.3)",
  },
];

/** What the three flags ask for, and what became of it. */
export interface SessionFiles {
  /** `undefined`: no resumption is wanted. */
  readonly cache: SessionCache | undefined;
  readonly earlyData: Uint8Array | undefined;
  /** What came of `--sess-in` and `--early-data`, for people. */
  established(session: TlsSession): readonly string[];
  /** What came of `--sess-out`; the write that failed is thrown. */
  ended(): readonly string[];
}

/**
 * Reads what there is to read.
 *
 * @throws CliError with status 26 for files that cannot be read or hold no session, 2 for flags that do not go together.
 */
export function sessionFiles(args: Arguments, serverName: string): SessionFiles {
  const [input, output, early] = ["sess-in", "sess-out", "early-data"].map((name) => args.get(name));
  if (early !== undefined && input === undefined) {
    throw usage("--early-data needs --sess-in: it is sent under the key of an earlier session", KEEP_HINT);
  }
  const kept = input === undefined ? undefined : readSession(input);
  const earlyData = early === undefined ? undefined : read(early, "early data");
  if (earlyData?.length === 0) throw usage(`--early-data: ${early} is empty`);
  const unfit = kept && unfitFor(kept, serverName);
  let written = false;
  let failure: CliError | undefined;
  const cache: SessionCache = {
    take: () => kept,
    put: (_scope, session) => {
      if (output === undefined) return;
      try {
        write(output, encodeSession(session));
        written = true;
      } catch (error) {
        failure = new CliError(ExitStatus.write, `cannot write the session: ${(error as Error).message}`);
      }
    },
  };
  return {
    cache: input === undefined && output === undefined ? undefined : cache,
    earlyData,
    established: (session) => [
      ...(kept === undefined || session.resumed
        ? []
        : [`the session in ${input} was not resumed: ${unfit ?? "the server did not go on with it, or may not"}`]),
      ...(kept === undefined || earlyData === undefined ? [] : [earlyDataLine(session, kept, earlyData)]),
    ],
    ended: () => {
      if (failure !== undefined) throw failure;
      return output === undefined || written ? [] : [`no ticket has come: ${output} is not written`];
    },
  };
}

const KEEP_HINT = "keep one with --sess-out FILE first";

function readSession(file: string): Session {
  const bytes = read(file, "session");
  try {
    return decodeSession(bytes);
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    throw new CliError(ExitStatus.read, `${file} holds no session of mutls: ${error.message}`, KEEP_HINT);
  }
}

/** What can be known before the server is asked. */
function unfitFor(session: Session, serverName: string): string | undefined {
  if (!isFresh(session, Date.now())) return "it has expired";
  const name = parseAddress(serverName) === undefined ? referenceName(serverName).text : serverName;
  return session.serverName === name ? undefined : `it is for ${session.serverName ?? "a server without name"}`;
}

function earlyDataLine({ earlyData }: TlsSession, { maxEarlyData }: Session, { length }: Uint8Array): string {
  const size = `${length} bytes`;
  switch (earlyData) {
    case "accepted":
      return `early data: the server has accepted ${size}`;
    case "rejected":
      return `early data: the server has rejected ${size}; they are sent again after the handshake`;
    case undefined: {
      const why = length > maxEarlyData ? `the session allows ${maxEarlyData} bytes` : "the session could not be used";
      return `early data: ${why}; ${size} are sent after the handshake`;
    }
  }
}

function read(file: string, what: string): Uint8Array {
  try {
    return new Uint8Array(readFileSync(file));
  } catch (error) {
    throw new CliError(ExitStatus.read, `cannot read the ${what}: ${(error as Error).message}`);
  }
}

/** For its owner only, also where the file was there before. */
function write(file: string, bytes: Uint8Array): void {
  const descriptor = openSync(file, "w", 0o600);
  try {
    if (fstatSync(descriptor).isFile()) fchmodSync(descriptor, 0o600);
    writeFileSync(descriptor, bytes);
  } finally {
    closeSync(descriptor);
  }
}
