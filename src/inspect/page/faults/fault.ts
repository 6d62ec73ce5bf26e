/** What a fault is: one row of the tables beside this file. */
import type { AlertName, CauseCode, Side } from "../../../errors.ts";
import type { StateName } from "../../../flow.ts";
import type { Cast } from "../cast.ts";
import type { Choices } from "../choices.ts";
import type { Difference } from "../run.ts";

/** One thing that can be wrong with a handshake, and what must come of it. */
export interface Fault {
  /** Its name in the page's address. */
  readonly name: string;
  readonly title: string;
  /** What is done, as a sentence. */
  readonly story: string;
  /** `RFC 8446 4.4.4`: where it says what must come of it. */
  readonly section: string;
  /** Choices without which it could not happen. */
  readonly needs?: Partial<Choices> | undefined;
  readonly difference: (cast: Cast) => Difference;
  /** Who finds it, in which state, and the alert that it sends; `undefined`: none, since nobody is there to read it. */
  readonly by: Side;
  readonly stage: StateName;
  readonly code: CauseCode;
  readonly alert: AlertName | undefined;
  /** False: the alert means nothing to the other side, which has failed by itself, or has said goodbye already. */
  readonly heard?: false;
}

/** Faults that belong together. */
export interface FaultGroup {
  readonly title: string;
  readonly faults: readonly Fault[];
}
