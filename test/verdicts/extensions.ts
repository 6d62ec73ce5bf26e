/** Extensions and names that certificates of tests have and nobody should be issued. */
import { derEncode } from "../../src/bytes/der.ts";
import { type ExtensionInput, encodeNumber, encodeOid, encodeSequence } from "../support/der.ts";

/** iPAddress of a constraint: address and mask. */
export function addressRange(...bytes: readonly number[]): Uint8Array {
  return derEncode(0x87, Uint8Array.from(bytes));
}

/** registeredID */
export const registeredId = derEncode(0x88, Uint8Array.of(42, 3, 4));

/** certificatePolicies */
export function policies(...oids: readonly string[]): ExtensionInput {
  return {
    oid: "2.5.29.32",
    critical: false,
    value: encodeSequence(...oids.map((oid) => encodeSequence(encodeOid(oid)))),
  };
}

/** policyConstraints with requireExplicitPolicy. */
export function policyConstraints(requireExplicit: number): ExtensionInput {
  return { oid: "2.5.29.36", critical: true, value: encodeSequence(derEncode(0x80, Uint8Array.of(requireExplicit))) };
}

/** policyMappings of one pair. */
export function policyMapping(issuer: string, subject: string): ExtensionInput {
  return {
    oid: "2.5.29.33",
    critical: true,
    value: encodeSequence(encodeSequence(encodeOid(issuer), encodeOid(subject))),
  };
}

/** inhibitAnyPolicy */
export function inhibitAny(certificates: number): ExtensionInput {
  return { oid: "2.5.29.54", critical: true, value: encodeNumber(certificates) };
}
