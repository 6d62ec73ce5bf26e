/** What stands between both ends: it knows every secret, sees every record, and may change it before it is protected anew. */
import type { CipherSuite } from "../../crypto/provider.ts";
import type { Observation } from "../../engine/observer.ts";
import type { Side } from "../../errors.ts";
import type { Epoch, SecretLabel } from "../../handshake/io.ts";
import { RecordSealer } from "../../record/protection.ts";
import { nextTrafficSecret } from "../../schedule/secrets.ts";

/** A record as its sender made it. */
export type SentRecord = Extract<Observation, { kind: "record" }>;

/** A record before protection. */
export interface PlainRecord {
  readonly type: number;
  readonly content: Uint8Array;
  /** Zero bytes after the content type. */
  readonly padding?: number | undefined;
  /** In the clear, whatever keys there are. */
  readonly clear?: boolean | undefined;
}

/** A record on its way. */
export interface Passing extends PlainRecord {
  readonly from: Side;
  /** Of those that its sender has sent, from 1. */
  readonly number: number;
  readonly epoch: Epoch;
}

/** What is done to records on their way. `undefined` leaves a record as it is. */
export interface Tampering {
  /** In place of a record before protection: nothing, another, several. */
  plain?(record: Passing): readonly PlainRecord[] | undefined;
  /** In place of a record's bytes as they travel; `end` behind them: the byte stream ends there. */
  wire?(record: Passing, bytes: Uint8Array): readonly (Uint8Array | "end")[] | undefined;
}

/** What comes out of the middle. */
export interface Passed {
  /** As the middle made it, with what an observer on the wire would be told. */
  readonly sealed: SentRecord;
  /** What arrives in its place. */
  readonly arriving: readonly (Uint8Array | "end")[];
  /** The sender's own record, unless it is one that nobody has sent. */
  readonly original: SentRecord | undefined;
}

const LABELS: { readonly [S in Side]: { readonly [E in Epoch]: SecretLabel | undefined } } = {
  client: {
    initial: undefined,
    early: "CLIENT_EARLY_TRAFFIC_SECRET",
    handshake: "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    application: "CLIENT_TRAFFIC_SECRET_0",
  },
  server: {
    initial: undefined,
    early: undefined,
    handshake: "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    application: "SERVER_TRAFFIC_SECRET_0",
  },
};

/** One direction's middle. */
export class Middle {
  readonly #from: Side;
  readonly #suite: CipherSuite;
  readonly #secrets: ReadonlyMap<SecretLabel, Uint8Array>;
  readonly #tampering: Tampering;
  #sealer: { readonly key: string; readonly sealer: RecordSealer } | undefined;
  #count = 0;

  /** @param secrets - Those that the sender has had so far; grows. */
  constructor(from: Side, suite: CipherSuite, secrets: ReadonlyMap<SecretLabel, Uint8Array>, tampering: Tampering) {
    this.#from = from;
    this.#suite = suite;
    this.#secrets = secrets;
    this.#tampering = tampering;
  }

  /** Everything is protected anew: what nobody has changed gives the same bytes again. */
  pass(record: SentRecord): readonly Passed[] {
    const { type, content, padding, epoch } = record;
    const passing: Passing = { from: this.#from, number: ++this.#count, epoch, type, content, padding };
    const replaced = this.#tampering.plain?.(passing);
    const plain: readonly PlainRecord[] = replaced ?? [passing];
    const own = plain.findIndex((one) => one === passing || one.content === content);
    const originalAt = own === -1 ? plain.length - 1 : own;
    return plain.map((one, index) => {
      const sealed = this.#seal(record, one);
      const arriving = this.#tampering.wire?.({ ...passing, ...one }, sealed.wire) ?? [sealed.wire];
      return { sealed, arriving, original: index === originalAt ? record : undefined };
    });
  }

  #seal(record: SentRecord, { type, content, padding = 0, clear = false }: PlainRecord): SentRecord {
    const { epoch, generation } = record;
    if (clear || record.sequence === undefined) {
      const wire = clearRecord(type, content, record.wire[2] as number);
      return { ...record, epoch: "initial", outerType: type, type, content, padding: 0, wire, sequence: undefined };
    }
    const sealer = this.#sealerFor(epoch, generation);
    const sequence = sealer.records;
    const wire = sealer.seal(type, content, padding);
    return { ...record, outerType: wire[0] as number, type, content, padding, wire, sequence };
  }

  #sealerFor(epoch: Epoch, generation: number): RecordSealer {
    const key = `${epoch} ${generation}`;
    if (this.#sealer?.key === key) return this.#sealer.sealer;
    const label = LABELS[this.#from][epoch];
    let secret = label && this.#secrets.get(label);
    if (secret === undefined) throw new Error(`${this.#from} has sent under ${epoch} keys before there were any`);
    for (let update = 0; update < generation; update++) secret = nextTrafficSecret(this.#suite.hash, secret);
    const sealer = new RecordSealer(this.#suite, secret);
    this.#sealer = { key, sealer };
    return sealer;
  }
}

function clearRecord(type: number, content: Uint8Array, minor: number): Uint8Array {
  const wire = new Uint8Array(5 + content.length);
  wire.set([type, 3, minor, content.length >> 8, content.length & 0xff]);
  wire.set(content, 5);
  return wire;
}
