/** What the runner starts: as many connections as it asks for, with the settings it gives. */
import { TlsError } from "../../src/errors.ts";
import { rememberNothing } from "./configure.ts";
import { runConnection } from "./connection.ts";
import { parseFlags, Unimplemented } from "./flags.ts";

const UNIMPLEMENTED = 89;

async function main(argv: readonly string[]): Promise<number> {
  if (argv.includes("-is-handshaker-supported")) {
    console.log("No");
    return 0;
  }
  try {
    const { initial, resume, retry } = parseFlags(argv);
    const memory = rememberNothing();
    for (let index = 0; index <= (initial.resumeCount ?? 0); index++) {
      const settings = index === 0 ? initial : resume;
      await runConnection(settings, retry, memory, index > 0);
      memory.clockOffset += 1000 * (settings.resumptionDelay ?? 0);
    }
    return 0;
  } catch (error) {
    if (error instanceof Unimplemented) {
      console.error(`unimplemented: ${error.message}`);
      return UNIMPLEMENTED;
    }
    if (error instanceof TlsError) {
      const { code, message, alert, direction } = error;
      console.error(`${code}: ${message} [${direction ?? "no"} alert ${alert ?? "-"}]`);
    } else console.error(error);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
