/** Everything that a client can do beyond a mutual handshake. */
import type { ClientFeature } from "../client-options.ts";
import { compressedCertificates } from "./compression.ts";
import { greasing } from "./greasing.ts";
import { postHandshakeAuthentication } from "./post-handshake.ts";
import { preSharedKeys } from "./pre-shared-keys.ts";
import { recordLimits } from "./record-limits.ts";

/** All of it: what every entry point but the lean one gives its clients. */
export const everyFeature: readonly ClientFeature[] = [
  preSharedKeys,
  postHandshakeAuthentication,
  compressedCertificates,
  recordLimits,
  greasing,
];
