/** Which key opens a record of which epoch: from a key log's secrets and the hellos (RFC 8446 7.1 to 7.3). */
import { CipherSuiteId, type CipherSuiteName } from "../../codec/registry.ts";
import type { CipherSuite, CryptoProvider } from "../../crypto/provider.ts";
import { fault } from "../../errors.ts";
import type { Epoch, SecretLabel } from "../../handshake/io.ts";
import { MAX_PLAINTEXT, type WireRecord } from "../../record/framing.ts";
import { type OpenedRecord, openedRecord, RecordOpener } from "../../record/protection.ts";
import { nextTrafficSecret } from "../../schedule/secrets.ts";
import type { EpochKeys, MissingKeys, WatchedDirection } from "./direction.ts";
import type { KeyLogSecrets } from "./key-log.ts";

const LABELS = {
  early: { client: "CLIENT_EARLY_TRAFFIC_SECRET", server: "CLIENT_EARLY_TRAFFIC_SECRET" },
  handshake: { client: "CLIENT_HANDSHAKE_TRAFFIC_SECRET", server: "SERVER_HANDSHAKE_TRAFFIC_SECRET" },
  application: { client: "CLIENT_TRAFFIC_SECRET_0", server: "SERVER_TRAFFIC_SECRET_0" },
} as const satisfies Readonly<Record<Exclude<Epoch, "initial">, unknown>>;

/** The keys of one connection. */
export class WatchedKeys {
  readonly #provider: CryptoProvider;
  readonly #secrets: KeyLogSecrets;
  #clientRandom: Uint8Array | undefined;
  #offered: readonly CipherSuite[] = [];
  #suite: CipherSuite | undefined;
  #suiteMissing: string | undefined;
  #encryptedHello = false;

  constructor(provider: CryptoProvider, secrets: KeyLogSecrets) {
    this.#provider = provider;
    this.#secrets = secrets;
  }

  /** The one that the server has chosen, where the provider has it. */
  get suite(): CipherSuite | undefined {
    return this.#suite;
  }

  /**
   * @param suites - Code points.
   * @param encryptedHello - There is another one inside, whose `random` may count in its place (RFC 9850 2.1).
   */
  hello(clientRandom: Uint8Array, suites: readonly number[], encryptedHello: boolean): void {
    this.#clientRandom = clientRandom.slice();
    this.#encryptedHello = encryptedHello;
    const names = new Set(suites.map((code) => CipherSuiteId.name(code)));
    this.#offered = this.#provider.suites.filter(({ name }) => names.has(name));
  }

  choose(code: number): void {
    const name = CipherSuiteId.name(code) as CipherSuiteName | undefined;
    this.#suite = this.#provider.suites.find((suite) => suite.name === name);
    this.#suiteMissing = `cipher suite ${name ?? `0x${code.toString(16).padStart(4, "0")}`} is not supported by the provider ${this.#provider.name}`;
  }

  secret(label: SecretLabel): Uint8Array | undefined {
    return this.#clientRandom && this.#secrets.find(this.#clientRandom, label);
  }

  /** The secret that protects a direction's Finished and handshake records; of the suite's length. */
  base(direction: WatchedDirection, epoch: "handshake" | "application"): Uint8Array | undefined {
    const known = direction.keys.get(epoch)?.secret ?? this.secret(LABELS[epoch][direction.from]);
    return known !== undefined && known.length === this.#suite?.hash.length ? known : undefined;
  }

  /** @param record - One of them: before a suite is chosen, early data tells by itself under which it is protected. */
  of(direction: WatchedDirection, epoch: Epoch, record: WireRecord): EpochKeys | MissingKeys {
    const known = direction.keys.get(epoch);
    if (known !== undefined) return known;
    if (epoch === "initial") return { reason: "nothing is protected yet" };
    const label = LABELS[epoch][direction.from];
    const made = this.#make(label, epoch === "early" ? this.#early(label, record) : this.#suite);
    if (!("reason" in made)) direction.keys.set(epoch, made);
    return made;
  }

  /** RFC 8446 4.6.3 */
  update(direction: WatchedDirection): void {
    direction.generation++;
    const known = direction.keys.get("application");
    const suite = this.#suite;
    if (known === undefined || suite === undefined) return;
    const secret = nextTrafficSecret(suite.hash, known.secret);
    direction.keys.set("application", { secret, opener: new RecordOpener(suite, secret) });
  }

  #make(label: SecretLabel, suite: CipherSuite | undefined): EpochKeys | MissingKeys {
    const random = this.#clientRandom;
    if (random === undefined) {
      return { reason: "its ClientHello was not seen, so that no line of a key log can be matched to it" };
    }
    if (this.#secrets.count === 0) return { reason: "there is no key log to decrypt it with" };
    const secret = this.#secrets.find(random, label);
    if (secret === undefined) return { reason: `no ${label} for this client_random in the key log${this.#hint()}` };
    if (suite === undefined) {
      return { reason: this.#suiteMissing ?? "its ServerHello was not seen, so that the cipher suite is not known" };
    }
    const { length } = suite.hash;
    if (secret.length !== length) {
      return { reason: `${label} in the key log has ${secret.length} bytes, and the hash of ${suite.name} ${length}` };
    }
    return { secret, opener: openerOf(suite, secret) };
  }

  #hint(): string {
    return this.#encryptedHello ? ": where ECH is accepted it has the inner ClientHello's, which is not followed" : "";
  }

  /** The suite of the pre-shared key, which RFC 8446 4.2.10 makes that of an accepting server, too. */
  #early(label: SecretLabel, record: WireRecord): CipherSuite | undefined {
    const secret = this.secret(label);
    if (secret === undefined) return undefined;
    const fitting = this.#offered.filter(({ hash }) => hash.length === secret.length);
    return fitting.find((suite) => opens(suite, secret, record)) ?? this.#suite ?? fitting[0];
  }
}

function opens(suite: CipherSuite, secret: Uint8Array, record: WireRecord): boolean {
  return tryOpen(openerOf(suite, secret), record) !== undefined;
}

function openerOf(suite: CipherSuite, secret: Uint8Array): RecordOpener {
  const opener = new RecordOpener(suite, secret);
  if (opener.isLate(false, MAX_PLAINTEXT)) {
    throw fault("ERR_TLS_OPTION", `the provider's ${suite.name} answers later only, and captures are read at once`);
  }
  return opener;
}

/**
 * What a record holds; `undefined` where it is not protected by this key, which then is as if it had not come.
 *
 * @throws TlsError what `openedRecord` throws.
 */
export function tryOpen(opener: RecordOpener, record: WireRecord): OpenedRecord | undefined {
  const inner = opener.unprotect(record);
  if (inner !== undefined) return openedRecord(inner);
  opener.forget();
  return undefined;
}
