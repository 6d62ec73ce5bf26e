/** What one opt-in observer is told. It cannot affect the flow; absent, it costs one null check. */
import type { HandshakeName, Operation, StateName } from "../flow.ts";
import type { Epoch, SecretLabel } from "../handshake/io.ts";

/** Seen from the side that observes. */
export type Direction = "sent" | "received";

/** One thing that happened. Byte arrays belong to the engine: copy what is to be kept. */
export type Observation =
  | {
      readonly kind: "record";
      readonly direction: Direction;
      readonly epoch: Epoch;
      /** Content type as on the wire. */
      readonly outerType: number;
      /** Content type after decryption. */
      readonly type: number;
      /** The whole record as on the wire. */
      readonly wire: Uint8Array;
      /** What it carries, decrypted. */
      readonly content: Uint8Array;
      /** Bytes of zero padding. */
      readonly padding: number;
      /** The sequence number under the epoch's key; `undefined` where nothing is encrypted. */
      readonly sequence: number | undefined;
      /** How many KeyUpdates this direction has seen. */
      readonly generation: number;
    }
  /** A record of early data that was not accepted: received, and thrown away unopened (RFC 8446 4.2.10). */
  | { readonly kind: "skipped"; readonly wire: Uint8Array }
  | {
      readonly kind: "message";
      readonly direction: Direction;
      readonly epoch: Epoch;
      readonly type: HandshakeName;
      /** Header and body. */
      readonly bytes: Uint8Array;
    }
  | {
      readonly kind: "secret";
      readonly label: SecretLabel;
      readonly clientRandom: Uint8Array;
      readonly secret: Uint8Array;
    }
  | { readonly kind: "state"; readonly state: StateName }
  | { readonly kind: "operation"; readonly operation: Operation; readonly phase: "suspended" | "resumed" };

export type Observer = (observation: Observation) => void;

/** The same observer, but what it throws surfaces as an uncaught exception, outside the handshake that it only watches. */
export function detached(observer: Observer | undefined): Observer | undefined {
  if (observer === undefined) return undefined;
  return (observation) => {
    try {
      observer(observation);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  };
}
