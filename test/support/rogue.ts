/**
 * A cheating peer over the real handshake generators. It changes its handshake messages before they are protected, with
 * transcript and keys following what it really sent, and its records before and after protection. It has all keys and
 * keeps everything that it receives.
 */
import { concat, join } from "../../src/bytes/bytes.ts";
import { toHex } from "../../src/bytes/hex.ts";
import { Alert, messageName } from "../../src/codec/messages.ts";
import { AlertDescription, ContentType } from "../../src/codec/registry.ts";
import { decode } from "../../src/codec/schema.ts";
import type { CipherSuite, Hash, HashState } from "../../src/crypto/provider.ts";
import type { Side } from "../../src/errors.ts";
import type { Flow, HandshakeName, Suspension } from "../../src/flow.ts";
import { clientHandshake } from "../../src/handshake/client.ts";
import type { ClientConfig, HandshakeResult, ServerConfig } from "../../src/handshake/config.ts";
import type { Epoch, HandshakeEffects, SecretLabel } from "../../src/handshake/io.ts";
import { serverHandshake } from "../../src/handshake/server.ts";
import { HandshakeReader, RecordReader } from "../../src/record/framing.ts";
import { openedRecord, RecordOpener, RecordSealer } from "../../src/record/protection.ts";
import { nextTrafficSecret } from "../../src/schedule/secrets.ts";
import { deliver, type End } from "./pair.ts";

/** What goes out in place of one message: nothing, another, or several. `undefined` leaves it as it is. */
export type Tamper = (message: Uint8Array, name: HandshakeName) => Uint8Array | readonly Uint8Array[] | undefined;

/** A record before protection. */
export interface OutgoingRecord {
  readonly type: number;
  readonly content: Uint8Array;
  readonly padding?: number;
  /** In the clear, whatever keys there are. */
  readonly plain?: boolean;
}

export interface RogueOptions {
  readonly tamper?: Tamper | undefined;
  /** Replaces each record; the epoch is that of this side's keys. */
  readonly records?: ((record: OutgoingRecord, epoch: Epoch) => readonly OutgoingRecord[]) | undefined;
  /** True: the messages of a flight share records, as an honest peer has it. Default: one record each. */
  readonly coalesce?: boolean | undefined;
  /** Bytes of content in one record; 2^14 by default. */
  readonly fragment?: number | undefined;
}

/** For `records`: the beginning of another message stands in the first record, behind what belongs there. */
export function longer(): NonNullable<RogueOptions["records"]> {
  let done = false;
  return (record) => {
    if (done) return [record];
    done = true;
    const { content } = record;
    return [{ ...record, content: concat(content, content.subarray(0, 2)) }];
  };
}

export interface ReceivedRecord {
  readonly type: number;
  readonly content: Uint8Array;
  readonly isProtected: boolean;
}

const { alert, handshake, application_data } = ContentType.codes;

export class Rogue {
  readonly side: Side;
  /** Every record received, opened. */
  readonly received: ReceivedRecord[] = [];
  /** Every byte received, as on the wire. */
  readonly wire: Uint8Array[] = [];
  readonly secrets = new Map<SecretLabel, Uint8Array>();
  /** What ended its own handshake. */
  error: unknown;
  result: HandshakeResult | undefined;
  /** What it waits for. */
  suspension: Suspension | undefined;
  readonly #options: RogueOptions;
  readonly #flow: Flow<HandshakeResult>;
  readonly #reader = new RecordReader();
  readonly #messages = new HandshakeReader(0xffffff);
  readonly #replaced = new Map<string, readonly Uint8Array[]>();
  readonly #fromPeer = new Set<string>();
  #deaf = false;
  #flight: Uint8Array[] = [];
  #output: Uint8Array[] = [];
  #epoch: Epoch = "initial";
  #suite: CipherSuite | undefined;
  #sealer: RecordSealer | undefined;
  #opener: RecordOpener | undefined;
  #readSecret: Uint8Array | undefined;
  #writeSecret: Uint8Array | undefined;

