/** The peer of an open connection, judged again. */
import { type Awaitable, type Flow, isPromiseLike, settle } from "../flow.ts";
import type { HandshakeResult, PeerFacts } from "../handshake/config.ts";
import type { Connection } from "./connection.ts";

/**
 * One that does not hold ends the connection.
 *
 * @returns Whether it holds. Where verification is synchronous, all is done when this returns.
 * @throws TlsError `ERR_TLS_CLOSED` before and after the connection.
 */
export function recheck(
  connection: Connection,
  judge: ((result: HandshakeResult) => Flow<PeerFacts>) | undefined,
): Promise<boolean> {
  const { result } = connection;
  if (result === undefined || connection.done || judge === undefined) throw connection.own("ERR_TLS_CLOSED");
  // Another certificate may have come while this one was looked at.
  const isPast = () => connection.result?.peerCertificates !== result.peerCertificates;
  const judged = (facts: PeerFacts): Awaitable<boolean> => {
    if (connection.done) return false;
    if (isPast()) return recheck(connection, judge);
    connection.identified(facts);
    return true;
  };
  const refused = (cause: unknown): Awaitable<boolean> => {
    if (connection.done) return false;
    if (isPast()) return recheck(connection, judge);
    connection.end(cause);
    connection.settle();
    return false;
  };
  let verdict: Awaitable<PeerFacts>;
  try {
    verdict = settle(judge(result));
  } catch (cause) {
    return Promise.resolve(refused(cause));
  }
  return isPromiseLike(verdict) ? Promise.resolve(verdict).then(judged, refused) : Promise.resolve(judged(verdict));
}
