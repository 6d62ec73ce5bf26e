/** What a measurement was made on. */
import { arch, cpus, platform } from "node:os";

export interface Machine {
  /** The processor's name. */
  readonly cpu: string;
  readonly cores: number;
  /** Such as "linux x64". */
  readonly platform: string;
  /** Version of Node. */
  readonly node: string;
  /** Version of the OpenSSL in it. */
  readonly openssl: string;
}

/**
 * This machine.
 *
 * @example
 * ```ts
 * console.log(machine().node === process.versions.node); // true
 * ```
 */
export function machine(): Machine {
  const all = cpus();
  const cpu = all[0]?.model.replace(/\s+/g, " ").trim();
  return {
    cpu: cpu || "unknown",
    cores: all.length,
    platform: `${platform()} ${arch()}`,
    node: process.versions.node,
    openssl: process.versions.openssl,
  };
}
