/** The traces of RFC 8448 with typed access: steps by what they do, records in the order in which they were sent. */
import { readFileSync } from "node:fs";
import type { Actor, PrivateKeyData, StepData, TraceData } from "./extract.ts";

export type { Actor } from "./extract.ts";

/** The sections that hold a trace. */
export const SECTIONS = [3, 4, 5, 6, 7] as const;
export type SectionNumber = (typeof SECTIONS)[number];

/** What one step of a trace does and the values that it prints. */
export class Step {
  readonly actor: Actor;
  /** `create an ephemeral x25519 key pair`, `derive secret "tls13 c hs traffic"`, … */
  readonly action: string;
  /** Where the values stand that this step does not repeat: `server`, `server early secret`, … */
  readonly sameAs: string | undefined;
  readonly #values: Readonly<Record<string, string>>;

  constructor({ actor, action, sameAs, values }: StepData) {
    this.actor = actor;
    this.action = action;
    this.sameAs = sameAs;
    this.#values = values;
  }

  /** The printed names: `private key`, `PRK`, `complete record`, … */
  get names(): readonly string[] {
    return Object.keys(this.#values);
  }

  /** The value printed under `name`, a fresh array. A salt of `0` is 32 zero bytes: all traces use SHA-256. */
  bytes(name: string): Uint8Array {
    const hex = this.#values[name];
    if (hex === undefined) throw new RangeError(`${this.actor}, ${this.action}: no value ${name}`);
    return hex === "0" ? new Uint8Array(32) : Uint8Array.from(Buffer.from(hex, "hex"));
  }
}

/** A record as it went over the wire. */
export interface SentRecord {
  readonly sender: Actor;
  readonly type: "change_cipher_spec" | "alert" | "handshake" | "application_data";
  /** The content before protection. */
  readonly payload: Uint8Array;
  /** Header and fragment, protected where keys were in force. */
  readonly bytes: Uint8Array;
}

/**
 * One example handshake.
 *
 * @example
 * ```ts
 * const { records, find } = trace(3);
 * find("client", "construct a ClientHello").bytes("ClientHello");
 * records.filter(({ sender }) => sender === "server").map(({ bytes }) => bytes);
 * ```
 */
export interface Trace {
  readonly section: number;
  readonly title: string;
  /** In the order of the text, those without values of their own included. */
  readonly steps: readonly Step[];
  readonly records: readonly SentRecord[];
  /**
   * The only step with values, or the `nth` (from 0), whose action begins with `action`.
   *
   * @throws RangeError when there is none, or more than one and no `nth`.
   */
  find(actor: Actor, action: string, nth?: number): Step;
}

/** The trace of one section. */
export function trace(section: SectionNumber): Trace {
  return traceOf(traceData(section));
}

/** The trace of one section as it stands in its file, a fresh copy. */
export function traceData(section: SectionNumber): TraceData {
  return read<TraceData>(`section-${section}.json`);
}

/** Typed access to a trace that was loaded or made up. */
export function traceOf(data: TraceData): Trace {
  const { section, title } = data;
  const steps = data.steps.map((step) => new Step(step));
  return {
    section,
    title,
    steps,
    records: steps.flatMap((step) => {
      const type = /^send (\w+) record$/.exec(step.action)?.[1];
      if (type === undefined) return [];
      return {
        sender: step.actor,
        type: type as SentRecord["type"],
        payload: step.bytes("payload"),
        bytes: step.bytes("complete record"),
      };
    }),
    find(actor, action, nth) {
      const found = steps.filter(
        (step) => step.actor === actor && step.action.startsWith(action) && step.names.length > 0,
      );
      const step = found[nth ?? 0];
      if (step === undefined || (nth === undefined && found.length > 1)) {
        throw new RangeError(`section ${section}, ${actor}, ${action}: ${found.length} such steps`);
      }
      return step;
    },
  };
}

/** The RSA key behind the server's certificate in sections 3, 4, 5 and 7: `modulus`, `public exponent`, `prime1`, … */
export function rsaPrivateKey(): ReadonlyMap<string, Uint8Array> {
  const { rsa } = read<PrivateKeyData>("private-keys.json");
  return new Map(Object.entries(rsa).map(([name, hex]) => [name, Uint8Array.from(Buffer.from(hex, "hex"))]));
}

function read<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8")) as T;
}
