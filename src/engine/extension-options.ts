/** Options that are extensions beyond RFC 8446's own, checked. */
import { fault } from "../errors.ts";
import type { CertificateCompression } from "../handshake/compression.ts";
import {
  FRAGMENT_LENGTHS,
  type FragmentLength,
  MAX_RECORD_SIZE_LIMIT,
  MIN_RECORD_SIZE_LIMIT,
} from "../handshake/record-limits.ts";
import { within } from "./within.ts";

export function resolveCompression(list: readonly CertificateCompression[] = []): readonly CertificateCompression[] {
  const usable = list.every(
    ({ algorithm, compress, decompress }) =>
      Number.isInteger(algorithm) && (compress !== undefined || decompress !== undefined),
  );
  if (!usable || new Set(list.map(({ algorithm }) => algorithm)).size < list.length) {
    throw fault("ERR_TLS_OPTION", "certificateCompression holds an algorithm twice, or something else than algorithms");
  }
  return list;
}

export function resolveRecordSizeLimit(limit: number | undefined): number | undefined {
  if (limit === undefined) return undefined;
  return within(limit, MIN_RECORD_SIZE_LIMIT, MAX_RECORD_SIZE_LIMIT, MAX_RECORD_SIZE_LIMIT, "recordSizeLimit");
}

export function resolveFragmentLength(length: FragmentLength | undefined): FragmentLength | undefined {
  if (length !== undefined && !FRAGMENT_LENGTHS.includes(length)) {
    throw fault("ERR_TLS_OPTION", `maxFragmentLength ${length} is none of ${FRAGMENT_LENGTHS.join(", ")}`);
  }
  return length;
}
