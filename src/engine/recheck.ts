/** The peer of an open connection, judged again. */
import { fault } from "../errors.ts";
import { type Flow, settle } from "../flow.ts";
import type { HandshakeResult, PeerFacts } from "../handshake/config.ts";
import type { Connection } from "./connection.ts";

/**
 * Starts a clock for one verdict, since an engine has none of its own; a verdict that is not there when it calls `expire`
 * is a refusal.
 *
 * @returns Stops it.
 */
export type VerdictLimit = (expire: () => void) => () => void;

/**
 * One that does not hold ends the connection.
 *
 * @returns Whether it holds.
 * @throws TlsError `ERR_TLS_CLOSED` before and after the connection.
 */
export async function recheck(
  connection: Connection,
  judge: ((result: HandshakeResult) => Flow<PeerFacts>) | undefined,
  limit: VerdictLimit = () => () => {},
): Promise<boolean> {
  let stop = () => {};
  const late = new Promise<boolean>((resolve) => {
    stop = limit(() => {
      resolve(false);
      connection.fail(fault("ERR_TLS_CALLBACK_FAILED", "whether the peer still holds was not known in time"));
      connection.settle();
    });
  });
  try {
    return await Promise.race([verdict(connection, judge), late]);
  } finally {
    stop();
  }
}

async function verdict(
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
  if (connection.result?.peerCertificates !== result.peerCertificates) return verdict(connection, judge);
  if (facts === undefined) {
    connection.end(refusal);
    connection.settle();
    return false;
  }
  connection.identified(facts);
  return true;
}
