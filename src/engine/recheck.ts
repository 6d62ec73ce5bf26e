/** The peer of an open connection, or of one that has data before its handshake is done, judged again. */
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
 * @throws TlsError `ERR_TLS_CLOSED` where nobody is taken for anybody yet, and after the connection.
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
  const { result, standing } = connection;
  const begin = result === undefined ? standing : judge && (() => judge(result));
  if (begin === undefined || connection.done) throw connection.own("ERR_TLS_CLOSED");
  let facts: PeerFacts | undefined;
  let refusal: unknown;
  try {
    facts = await settle(begin());
  } catch (cause) {
    refusal = cause;
  }
  if (connection.done) return false;
  // Another certificate may have come while this one was looked at, or the handshake been done.
  if (connection.result?.peerCertificates !== result?.peerCertificates) return verdict(connection, judge);
  // What went out early is over: the handshake has yet to judge.
  if (connection.standing !== standing) return true;
  if (facts === undefined) {
    connection.inbound.dropEarlyData();
    connection.end(refusal);
    connection.settle();
    return false;
  }
  if (result !== undefined) connection.identified(facts);
  return true;
}
