/** Two engines in lock-step over memory: what one gives, the other gets, cut as the test wishes. */
import { concat } from "../../src/bytes/bytes.ts";
import type { EngineEvent, TlsEngine } from "../../src/engine/index.ts";

/** One end with everything it has said and read. */
export interface End {
  readonly engine: TlsEngine;
  readonly events: EngineEvent[];
  readonly received: Uint8Array[];
  /** What the engine had no room for yet. */
  backlog: Uint8Array;
}

/** How bytes travel: cut into pieces, changed, or dropped (`[]`). */
export type Wire = (bytes: Uint8Array) => readonly Uint8Array[];

export const whole: Wire = (bytes) => [bytes];
export const byteByByte: Wire = (bytes) => Array.from(bytes, (_, index) => bytes.subarray(index, index + 1));

/** Wraps an engine; its events and plaintext are collected. */
export function end(engine: TlsEngine): End {
  const self: End = { engine, events: [], received: [], backlog: new Uint8Array(0) };
  engine.listen((event) => self.events.push(event));
  engine.start();
  return self;
}

/** Moves bytes both ways until neither end has any more to give. True when anything moved. */
export function exchange(client: End, server: End, toServer: Wire = whole, toClient: Wire = whole): boolean {
  let moved = false;
  for (const to of [client, server]) deliver(to, new Uint8Array(0));
  for (;;) {
    const up = client.engine.takeOutput();
    const down = server.engine.takeOutput();
    if (up.length === 0 && down.length === 0) return moved;
    moved = true;
    for (const piece of up.length === 0 ? [] : toServer(up)) deliver(server, piece);
    for (const piece of down.length === 0 ? [] : toClient(down)) deliver(client, piece);
  }
}

/**
 * Exchanges until nothing moves even after asynchronous answers have come in.
 *
 * @param busy - True while answers are outstanding that take longer than some turns of the event loop.
 */
export async function exchangeLate(
  client: End,
  server: End,
  toServer: Wire = whole,
  toClient: Wire = whole,
  busy: () => boolean = () => false,
): Promise<void> {
  const seen = () => client.received.length + server.received.length;
  const late = () => client.engine.busy || server.engine.busy;
  // What is under way gets long enough even on a busy machine; what never answers does not hang a test.
  const deadline = performance.now() + 10_000;
  for (let idle = 0; idle < 20 && performance.now() < deadline; ) {
    const before = seen();
    const moved = exchange(client, server, toServer, toClient) || seen() > before;
    idle = moved || busy() || late() ? 0 : idle + 1;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Gives an end bytes and takes what plaintext comes of it. */
export function deliver(to: End, bytes: Uint8Array): void {
  let rest = to.backlog.length === 0 ? bytes : concat(to.backlog, bytes);
  drain(to);
  while (rest.length > 0) {
    const taken = to.engine.receive(rest);
    drain(to);
    // Full of records that are still in decryption: later.
    if (taken === 0) break;
    rest = rest.subarray(taken);
  }
  to.backlog = rest.slice();
}

function drain(to: End): void {
  for (let chunk = to.engine.read(); chunk !== undefined; chunk = to.engine.read()) to.received.push(chunk);
}

/** The error that ended this side, if one did. */
export function failure(
  of: End,
): { code: string; alert: string | undefined; direction: string | undefined; stage: string | undefined } | undefined {
  const { error } = of.engine;
  return error && { code: error.code, alert: error.alert, direction: error.direction, stage: error.stage };
}

export function failures(of: End): number {
  return of.events.filter(({ type }) => type === "failed").length;
}
