/** Whether a client believes a server's chain and name: at the first handshake, and before every resumption. */
import type { Flow } from "../flow.ts";
import type { PeerIdentity } from "../x509/identity.ts";
import type { ClientConfig } from "./config.ts";

/** @throws TlsError with a `rejection` where it does not. */
export function verifyServer(
  config: ClientConfig,
  certificates: readonly Uint8Array[],
  ocspResponse: Uint8Array | undefined,
): Flow<PeerIdentity> {
  return config.verifier.verify({
    certificates,
    ocspResponse,
    role: "server",
    name: config.checkName ? config.serverName : undefined,
    time: config.now(),
    provider: config.provider,
  });
}