  constructor(role: { client: ClientConfig } | { server: ServerConfig }, options: RogueOptions = {}) {
    this.#options = options;
    this.side = "client" in role ? "client" : "server";
    const effects = this.#effects();
    this.#flow =
      "client" in role
        ? clientHandshake({ ...role.client, suites: this.#cheating(role.client.suites) }, effects)
        : serverHandshake({ ...role.server, suites: this.#cheating(role.server.suites) }, effects);
  }

  /** The alerts it received, by name. */
  get alerts(): string[] {
    return this.received
      .filter(({ type }) => type === alert)
      .map(({ content }) => {
        const { description } = decode(Alert, content);
        return AlertDescription.name(description) ?? `${description}`;
      });
  }

  /** The application data that it received. */
  get data(): Uint8Array {
    return join(this.received.filter(({ type }) => type === application_data).map(({ content }) => content));
  }

  start(): this {
    this.#step(() => this.#flow.next());
    return this;
  }

  /** What it cannot open or understand ends it, as `error`. */
  receive(bytes: Uint8Array): void {
    this.wire.push(bytes.slice());
    if (this.#deaf) return;
    this.#reader.push(bytes);
    try {
      this.#open();
    } catch (error) {
      this.#deaf = true;
      this.error ??= error;
    }
  }

  #open(): void {
    for (;;) {
      const record = this.#reader.next(this.#opener !== undefined);
      if (record === undefined) return;
      const isProtected = this.#opener !== undefined && record.type === application_data;
      const { type, content } = isProtected
        ? openedRecord((this.#opener as RecordOpener).unprotect(record))
        : { type: record.type, content: record.fragment };
      this.received.push({ type, content: content.slice(), isProtected });
      if (type === handshake) this.#receiveHandshake(content);
    }
  }

  takeOutput(): Uint8Array {
    const output = join(this.#output);
    this.#output = [];
    return output;
  }

  /** Sends one record under the keys of now. */
  send(record: OutgoingRecord): this {
    this.#output.push(this.seal(record));
    return this;
  }

  /** Sends a handshake message in a record of its own, past its own state and transcript. */
  sendMessage(...messages: readonly Uint8Array[]): this {
    return this.send({ type: handshake, content: join(messages) });
  }

  /** Sends bytes as they are. */
  sendRaw(bytes: Uint8Array): this {
    this.#output.push(bytes);
    return this;
  }

  /** One record's bytes under the keys of now. */
  seal({ type, content, padding = 0, plain = false }: OutgoingRecord): Uint8Array {
    if (this.#sealer !== undefined && !plain) return this.#sealer.seal(type, content, padding);
    return concat(Uint8Array.of(type, 3, 3, content.length >> 8, content.length & 0xff), content);
  }

  /** Moves its own sending key on, with or without having said so. */
  updateWriteKey(): this {
    const suite = this.#suite as CipherSuite;
    this.#writeSecret = nextTrafficSecret(suite.hash, this.#writeSecret as Uint8Array);
    this.#sealer = new RecordSealer(suite, this.#writeSecret);
    return this;
  }

  #receiveHandshake(content: Uint8Array): void {
    this.#messages.push(content);
    for (let message = this.#messages.next(); message !== undefined; message = this.#messages.next()) {
      if (message.type === "key_update" && this.result !== undefined) {
        const suite = this.#suite as CipherSuite;
        this.#readSecret = nextTrafficSecret(suite.hash, this.#readSecret as Uint8Array);
        this.#opener = new RecordOpener(suite, this.#readSecret);
      } else if (this.suspension !== undefined) {
        this.#fromPeer.add(toHex(message.bytes));
        const received = message;
        this.#step(() => this.#flow.next(received));
      }
    }
  }

  #step(resume: () => IteratorResult<Suspension, HandshakeResult>): void {
    this.suspension = undefined;
    try {
      const step = resume();
      if (step.done) this.result = step.value;
      else if (step.value.need === "promise") throw new Error("a rogue peer needs a synchronous provider");
      else this.suspension = step.value;
      this.#flush();
    } catch (error) {
      this.error = error;
    }
  }

  #effects(): HandshakeEffects {
    return {
      send: (_epoch, message) => void this.#flight.push(...this.#replacement(message)),
      install: (direction, epoch, suite, secret) => {
        this.#suite = suite;
        if (direction === "read") {
          this.#readSecret = secret;
          this.#opener = new RecordOpener(suite, secret);
          return;
        }
        this.#flush();
        this.#writeSecret = secret;
        this.#sealer = new RecordSealer(suite, secret);
        this.#epoch = epoch;
      },
      discard: () => {
        this.#sealer = undefined;
        this.#epoch = "initial";
      },
      openEarlyData: () => {},
      closeEarlyData: () => {},
      standOn: () => {},
      skipEarlyData: () => {},
      limitRecords: () => {},
      compatibilityMode: () => {},
      assertAligned: () => {},
      allowApplicationData: () => {},
      enter: () => {},
      reveal: (label, _clientRandom, secret) => void this.secrets.set(label, secret.slice()),
      emit: () => {},
    };
  }

  #flush(): void {
    const { coalesce = false, fragment = 0x4000, records = (record: OutgoingRecord) => [record] } = this.#options;
    const contents = coalesce && this.#flight.length > 0 ? [join(this.#flight)] : this.#flight;
    this.#flight = [];
    for (const content of contents) {
      for (let offset = 0; offset < content.length; offset += fragment) {
        const record = { type: handshake, content: content.subarray(offset, offset + fragment) };
        for (const out of records(record, this.#epoch)) this.send(out);
      }
    }
  }

  /** What goes out in place of one of its messages; asked once for each, by whoever comes first, transcript or wire. */
  #replacement(message: Uint8Array): readonly Uint8Array[] {
    const key = toHex(message);
    const known = this.#replaced.get(key);
    if (known !== undefined) return known;
    const name = messageName(message[0] as number, message.subarray(4)) as HandshakeName;
    const changed = this.#options.tamper?.(message, name) ?? message;
    const messages = changed instanceof Uint8Array ? [changed] : changed;
    this.#replaced.set(key, messages);
    return messages;
  }

  /** The same suites, but their hash takes in what was really sent. */
  #cheating(suites: readonly CipherSuite[]): readonly CipherSuite[] {
    const translate = (data: Uint8Array): readonly Uint8Array[] => {
      const foreign = data[0] === 254 || this.#fromPeer.has(toHex(data));
      return foreign ? [data] : this.#replacement(data);
    };
    const state = (inner: HashState): HashState => ({
      update: (data) => {
        for (const part of translate(data)) inner.update(part);
      },
      clone: () => state(inner.clone()),
      digest: () => inner.digest(),
    });
    return suites.map((suite) => {
      const { name, length } = suite.hash;
      const hash: Hash = {
        name,
        length,
        start: () => state(suite.hash.start()),
        digest: (data) => suite.hash.digest(data),
        hmac: (key, data) => suite.hash.hmac(key, data),
      };
      return { name: suite.name, hash, keyLength: suite.keyLength, aead: (key) => suite.aead(key) };
    });
  }
}

/** What happens to bytes on their way to the victim. */
export type Route = (bytes: Uint8Array) => readonly Uint8Array[];

/** Lets both talk until neither has anything more to say. */
export function confront(victim: End, rogue: Rogue, route: Route = (bytes) => [bytes]): void {
  for (;;) {
    const up = rogue.takeOutput();
    const down = victim.engine.takeOutput();
    if (up.length === 0 && down.length === 0) return;
    for (const piece of up.length === 0 ? [] : route(up)) deliver(victim, piece);
    if (down.length > 0) rogue.receive(down);
  }
}
