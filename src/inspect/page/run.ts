/** A handshake between this library's own two ends over memory, everything that happens written down. */
import { latin1, utf8 } from "../../bytes/bytes.ts";
import { nobleProvider } from "../../crypto/noble.ts";
import { clientAftermath, serverAftermath } from "../../engine/aftermath.ts";
import { type ClientOptions, resolveClient } from "../../engine/client-options.ts";
import { resolveIdentities } from "../../engine/common-options.ts";
import { TlsEngine } from "../../engine/engine.ts";
import { everyFeature } from "../../engine/features/index.ts";
import { resolveLimits } from "../../engine/limits.ts";
import type { Observation, Observer } from "../../engine/observer.ts";
import { type SessionCache, sealedTickets, strikeRegister } from "../../engine/resumption.ts";
import { resolveServer, type ServerOptions } from "../../engine/server-options.ts";
import type { Side, TlsError } from "../../errors.ts";
import type { StateName } from "../../flow.ts";
import { clientHandshake } from "../../handshake/client.ts";
import type { HandshakeResult } from "../../handshake/config.ts";
import type { Identity } from "../../handshake/identity.ts";
import type { SecretLabel } from "../../handshake/io.ts";
import { serverHandshake } from "../../handshake/server.ts";
import type { Session } from "../../handshake/session.ts";
import type { IssuedIdentity } from "../../pki/throwaway.ts";
import { createTrace, type TraceItem } from "../trace.ts";
import { type Cast, SERVER_NAME } from "./cast.ts";
import { type Choices, protocolsOf } from "./choices.ts";
import { Middle, type Passed, type SentRecord, type Tampering } from "./middle.ts";
import { type RememberedSources, rememberedSources } from "./remembered.ts";

/** What makes one run differ from an honest one. */
export interface Difference {
  readonly client?: Partial<ClientOptions> | undefined;
  readonly server?: Partial<ServerOptions> | undefined;
  readonly tampering?: Tampering | undefined;
}

/** One end, when nothing moves any more. */
export interface EndReport {
  readonly side: Side;
  readonly state: StateName;
  readonly states: readonly StateName[];
  readonly error: TlsError | undefined;
  readonly result: HandshakeResult | undefined;
  /** The other side has said that it will send no more, and everything before that was read. */
  readonly ended: boolean;
  /** Application data, early data included, as text. */
  readonly read: string;
  /** What it saw itself, in its order. */
  readonly items: readonly TraceItem[];
  readonly secrets: ReadonlyMap<SecretLabel, Uint8Array>;
  readonly sharedSecret: Uint8Array | undefined;
}

/** A run. */
export interface Run {
  readonly client: EndReport;
  readonly server: EndReport;
  /** In the order in which they travelled. */
  readonly passed: readonly Passed[];
  /** Those that the middle sent on, taken apart by what it knows: `sent` is from the client. */
  readonly wire: readonly TraceItem[];
  /** The pre-shared key that was offered. */
  readonly psk: Uint8Array | undefined;
}

const TEXTS = {
  early: "early data: GET /weather",
  client: "GET / HTTP/1.0",
  server: "HTTP/1.0 200 OK",
};

/** Everything that stays the same while one handshake is run again and again. */
export class Stage {
  readonly choices: Choices;
  readonly cast: Cast;
  readonly #client: RememberedSources = rememberedSources(nobleProvider);
  readonly #server: RememberedSources = rememberedSources(nobleProvider);
  readonly #tickets = sealedTickets();
  readonly #identities: { readonly client: readonly Identity[]; readonly server: readonly Identity[] };
  /** Of the connection before. */
  readonly #session: Session | undefined;

