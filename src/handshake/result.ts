/** The outcome of a handshake, with its secrets out of sight. */
import type { HandshakeResult, Negotiated, PeerFacts } from "./config.ts";

/** There for who names them, and not for who prints, serialises or spreads a result. */
const HIDDEN = ["exporterSecret", "resumptionSecret", "afterwards", "choice"] as const;

type Secrets = Pick<HandshakeResult, (typeof HIDDEN)[number]>;
type Own = Omit<HandshakeResult, keyof Negotiated | keyof PeerFacts | keyof Secrets>;

/** @param own - Becomes the result. */
export function handshakeResult(negotiated: Negotiated, peer: PeerFacts, own: Own, secrets: Secrets): HandshakeResult {
  // V8 takes fifty times as long for a literal in which more follows what is spread.
  const result = Object.assign(own as HandshakeResult, negotiated, peer);
  for (const name of HIDDEN) Object.defineProperty(result, name, { value: secrets[name] });
  return result;
}
