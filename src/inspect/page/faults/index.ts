/** Every fault that the page can show, by group. */
import { CERTIFICATE_FAULTS } from "./certificates.ts";
import type { Fault, FaultGroup } from "./fault.ts";
import { HELLO_FAULTS } from "./hellos.ts";
import { PROOF_FAULTS } from "./proofs.ts";
import { ORDER_FAULTS, RECORD_FAULTS } from "./records.ts";

export type { Fault, FaultGroup } from "./fault.ts";

export const FAULT_GROUPS: readonly FaultGroup[] = [
  CERTIFICATE_FAULTS,
  PROOF_FAULTS,
  HELLO_FAULTS,
  RECORD_FAULTS,
  ORDER_FAULTS,
];

export const FAULTS: readonly Fault[] = FAULT_GROUPS.flatMap(({ faults }) => faults);
