/** From a target to a TCP connection: what is resolved is what is judged, and what is judged is connected to. */
import { lookup } from "node:dns/promises";
import { connect, type Socket } from "node:net";
import { addressOf } from "./addresses.ts";
import type { AllowList, RelayTarget } from "./allow.ts";

/** Finds the addresses of a name. */
export type RelayResolver = (host: string) => Promise<readonly string[]>;

/** Why a relay ends a connection: a close code, RFC 6455 7.4.2, and what the client is told. */
export class RelayEnd extends Error {
  readonly closeCode: number;

  constructor(closeCode: number, reason: string) {
    super(reason);
    this.closeCode = closeCode;
  }
}

/** The close codes that a relay has of its own; README's table. */
export const RelayCode = {
  goingAway: 1001,
  notAllowed: 4403,
  notFound: 4404,
  idle: 4408,
  tooLong: 4410,
  unreachable: 4502,
  timeout: 4504,
} as const;

/** Addresses that are tried. */
const MAX_ADDRESSES = 8;

export const systemResolver: RelayResolver = async (host) =>
  (await lookup(host, { all: true, verbatim: true })).map(({ address }) => address);

/**
 * Connects to the first address that answers.
 *
 * @param dialing - Told of each address as it is tried.
 * @throws RelayEnd; what `signal` is aborted with.
 */
export async function dial(
  target: RelayTarget,
  allow: AllowList,
  resolve: RelayResolver,
  signal: AbortSignal,
  dialing: (address: string) => void,
): Promise<Socket> {
  const { host, port } = target;
  const where = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  if (!allow.allows(target)) throw new RelayEnd(RelayCode.notAllowed, `${where} is not allowed`);
  const found = addressOf(host) === undefined ? await resolved(host, resolve, signal) : [host];
  const addresses = found.filter((text) => {
    const address = addressOf(text);
    return address !== undefined && allow.leadsTo(address, target);
  });
  if (addresses.length === 0) throw new RelayEnd(RelayCode.notAllowed, `${host} has no address that is allowed`);
  let last: unknown;
  for (const address of addresses.slice(0, MAX_ADDRESSES)) {
    dialing(address);
    try {
      return await open(address, port, signal);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      last = error;
    }
  }
  const { code = "no connection" } = last as NodeJS.ErrnoException;
  throw new RelayEnd(RelayCode.unreachable, `${where}: ${code}`);
}

async function resolved(host: string, resolve: RelayResolver, signal: AbortSignal): Promise<readonly string[]> {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  aborted.catch(() => {});
  try {
    return await Promise.race([resolve(host), aborted]);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const { code = "not found" } = error as NodeJS.ErrnoException;
    throw new RelayEnd(RelayCode.notFound, `${host}: ${code}`);
  }
}

function open(address: string, port: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const socket = connect({ host: address, port, allowHalfOpen: true });
    const onAbort = () => socket.destroy(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const settle = () => signal.removeEventListener("abort", onAbort);
    socket.once("error", (error) => {
      settle();
      reject(error);
    });
    socket.once("connect", () => {
      settle();
      socket.removeAllListeners("error");
      resolve(socket);
    });
  });
}
