/** The verifier that a chain of the tables is meant for. */
import { pinnedVerifier } from "../../src/x509/pins.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { type CertificateVerifier, trustVerifier } from "../../src/x509/verifier.ts";
import type { Chain } from "./cases.ts";

export function verifierOf({ trusted, options, pins }: Chain): CertificateVerifier {
  const verifier = trustVerifier({ trust: trustStore(trusted.map(({ der }) => der)), ...options });
  return pins === undefined ? verifier : pinnedVerifier(verifier, { pins });
}