  /** @throws TlsError `ERR_TLS_OPTION` for protocol names that cannot be sent. */
  constructor(choices: Choices, cast: Cast) {
    this.choices = choices;
    this.cast = cast;
    this.#identities = {
      client: resolveIdentities([identityOf(cast.client.good)], nobleProvider),
      server: resolveIdentities([identityOf(cast.server.good)], nobleProvider),
    };
    if (choices.session === "full") return;
    const kept: Session[] = [];
    const before = this.#run({}, rememberedSources(nobleProvider), rememberedSources(nobleProvider), kept);
    if (kept[0] === undefined) throw before.client.error ?? before.server.error ?? new Error("there came no ticket");
    this.#session = kept[0];
  }

  /** The same handshake, but for what is different. */
  run(difference: Difference = {}): Run {
    this.#client.again();
    this.#server.again();
    return this.#run(difference, this.#client, this.#server, []);
  }

  #run(difference: Difference, client: RememberedSources, server: RememberedSources, kept: Session[]): Run {
    const session = this.#session;
    const sessions: SessionCache = {
      put: (_scope, got) => void kept.push({ ...got, key: got.key.slice() }),
      take: () => session && { ...session, key: session.key.slice() },
    };
    const suite = nobleProvider.suites.find(({ name }) => name === this.choices.suite);
    if (suite === undefined) throw new Error(`no cipher suite ${this.choices.suite}`);
    const ends = {
      client: new End("client", client, (observer) => this.#clientEngine(observer, client, sessions, difference)),
      server: new End("server", server, (observer) => this.#serverEngine(observer, server, difference)),
    };
    const tampering = difference.tampering ?? {};
    const wire: TraceItem[] = [];
    const onWire = createTrace("client", (item) => wire.push(item));
    const passed: Passed[] = [];
    const middles = {
      client: new Middle("client", suite, ends.client.secrets, tampering),
      server: new Middle("server", suite, ends.server.secrets, tampering),
    };
    const deliver = (from: Side, record: SentRecord) => {
      const to = from === "client" ? ends.server : ends.client;
      for (const one of middles[from].pass(record)) {
        passed.push(one);
        onWire({ ...one.sealed, wire: shownWire(one), direction: from === "client" ? "sent" : "received" });
        for (const bytes of one.arriving) to.receive(bytes);
      }
    };
    const exchange = () => {
      for (let moved = true; moved; ) {
        moved = false;
        for (const from of ["client", "server"] as const) {
          for (const record of ends[from].send()) {
            moved = true;
            deliver(from, record);
          }
        }
      }
    };
    ends.client.engine.start();
    ends.server.engine.start();
    if (this.choices.session === "early" && session !== undefined) {
      ends.client.engine.writeEarlyData(utf8(TEXTS.early));
    }
    exchange();
    for (const act of this.#conversation(ends.client.engine, ends.server.engine)) {
      act();
      exchange();
    }
    return { client: ends.client.report(), server: ends.server.report(), passed, wire, psk: session?.key };
  }

  /** A request, an answer, and goodbye, as long as both are there. */
  #conversation(client: TlsEngine, server: TlsEngine): readonly (() => void)[] {
    const alive = (engine: TlsEngine) => engine.state === "CONNECTED" && engine.error === undefined && !engine.finished;
    return [
      () => void (alive(client) && client.write(utf8(TEXTS.client))),
      () => void (alive(server) && alive(client) && server.write(utf8(TEXTS.server))),
      () => void (alive(client) && alive(server) && client.close()),
      () => void (alive(server) && client.finished && server.close()),
    ];
  }

  #clientEngine(observer: Observer, sources: RememberedSources, sessions: SessionCache, { client }: Difference) {
    const { auth, group, retry, suite, session, alpn } = this.choices;
    const other = group === "secp256r1" ? "x25519" : "secp256r1";
    const options: ClientOptions = {
      provider: nobleProvider,
      clock: () => this.cast.now,
      serverName: SERVER_NAME,
      trust: this.cast.trust,
      identities: auth === "mutual" ? this.#identities.client : [],
      cipherSuites: [suite, ...nobleProvider.suites.map(({ name }) => name).filter((name) => isUsual(name, suite))],
      groups: retry === "yes" ? [other, group] : [group],
      keyShares: [retry === "yes" ? other : group],
      alpn: protocolsOf(alpn),
      sessions,
      offerEarlyData: session === "early",
      ...client,
      observer,
    };
    const config = { ...resolveClient(options, everyFeature), sources };
    const aftermath = clientAftermath(config, everyFeature);
    return new TlsEngine("client", (effects) => clientHandshake(config, effects), resolveLimits(options), aftermath);
  }

  #serverEngine(observer: Observer, sources: RememberedSources, { server }: Difference) {
    const { auth, group, suite, session, alpn } = this.choices;
    const clock = () => this.cast.now;
    const options: ServerOptions = {
      provider: nobleProvider,
      clock,
      trust: this.cast.trust,
      identities: this.#identities.server,
      clientAuth: auth === "mutual" ? "on" : "off",
      cipherSuites: [suite],
      groups: [group],
      alpn: protocolsOf(alpn),
      tickets: { store: this.#tickets, count: 1 },
      ...(session === "early" && { acceptEarlyData: { antiReplay: strikeRegister({ clock }) } }),
      ...server,
      observer,
    };
    const config = { ...resolveServer(options), sources };
    const aftermath = serverAftermath(config);
    return new TlsEngine("server", (effects) => serverHandshake(config, effects), resolveLimits(options), aftermath);
  }
}

