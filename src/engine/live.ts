/**
 * What makes engines, and whose options are replaced while connections run: one immutable configuration after the other,
 * and one pointer to the one in force.
 *
 * A handshake keeps the configuration that it began with, its own identity included; but the peer is judged by what is in
 * force when it comes to that, and again if that is replaced before the handshake ends: its certificate, the external key,
 * and whether it need show any. A client that is asked who it is
 * later answers by what is in force then.
 */
import { fault, type Side } from "../errors.ts";
import type { Awaitable, Flow } from "../flow.ts";
import type { CommonConfig, HandshakeResult, PeerFacts } from "../handshake/config.ts";
import type { HandshakeEffects } from "../handshake/io.ts";
import { type ReplaceableVerifier, replaceableVerifier } from "../x509/replaceable.ts";
import type { Aftermath } from "./after.ts";
import { type CommonOptions, judgedBy, type Trusted } from "./common-options.ts";
import type { EngineContext } from "./context.ts";
import { TlsEngine } from "./engine.ts";
import { Engines, type Recheck } from "./engines.ts";
import { type EngineLimits, resolveLimits } from "./limits.ts";
import type { Observer } from "./observer.ts";
import type { VerdictLimit } from "./recheck.ts";

/** A context whose options can be replaced. */
export interface ReplaceableContext<Changes> extends EngineContext {
  /**
   * Begins at 0 and rises with every replacement, also of a revocation checker's CRLs. Sessions say under which one their
   * peer was judged last.
   */
  readonly generation: number;
  /**
   * Judges the peers of all open connections again, see {@link TlsEngine.recheck}: those that do not hold are ended.
   * Handshakes under way are judged at their end, and now where early data or an early answer is exchanged already.
   *
   * @param pause - Awaited now and then, so that others get their turn: `() => new Promise((done) => setTimeout(done))`.
   * Default: no pause.
   * @param limit - How long each verdict may take, `timeLimit(30_000)`. Default: any time; but one that never comes, from
   * an `authorize` for example, leaves its connection as it is, and some dozens of them those behind it.
   * @returns Rejects with what a listener of an engine threw, once all are judged.
   */
  recheck(pause?: () => Awaitable<void>, limit?: VerdictLimit): Promise<Recheck>;
  /**
   * Replaces these options, all at once, for all that begins from now on; `trust` and `verifier` take each other's place,
   * and what is `undefined` stays. Handshakes under way keep their own identity, and judge the peer by the new options: its
   * certificate or external key, and whether it may do without. Open connections stay open: see {@link ReplaceableContext.recheck}. Sessions whose peer is not to be trusted
   * any more are not resumed.
   *
   * @throws TlsError as the context itself did for its options, `ERR_TLS_OPTION` for options that cannot be replaced;
   * then nothing has changed.
   */
  replace(changes: Changes): void;
}

/** What tells the two roles apart. */
export interface Role<Options, Config> {
  readonly side: Side;
  /** Options that can be replaced. */
  readonly replaceable: readonly string[];
  /** @param first - Whom the context was made to trust. */
  resolve(options: Options, first: Trusted): Config;
  handshake(config: Config, effects: HandshakeEffects): Flow<HandshakeResult>;
  aftermath(config: Config): Aftermath;
  recheck(config: Config, result: HandshakeResult): Flow<PeerFacts>;
}

/** What decides about peers besides the verifier. */
const JUDGING = ["authorize", "clientAuth", "findPsk", "assertKey"];

export class LiveContext<Options extends CommonOptions, Config extends CommonConfig, Changes extends Trusted>
  implements ReplaceableContext<Changes>
{
  readonly #role: Role<Options, Config>;
  readonly #first: Trusted;
  readonly #limits: EngineLimits;
  readonly #verifier: ReplaceableVerifier;
  readonly #engines = new Engines();
  #options: Options;
  /** As resolved. */
  #inForce: Config;
  /** What handshakes are begun with. */
  #config: Config;
  #aftermath: Aftermath;

  constructor(role: Role<Options, Config>, options: Options) {
    this.#role = role;
    this.#first = { trust: options.trust, verifier: options.verifier };
    this.#options = options;
    this.#inForce = role.resolve(options, this.#first);
    this.#limits = resolveLimits(options);
    this.#verifier = replaceableVerifier(this.#inForce.verifier);
    this.#config = this.#judgedNow(this.#inForce);
    this.#aftermath = this.#after(this.#inForce);
  }

  get generation(): number {
    return this.#verifier.generation;
  }

  engine({ observer = this.#limits.observer }: { readonly observer?: Observer | undefined } = {}): TlsEngine {
    const role = this.#role;
    const config = this.#config;
    const limits = { ...this.#limits, observer };
    const engine = new TlsEngine(role.side, (effects) => role.handshake(config, effects), limits, this.#aftermath);
    this.#engines.add(engine);
    return engine;
  }

  replace(changes: Changes): void {
    const given = Object.entries(changes).filter(([, value]) => value !== undefined);
    const fixed = given.find(([name]) => !this.#role.replaceable.includes(name));
    if (fixed !== undefined) throw fault("ERR_TLS_OPTION", `"${fixed[0]}" cannot be replaced`);
    const options = { ...this.#options, ...Object.fromEntries(given), ...judgedBy(this.#options, changes) };
    const resolved = this.#role.resolve(options, this.#first);
    const config = this.#judgedNow(resolved);
    this.#aftermath = this.#after(resolved);
    this.#options = options;
    this.#inForce = resolved;
    this.#config = config;
    this.#verifier.replace(resolved.verifier);
  }

  recheck(pause: () => Awaitable<void> = () => {}, limit?: VerdictLimit): Promise<Recheck> {
    return this.#engines.recheck(pause, limit);
  }

  /** The same, but who judges is whoever does at the time. */
  #judgedNow(resolved: Config): Config {
    return this.#withLatest({ ...resolved, verifier: this.#verifier }, JUDGING);
  }

  /** Connections of before judge, and say who they are, by what is in force. */
  #after(resolved: Config): Aftermath {
    const role = this.#role;
    const judged = { ...resolved, verifier: this.#verifier };
    const later = this.#withLatest(judged, [...JUDGING, "identities", "selectIdentity"]);
    return { ...role.aftermath(later), recheck: (result) => role.recheck(this.#config, result) };
  }

  #withLatest(config: Config, names: readonly string[]): Config {
    for (const name of names.filter((each) => each in config)) {
      Object.defineProperty(config, name, { enumerable: true, get: () => this.#inForce[name as keyof Config] });
    }
    return config;
  }
}
