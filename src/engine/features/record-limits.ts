/** Limits on the length of records, a client's feature and a server's option. */
import { fault } from "../../errors.ts";
import {
  clientLimits,
  FRAGMENT_LENGTHS,
  MAX_RECORD_SIZE_LIMIT,
  MIN_RECORD_SIZE_LIMIT,
} from "../../handshake/record-limits.ts";
import type { ClientFeature } from "../client-options.ts";
import { within } from "../within.ts";

/**
 * Limits on the length of records (RFC 8449, RFC 6066 4), for a client's `features`: the options `recordSizeLimit` and
 * `maxFragmentLength`.
 *
 * @example
 * ```ts
 * import { connect, recordLimits } from "mutls/lean";
 *
 * const limits = { features: [recordLimits], recordSizeLimit: 1024 };
 * const session = await connect(stream, { serverName: "localhost", trust: ca, ...limits });
 * console.log(session.verified); // true
 * ```
 */
export const recordLimits: ClientFeature = {
  options: ["recordSizeLimit", "maxFragmentLength"],
  configure({ recordSizeLimit, maxFragmentLength: length }) {
    if (length !== undefined && !FRAGMENT_LENGTHS.includes(length)) {
      throw fault("ERR_TLS_OPTION", `maxFragmentLength ${length} is none of ${FRAGMENT_LENGTHS.join(", ")}`);
    }
    return { recordLimits: clientLimits(resolveRecordSizeLimit(recordSizeLimit), length) };
  },
};

export function resolveRecordSizeLimit(limit: number | undefined): number | undefined {
  if (limit === undefined) return undefined;
  return within(limit, MIN_RECORD_SIZE_LIMIT, MAX_RECORD_SIZE_LIMIT, MAX_RECORD_SIZE_LIMIT, "recordSizeLimit");
}
