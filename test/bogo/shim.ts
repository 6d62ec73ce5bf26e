/** What the runner starts: as many connections as it asks for, with the settings it gives. */
import { appendFileSync } from "node:fs";
import { TlsError } from "../../src/errors.ts";
import { rememberNothing } from "./configure.ts";
import { runConnection } from "./connection.ts";
import { parseFlags, Unimplemented } from "./flags.ts";

const UNIMPLEMENTED = 89;

async function main(argv: readonly string[]): Promise<number> {
  try {
    const all = parseFlags(argv);
    const memory = rememberNothing();
    for (let index = 0; index <= (all.initial.resumeCount ?? 0); index++) {
      await runConnection(all, memory, index > 0);
      // And a millisecond, which the clock of a client that goes on has seen begin and not end.
      memory.clockOffset += 1 + 1000 * ((index === 0 ? all.initial : all.resume).resumptionDelay ?? 0);
    }
    return 0;
  } catch (error) {
    console.error(explained(error));
    if (!(error instanceof Unimplemented)) return 1;
    // For the table in README.md.
    const log = process.env.MUTLS_BOGO_UNIMPLEMENTED;
    if (log !== undefined) appendFileSync(log, `${error.message}\n`);
    return UNIMPLEMENTED;
  }
}

/** What config.json's ErrorMap looks into. */
function explained(error: unknown): string {
  if (!(error instanceof TlsError)) return String(error);
  const { code, message, alert, direction } = error;
  return `${code}: ${message} [${direction ?? "no"} alert ${alert ?? "-"}]`;
}

main(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});
