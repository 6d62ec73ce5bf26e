import { fault } from "../errors.ts";

/** A whole number between bounds, or the standard one. */
export function within(value: number | undefined, min: number, max: number, standard: number, name: string): number {
  if (value === undefined) return standard;
  if (!Number.isInteger(value) || value < min || value > max)
    throw fault("ERR_TLS_OPTION", `${name} ${value} is not ${min} to ${max}`);
  return value;
}
