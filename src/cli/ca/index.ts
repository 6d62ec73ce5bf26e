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

const OPENING = "--pass or MUTLS_CA_PASS opens an encrypted key";

/** What can be done about a refusal, by its code and what it is about. */
const HINTS: readonly (readonly [code: string, about: RegExp, hint: string])[] = [
  ["ERR_TLS_PASSPHRASE", /./, OPENING],
  ["ERR_TLS_KEY", /pass phrase/, OPENING],
  ["ERR_TLS_CA_STATE", /^there is no CA /, "mutls ca init makes one; --dir names the folder of one that is elsewhere"],
  ["ERR_TLS_CA_STATE", /^there is a CA /, "--dir names another folder"],
];

/** A refusal is about what was asked for: alerts and codes, which name it for programs, say nothing to people here. */
function plainly(command: Command): Command {
  return {
    ...command,
    run: async (args) => {
      try {
        return await command.run(args);
      } catch (error) {
        if (!(error instanceof TlsError) || error.detail === undefined) throw error;
        const { code, detail } = error;
        const hint = HINTS.find(([cause, about]) => cause === code && about.test(detail))?.[2];
        throw new CliError(exitStatus(error, false), detail, hint);
      }
    },
  };
}