/** How an identity is given to an engine. */
export function identityOf({ certificates, privateKey }: IssuedIdentity) {
  return { cert: certificates, key: privateKey };
}

/** AES-CCM is left out. */
function isUsual(name: string, chosen: string): boolean {
  return name !== chosen && !name.includes("CCM");
}

/** What arrives, where it is as long as what was to be sent. */
function shownWire({ sealed, arriving }: Passed): Uint8Array {
  const [first] = arriving;
  return first instanceof Uint8Array && first.length === sealed.wire.length ? first : sealed.wire;
}

/** One end while it runs. */
class End {
  readonly engine: TlsEngine;
  readonly secrets = new Map<SecretLabel, Uint8Array>();
  readonly #side: Side;
  readonly #sources: RememberedSources;
  readonly #items: TraceItem[] = [];
  readonly #states: StateName[] = ["START"];
  readonly #sent: SentRecord[] = [];
  #read = "";

  constructor(side: Side, sources: RememberedSources, make: (observer: Observer) => TlsEngine) {
    this.#side = side;
    this.#sources = sources;
    const trace = createTrace(side, (item) => this.#items.push(item));
    this.engine = make((observation) => {
      this.#note(observation);
      trace(observation);
    });
  }

  #note(observation: Observation): void {
    if (observation.kind === "secret") this.secrets.set(observation.label, observation.secret.slice());
    if (observation.kind === "state") this.#states.push(observation.state);
    if (observation.kind === "record" && observation.direction === "sent") {
      this.#sent.push({ ...observation, wire: observation.wire.slice(), content: observation.content.slice() });
    }
  }

  /** The records that are ready, as they were observed. */
  send(): readonly SentRecord[] {
    this.engine.takeOutputs();
    return this.#sent.splice(0);
  }

  receive(bytes: Uint8Array | "end"): void {
    if (bytes === "end") {
      this.engine.receiveEnd();
      return;
    }
    this.engine.receive(bytes);
    for (let data = this.engine.readEarlyData(); data !== undefined; data = this.engine.readEarlyData()) {
      this.#read += latin1(data);
    }
    for (let data = this.engine.read(); data !== undefined; data = this.engine.read()) this.#read += latin1(data);
  }

  report(): EndReport {
    const { state, error, result, ended } = this.engine;
    return {
      side: this.#side,
      state,
      states: this.#states,
      error,
      result,
      ended,
      read: this.#read,
      items: this.#items,
      secrets: this.secrets,
      sharedSecret: this.#sources.sharedSecret,
    };
  }
}
