/** Every cause for which a chain is rejected. */
import type { Rejected } from "./cases.ts";
import { REJECTED_PATHS } from "./rejected.ts";
import { REJECTED_NAMES } from "./rejected-names.ts";
import { REJECTED_STATUS } from "./rejected-status.ts";

export const REJECTED: readonly Rejected[] = [...REJECTED_PATHS, ...REJECTED_NAMES, ...REJECTED_STATUS];
