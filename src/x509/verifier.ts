/** What the handshake asks: is this chain to be trusted, and who is it? */
import type { CryptoProvider } from "../crypto/provider.ts";
import type { Flow } from "../flow.ts";
import type { PeerIdentity } from "./identity.ts";

/** A certificate chain as the peer sent it, and what it is wanted for. */
export interface VerifyRequest {
  /** DER, the end entity's first, as received. */
  readonly certificates: readonly Uint8Array[];
  /** Whose certificate this is. */
  readonly role: "server" | "client";
  /** Host name or IP address wanted; `undefined`: no name check asked for. */
  readonly name: string | undefined;
  /** ms since the epoch. */
  readonly time: number;
  readonly provider: CryptoProvider;
}

/** Decides about peers' certificates. A flow, so that it is synchronous where the provider is. */
export interface CertificateVerifier {
  /**
   * @throws TlsError with a `rejection` when the chain is not to be trusted.
   */
  verify(request: VerifyRequest): Flow<PeerIdentity>;
}
