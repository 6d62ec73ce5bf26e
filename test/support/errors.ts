/** What a call throws. */
import { TlsError, type TlsErrorCode } from "../../src/errors.ts";

/** The code of the TlsError that `run` throws; `undefined` when it throws nothing. Anything else is thrown on. */
export function codeOf(run: () => unknown): TlsErrorCode | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof TlsError) return error.code;
    throw error;
  }
}
