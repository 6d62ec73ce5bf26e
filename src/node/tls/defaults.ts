/** What node:tls has as variables of its module: assigned to the default export, they change here. */
import type { SecureVersion } from "node:tls";
import { SUITES } from "./names.ts";

export const defaults = {
  /** In Node's order of preference. */
  DEFAULT_CIPHERS: SUITES.join(":"),
  DEFAULT_ECDH_CURVE: "auto",
  DEFAULT_MAX_VERSION: "TLSv1.3" as SecureVersion,
  DEFAULT_MIN_VERSION: "TLSv1.3" as SecureVersion,
};
