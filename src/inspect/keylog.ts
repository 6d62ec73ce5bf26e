/** SSLKEYLOGFILE lines, RFC 9850: with them Wireshark can decrypt a capture, and so can anybody else. */
import { toHex } from "../bytes/hex.ts";
import type { Observer } from "../engine/observer.ts";

/**
 * An observer that turns secrets into SSLKEYLOGFILE lines.
 *
 * @param write - Gets each line with its `\n` as soon as the secret exists.
 * @example
 * ```ts
 * let keys = "";
 * const observer = keyLog((line) => {
 *   keys += line;
 * });
 * const context = clientContext({ provider: nobleProvider, clock: Date.now, serverName: "localhost", observer });
 * ```
 */
export function keyLog(write: (line: string) => void): Observer {
  return (observation) => {
    if (observation.kind !== "secret") return;
    const { label, clientRandom, secret } = observation;
    write(`${label} ${toHex(clientRandom)} ${toHex(secret)}\n`);
  };
}

/**
 * Several observers as one.
 *
 * @example
 * ```ts
 * const observer = combineObservers(
 *   keyLog((line) => process.stderr.write(line)),
 *   createTrace("client", (item) => process.stderr.write(`${item.kind}\n`)),
 * );
 * console.log(typeof observer); // function
 * ```
 */
export function combineObservers(...observers: readonly Observer[]): Observer {
  return (observation) => {
    for (const observer of observers) observer(observation);
  };
}
