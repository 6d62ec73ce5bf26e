/** The outcome of a handshake, with its secrets out of sight. */
import type { HandshakeResult } from "./config.ts";

type Secrets = Pick<HandshakeResult, "exporterSecret" | "resumptionSecret" | "afterwards" | "choice">;

/** A result whose secrets are there for who names them, and not for who prints, serialises or spreads it. */
export function handshakeResult(facts: Omit<HandshakeResult, keyof Secrets>, secrets: Secrets): HandshakeResult {
  return Object.defineProperties({ ...facts } as HandshakeResult, {
    exporterSecret: { value: secrets.exporterSecret },
    resumptionSecret: { value: secrets.resumptionSecret },
    afterwards: { value: secrets.afterwards },
    choice: { value: secrets.choice },
  });
}
