/** `mutls ca …`: its commands by name. */
import type { Command } from "../flags.ts";

export const CA_COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  quick: async () => (await import("./quick.ts")).quickCommand,
  init: async () => (await import("./init.ts")).initCommand,
  issue: async () => (await import("./issue.ts")).issueCommand,
  csr: async () => (await import("./request.ts")).csrCommand,
  sign: async () => (await import("./request.ts")).signCommand,
  renew: async () => (await import("./issue.ts")).renewCommand,
  revoke: async () => (await import("./status.ts")).revokeCommand,
  crl: async () => (await import("./status.ts")).crlCommand,
  ocsp: async () => (await import("./status.ts")).ocspCommand,
  list: async () => (await import("./status.ts")).listCommand,
};
