/** Handshakes against a live server: so many at a time, until their number or the time is up. */
import { percentile } from "./measure.ts";

/** What one connection came to. */
export interface Connection {
  /** ms until TCP was connected, looking up the name included. */
  readonly tcp: number;
  /** ms from then until this side had finished the handshake. */
  readonly handshake: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly resumed: boolean;
}

export interface LoadOptions {
  /** Connections altogether. */
  readonly count: number;
  /** Connections at a time. */
  readonly concurrency: number;
  /** ms after which no connection is begun; those under way come to their end. */
  readonly timeLimit: number;
  /** Ends it before its time. */
  readonly signal?: AbortSignal | undefined;
  /** What a failure is counted under. */
  readonly codeOf: (error: unknown) => string;
  /** ms since any fixed point. Default: `performance.now`. */
  readonly now?: (() => number) | undefined;
}

/** ms. */
export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** What the load came to. */
export interface LoadReport {
  /** Connections begun. */
  readonly attempts: number;
  /** Those that the server has accepted. */
  readonly completed: number;
  /** Those of them that went on from an earlier one. */
  readonly resumed: number;
  /** How many failed, by code. */
  readonly failed: Readonly<Record<string, number>>;
  /** ms. */
  readonly elapsed: number;
  /** Completed handshakes. */
  readonly perSecond: number;
  /** Of completed connections, like the rest; absent where there is none. */
  readonly tcp?: Percentiles | undefined;
  readonly handshake?: Percentiles | undefined;
  /** Bytes on the wire of a completed connection, on average. */
  readonly bytes?: { readonly sent: number; readonly received: number } | undefined;
  readonly stoppedBy: "count" | "time" | "signal";
  /** What the first failure was. */
  readonly firstFailure: unknown;
}

/**
 * Runs one connection after the other, some at a time.
 *
 * @param connect - One connection from beginning to end; what it throws is counted.
 * @example
 * ```ts
 * const connect = async () => ({ tcp: 1, handshake: 2, bytesSent: 800, bytesReceived: 900, resumed: false });
 * const { completed } = await runLoad(connect, { count: 5, concurrency: 2, timeLimit: 1000, codeOf: String });
 * console.log(completed); // 5
 * ```
 */
export async function runLoad(connect: () => Promise<Connection>, options: LoadOptions): Promise<LoadReport> {
  const { count, concurrency, timeLimit, signal, codeOf, now = () => performance.now() } = options;
  const began = now();
  const completed: Connection[] = [];
  const failed = new Map<string, number>();
  let attempts = 0;
  let firstFailure: unknown;
  const isOver = () => attempts >= count || now() - began >= timeLimit || signal?.aborted === true;
  const worker = async () => {
    while (!isOver()) {
      attempts++;
      try {
        completed.push(await connect());
      } catch (error) {
        // What is broken off because the user wants it is no failure of the server's.
        if (signal?.aborted) break;
        firstFailure ??= error;
        const code = codeOf(error);
        failed.set(code, (failed.get(code) ?? 0) + 1);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, worker));
  const elapsed = now() - began;
  const mean = (bytesOf: (connection: Connection) => number) =>
    completed.reduce((sum, connection) => sum + bytesOf(connection), 0) / completed.length;
  return {
    attempts,
    completed: completed.length,
    resumed: completed.filter(({ resumed }) => resumed).length,
    failed: Object.fromEntries(failed),
    elapsed,
    perSecond: (1000 * completed.length) / elapsed,
    ...(completed.length > 0 && {
      tcp: percentilesOf(completed.map(({ tcp }) => tcp)),
      handshake: percentilesOf(completed.map(({ handshake }) => handshake)),
      bytes: { sent: mean(({ bytesSent }) => bytesSent), received: mean(({ bytesReceived }) => bytesReceived) },
    }),
    stoppedBy: signal?.aborted ? "signal" : attempts >= count ? "count" : "time",
    firstFailure,
  };
}

function percentilesOf(values: readonly number[]): Percentiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (fraction: number) => percentile(sorted, fraction);
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
}
