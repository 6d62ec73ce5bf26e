/** What one client may take up, and for how long. */
import { within } from "../../engine/within.ts";
import { fault } from "../../errors.ts";

/** Bounds of a gateway; times in ms. */
export interface GatewayLimits {
  /** Connections at a time; what comes beyond is closed at once. Default 1024. */
  readonly connections: number;
  /** For a handshake. Default 10000. */
  readonly handshakeTime: number;
  /** For a request's head, from its first byte, or from the handshake for the first one. Default 10000. */
  readonly headTime: number;
  /** Octets of a request's head. Default 16384. */
  readonly headSize: number;
  /** Without a byte of a request's body while one is awaited. Default 15000. */
  readonly bodyIdleTime: number;
  /** Octets of a request's body; 0: any. Default 0. */
  readonly bodySize: number;
  /** Without a byte either way on a connection with a request under way, and of a tunnel. Default 120000. */
  readonly idleTime: number;
  /** Between requests. Default 15000. */
  readonly keepAliveTime: number;
  /** Until the server behind has a connection for a request. Default 5000. */
  readonly connectTime: number;
  /** Until the server behind begins to answer, once it has all of the request. Default 60000. */
  readonly responseTime: number;
  /** Requests that a client may send ahead of their answers on one connection. Default 16. */
  readonly pipelined: number;
  /** Connections to the server behind. Default 256. */
  readonly upstreamConnections: number;
  /** Between looks at whether a client's certificate still holds; 0: at each change alone. Default 60000. */
  readonly recheckTime: number;
  /** Of one connection, whatever it does; 0: any. Default 0. */
  readonly lifetime: number;
}

const MAX_TIME = 0x7fffffff;

/** Least, most, default. */
const BOUNDS: { readonly [K in keyof GatewayLimits]: readonly [number, number, number] } = {
  connections: [1, 1_000_000, 1024],
  handshakeTime: [1, MAX_TIME, 10_000],
  headTime: [1, MAX_TIME, 10_000],
  headSize: [1024, 1_048_576, 16_384],
  bodyIdleTime: [1, MAX_TIME, 15_000],
  bodySize: [0, Number.MAX_SAFE_INTEGER, 0],
  idleTime: [1, MAX_TIME, 120_000],
  keepAliveTime: [1, MAX_TIME, 15_000],
  connectTime: [1, MAX_TIME, 5_000],
  responseTime: [1, MAX_TIME, 60_000],
  pipelined: [1, 10_000, 16],
  upstreamConnections: [1, 65_535, 256],
  recheckTime: [0, MAX_TIME, 60_000],
  lifetime: [0, MAX_TIME, 0],
};

/** @throws TlsError `ERR_TLS_OPTION` for what is no limit, or out of range. */
export function resolveGatewayLimits(given: Partial<GatewayLimits> = {}): GatewayLimits {
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(BOUNDS, name));
  if (unknown !== undefined) throw fault("ERR_TLS_OPTION", `there is no limit "${unknown}"`);
  const names = Object.keys(BOUNDS) as (keyof GatewayLimits)[];
  return Object.fromEntries(
    names.map((name) => [name, within(given[name], ...BOUNDS[name], `limits.${name}`)]),
  ) as unknown as GatewayLimits;
}
