/** The peer of an open connection, judged again. */
import { type Flow, settle } from "../flow.ts";
import type { HandshakeResult, PeerFacts } from "../handshake/config.ts";
import type { Connection } from "./connection.ts";

/**
 * One that does not hold ends the connection.
 *
 * @returns Whether it holds.
 * @throws TlsError `ERR_TLS_CLOSED` before and after the connection.
 */
export async function recheck(
  connection: Connection,
  judge: ((result: HandshakeResult) => Flow<PeerFacts>) | undefined,
): Promise<boolean> {
  const { result } = connection;
  if (result === undefined || connection.done || judge === undefined) throw connection.own("ERR_TLS_CLOSED");
  let facts: PeerFacts | undefined;
  let refusal: unknown;
  try {
    facts = await settle(judge(result));
  } catch (cause) {
    refusal = cause;
  }
  if (connection.done) return false;
  // Another certificate may have come while this one was looked at.
  if (connection.result?.peerCertificates !== result.peerCertificates) return recheck(connection, judge);
  if (facts === undefined) {
    connection.end(refusal);
    connection.settle();
    return false;
  }
  connection.identified(facts);
  return true;
}
