/** `mutls ca …`: its commands by name. */
import { TlsError } from "../../errors.ts";
import { CliError, exitStatus } from "../exit.ts";
import type { Command } from "../flags.ts";

const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  quick: async () => (await import("./quick.ts")).quickCommand,
  init: async () => (await import("./init.ts")).initCommand,
  issue: async () => (await import("./issue.ts")).issueCommand,
  csr: async () => (await import("./request.ts")).csrCommand,
  sign: async () => (await import("./request.ts")).signCommand,
  renew: async () => (await import("./issue.ts")).renewCommand,
  revoke: async () => (await import("./status.ts")).revokeCommand,
  crl: async () => (await import("./status.ts")).crlCommand,
  ocsp: async () => (await import("./status.ts")).ocspCommand,
  export: async () => (await import("./export.ts")).exportCommand,
  list: async () => (await import("./status.ts")).listCommand,
};

export const CA_COMMANDS: typeof COMMANDS = Object.fromEntries(
  Object.entries(COMMANDS).map(([name, load]) => [name, async () => plainly(await load())]),
);

/** A refusal is about what was asked for: alerts and codes, which name it for programs, say nothing to people here. */
function plainly(command: Command): Command {
  return {
    ...command,
    run: async (args) => {
      try {
        return await command.run(args);
      } catch (error) {
        if (!(error instanceof TlsError) || error.detail === undefined) throw error;
        const hint = /^ERR_TLS_(KEY|PASSPHRASE)$/.test(error.code)
          ? "--pass or MUTLS_CA_PASS opens an encrypted key"
          : undefined;
        throw new CliError(exitStatus(error, false), error.detail, hint);
      }
    },
  };
}
