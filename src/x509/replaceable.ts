/** A verifier whose place others take while connections run. */
import type { CertificateVerifier } from "./verifier.ts";

/** Made by {@link replaceableVerifier}. */
export interface ReplaceableVerifier extends CertificateVerifier {
  /** Begins at 0, and rises with each replacement, and with what changes inside the verifier in force, such as its CRLs. */
  readonly generation: number;
  /** From now on this one decides. Verdicts that are under way are given again before they count. */
  replace(verifier: CertificateVerifier): void;
}

/**
 * A verifier that hands everything on to the one in force: for servers whose `onClientHello` chooses whom to trust, one
 * for each choice. Contexts have one inside, see `replace` of {@link ClientContext} and {@link ServerContext}.
 *
 * @param first - In force until the first replacement.
 * @example
 * ```ts
 * const verifier = replaceableVerifier(trustVerifier({ trust: trustStore(ca) }));
 * const session = await connect(stream, { serverName: "localhost", verifier });
 * verifier.replace(trustVerifier({ trust: trustStore([]) }));
 * console.log(await session.recheck()); // false
 * ```
 */
export function replaceableVerifier(first: CertificateVerifier): ReplaceableVerifier {
  let inForce = first;
  let base = -(first.generation ?? 0);
  const generation = () => base + (inForce.generation ?? 0);
  return {
    get wantsStatus() {
      return inForce.wantsStatus;
    },
    get trust() {
      return inForce.trust;
    },
    get generation() {
      return generation();
    },
    verify: (request) => inForce.verify(request),
    replace(verifier) {
      base = generation() + 1 - (verifier.generation ?? 0);
      inForce = verifier;
    },
  };
}
