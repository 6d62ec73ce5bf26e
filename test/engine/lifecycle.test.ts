/** Ends at every point where an engine can wait, and calls from everywhere a caller can stand. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { concat, join, utf8 } from "../../src/bytes/bytes.ts";
import type { CryptoProvider, Signer } from "../../src/crypto/provider.ts";
import type { ClientOptions, ServerOptions, TlsEngine } from "../../src/engine/index.ts";
import { clientContext, resolveIdentity, serverContext } from "../../src/engine/index.ts";
import { fault, type Side } from "../../src/errors.ts";
import type { Awaitable } from "../../src/flow.ts";
import { deliver, type End, end, exchange, exchangeLate, failure, failures } from "../support/pair.ts";
import { createWorld, identityOf, provider, type World } from "../support/world.ts";

let world: World;
const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);
beforeAll(async () => {
  world = await createWorld();
  process.on("unhandledRejection", note);
});
afterAll(() => {
  process.off("unhandledRejection", note);
  expect(unhandled).toEqual([]);
});

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Answers that come when the test says so. */
class Gate {
  readonly waiting: { readonly operation: string; readonly answer: () => void; readonly refuse: () => void }[] = [];

  hold<T>(operation: string, compute: () => Awaitable<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.waiting.push({
        operation,
        answer: () => {
          try {
            resolve(compute());
          } catch (error) {
            reject(error);
          }
        },
        refuse: () => reject(new Error(`${operation} failed late`)),
      });
    });
  }

  provider(): CryptoProvider {
    return {
      ...provider,
      synchronous: false,
      groups: provider.groups.map((group) => ({
        name: group.name,
        generate: () =>
          this.hold("key_share", async () => {
            const share = await group.generate();
            return { publicKey: share.publicKey, agree: (peer) => this.hold("key_agreement", () => share.agree(peer)) };
          }),
        encapsulate: (peer) => this.hold("encapsulation", () => group.encapsulate(peer)),
      })),
      verify: (...args) => this.hold("verify", () => provider.verify(...args)),
      signer: (pkcs8) => this.signer(provider.signer(pkcs8)),
    };
  }

  signer(signer: Signer): Signer {
    return { schemes: signer.schemes, sign: (...args) => this.hold("sign", () => signer.sign(...args)) };
  }
}

/** One side all of whose answers come late, and an honest other. */
function lateSide(side: Side): { gate: Gate; late: End; other: End } {
  const gate = new Gate();
  const yes = () => gate.hold("authorize", () => true);
  if (side === "client") {
    const options: ClientOptions = {
      ...world.clientOptions,
      provider: gate.provider(),
      identities: [],
      authorize: yes,
      selectIdentity: () =>
        gate.hold("select_identity", () => {
          const { cert, key } = identityOf(world.client);
          return resolveIdentity({ cert, key: gate.signer(provider.signer(key)) }, provider);
        }),
    };
    return { gate, late: end(clientContext(options).engine()), other: world.honestServer() };
  }
  const { cert, key } = identityOf(world.server);
  const options: ServerOptions = {
    ...world.serverOptions,
    provider: gate.provider(),
    identities: [{ cert, key: gate.signer(provider.signer(key)) }],
    authorize: yes,
    onClientHello: () => gate.hold("client_hello", () => undefined),
  };
  return { gate, late: end(serverContext(options).engine()), other: world.honestClient() };
}

/** Moves bytes between them until the `count`th answer is awaited, or all is done. Says which it is. */
async function until(count: number, { gate, late, other }: ReturnType<typeof lateSide>): Promise<string | undefined> {
  let seen = 0;
  for (let idle = 0; idle < 3; idle++) {
    exchange(late, other);
    await turn();
    const held = gate.waiting[0];
    if (held === undefined) continue;
    expect(gate.waiting.length).toBe(1);
    if (seen++ === count) return held.operation;
    gate.waiting.shift();
    held.answer();
    idle = -1;
  }
  return undefined;
}

const POINTS = {
  client: ["key_share", "key_agreement", "verify", "verify", "authorize", "select_identity", "sign"],
  server: ["client_hello", "encapsulation", "sign", "verify", "verify", "authorize"],
} as const;

describe.each(["client", "server"] as const)("a %s with late answers", (side) => {
  it("waits where it should, one answer at a time, and gets there", async () => {
    const pair = lateSide(side);
    const points: string[] = [];
    for (let count = 0; ; count++) {
      const again = lateSide(side);
      const point = await until(count, again);
      if (point === undefined) break;
      points.push(point);
      again.late.engine.abort();
    }
    expect(points).toEqual(POINTS[side]);
    await until(99, pair);
    expect([failure(pair.late), failure(pair.other)]).toEqual([undefined, undefined]);
    expect([pair.late.engine.state, pair.other.engine.state]).toEqual(["CONNECTED", "CONNECTED"]);
  });

  for (const [count, point] of POINTS[side].entries()) {
    for (const lateness of ["answer", "refuse"] as const) {
      it(`aborted during ${point} (${count}): one failure, and a late ${lateness} changes nothing`, async () => {
        const pair = lateSide(side);
        expect(await until(count, pair)).toBe(point);
        pair.late.engine.abort();
        expect(failure(pair.late)).toMatchObject({ code: "ERR_TLS_ABORTED", alert: "user_canceled" });
        const { state } = pair.late.engine;
        const output = pair.late.engine.takeOutput();
        pair.gate.waiting[0]?.[lateness]();
        await turn();
        await turn();
        expect([pair.late.engine.state, failures(pair.late)]).toEqual([state, 1]);
        expect(pair.late.engine.takeOutput().length).toBe(0);
        expect(pair.late.events.at(-1)?.type).toBe("failed");
        deliver(pair.other, output);
        // The peer was told: user_canceled, then close_notify.
        if (!(side === "client" && point === "key_share")) {
          expect(failure(pair.other)?.code ?? "ended").toMatch(/ALERT_CLOSE_NOTIFY|ended/);
        }
      });
    }

    it(`whose stream ends during ${point} (${count}): the answer first, then the truncation`, async () => {
      const pair = lateSide(side);
      await until(count, pair);
      pair.late.engine.receiveEnd();
      expect(failure(pair.late)).toBeUndefined();
      for (let held = pair.gate.waiting.shift(); held !== undefined; held = pair.gate.waiting.shift()) {
        held.answer();
        await turn();
      }
      expect([failure(pair.late)?.code, failures(pair.late)]).toEqual(["ERR_SSL_UNEXPECTED_EOF_WHILE_READING", 1]);
    });

    it(`whose answer in ${point} (${count}) is a failure: one failure, one alert, no throw`, async () => {
      const pair = lateSide(side);
      await until(count, pair);
      pair.gate.waiting[0]?.refuse();
      await turn();
      expect(failures(pair.late)).toBe(1);
      expect(failure(pair.late)?.alert).toBe("internal_error");
    });

    it(`given nothing but noise during ${point} (${count}): takes what it has room for and no more`, async () => {
      const pair = lateSide(side);
      await until(count, pair);
      const { engine } = pair.late;
      const room = engine.room;
      expect(room).toBeLessThanOrEqual(0x24000);
      expect(engine.receive(new Uint8Array(0x40000))).toBe(room);
      expect(engine.receive(new Uint8Array(10))).toBe(0);
      expect(failure(pair.late)).toBeUndefined();
      engine.abort();
      expect(engine.receive(new Uint8Array(10))).toBe(10);
    });
  }
});

describe("an engine that is not running", () => {
  it("does nothing before its start, and nothing after an abort before its start", () => {
    const engine = clientContext(world.clientOptions).engine();
    const events: string[] = [];
    engine.listen(({ type }) => events.push(type));
    expect(engine.receive(Uint8Array.of(1, 2, 3))).toBe(3);
    expect([engine.state, events, engine.takeOutput().length]).toEqual(["START", [], 0]);
    engine.abort();
    engine.start();
    expect([engine.result, events]).toEqual([undefined, ["failed"]]);
  });

  it("starts once", () => {
    const engine = clientContext(world.clientOptions).engine();
    engine.start();
    const length = engine.takeOutput().length;
    engine.start();
    expect([length > 100, engine.takeOutput().length]).toEqual([true, 0]);
  });

  it("fails once, whatever is done to it then", () => {
    const client = world.honestClient();
    deliver(client, utf8("HTTP/1.1 400 Bad Request\r\n"));
    const error = client.engine.error;
    client.engine.abort(fault("ERR_TLS_IDLE_TIMEOUT"));
    client.engine.receiveEnd();
    client.engine.close();
    expect(client.engine.receive(new Uint8Array(100))).toBe(100);
    expect(() => client.engine.write(utf8("x"))).toThrow(error);
    expect([failures(client), client.engine.error]).toEqual([1, error]);
  });
});

/** Calls everything, and says what threw. */
function callAll(engine: TlsEngine): unknown[] {
  const thrown: unknown[] = [];
  for (const call of [
    () => engine.start(),
    () => engine.receive(new Uint8Array(0)),
    () => engine.read(),
    () => engine.write(new Uint8Array(0)),
    () => engine.takeOutput(),
    () => [engine.room, engine.writable, engine.done, engine.ended, engine.finished, engine.state],
  ]) {
    try {
      call();
    } catch (error) {
      thrown.push(error);
    }
  }
  return thrown;
}

describe("events", () => {
  it("come one after the other: a handler is never inside itself, and none is told twice", () => {
    const client = world.honestClient();
    const server = world.honestServer();
    let depth = 0;
    let deepest = 0;
    const told: string[] = [];
    client.engine.listen((event) => {
      deepest = Math.max(deepest, ++depth);
      told.push(event.type);
      if (event.type === "handshake") client.engine.abort();
      else callAll(client.engine);
      depth--;
    });
    exchange(client, server);
    expect([deepest, told]).toEqual([1, ["handshake", "failed"]]);
  });

  it("whose handler throws leave the caller's bytes the caller's", () => {
    const [client, server] = [world.honestClient(), world.honestServer()];
    exchange(client, server);
    server.engine.write(utf8("one"));
    const first = server.engine.takeOutput();
    server.engine.write(utf8("two"));
    const second = server.engine.takeOutput();
    client.engine.listen(() => {
      throw new Error("a handler's own fault");
    });
    const bytes = concat(first, second.subarray(0, 10));
    expect(() => client.engine.receive(bytes)).toThrow("a handler's own fault");
    bytes.fill(0);
    client.engine.listen(() => {});
    deliver(client, second.subarray(10));
    expect([failure(client), join(client.received)]).toEqual([undefined, utf8("onetwo")]);
  });

  it("say once that this side was accepted", () => {
    const [client, server] = [world.honestClient(), world.honestServer()];
    for (let i = 0; i < 3; i++) {
      exchange(client, server);
      server.engine.write(Uint8Array.of(i));
    }
    exchange(client, server);
    expect(client.events.map(({ type }) => type)).toEqual(["handshake", "accepted"]);
  });

  it("do not repeat a state", () => {
    const states: string[] = [];
    const observer: ServerOptions["observer"] = (seen) => {
      if (seen.kind === "state") states.push(seen.state);
    };
    const server = world.honestServer({ observer, groups: ["secp256r1"] });
    exchange(world.honestClient(), server);
    expect(states).toEqual([
      "RECVD_CH",
      "START",
      "RECVD_CH",
      "NEGOTIATED",
      "WAIT_CERT",
      "WAIT_CV",
      "WAIT_FINISHED",
      "CONNECTED",
    ]);
  });
});

// biome-ignore-start lint/suspicious/noThenProperty: what is tested
const FALSE_LATER = { then: (answer: (value: unknown) => void) => answer(Promise.resolve(false)) };
const FALSE_FUNCTION = Object.assign(() => true, { then: (answer: (value: unknown) => void) => answer(false) });
// biome-ignore-end lint/suspicious/noThenProperty: what is tested

describe("a thenable that is no good promise", () => {
  it.each([
    ["one of false in another", FALSE_LATER],
    ["a function that is one of false", FALSE_FUNCTION],
    ["an object that says no in its own way", { ok: false }],
    ["a text", "yes"],
  ])("does not authorize: %s", async (_what, answer) => {
    const client = world.honestClient({ authorize: () => answer as never });
    const server = world.honestServer();
    await exchangeLate(client, server);
    expect(failure(client)).toMatchObject({ code: "ERR_TLS_ACCESS_DENIED", direction: "sent" });
    expect(failure(server)).toMatchObject({ alert: "access_denied", direction: "received" });
  });

  it("and answers twice is heard once", async () => {
    // biome-ignore lint/suspicious/noThenProperty: what is tested
    const twice = { then: (answer: (value: boolean) => void) => [answer(true), answer(false)] };
    const client = world.honestClient({ authorize: () => twice as never });
    const server = world.honestServer();
    await exchangeLate(client, server);
    expect([failure(client), failure(server), client.events.map(({ type }) => type)]).toEqual([
      undefined,
      undefined,
      ["handshake"],
    ]);
  });
});

describe("calls from inside", () => {
  /** A client whose callbacks do `what`, having shaken hands with an honest server. */
  function insider(what: (engine: TlsEngine, where: string) => void): { client: End; server: End } {
    let engine: TlsEngine | undefined;
    const inside = (where: string) => {
      if (engine !== undefined) what(engine, where);
    };
    const { cert, key } = identityOf(world.client);
    const signer = provider.signer(key);
    const identity = resolveIdentity(
      {
        cert,
        key: {
          schemes: signer.schemes,
          sign: (...args) => {
            inside("sign");
            return signer.sign(...args);
          },
        },
      },
      provider,
    );
    const watching: CryptoProvider = {
      ...provider,
      synchronous: false,
      verify: (...args) => {
        inside("verify");
        return provider.verify(...args);
      },
    };
    engine = clientContext({
      ...world.clientOptions,
      provider: watching,
      identities: [identity],
      authorize: () => {
        inside("authorize");
        return true;
      },
    }).engine();
    const client = end(engine);
    const events: End["events"] = client.events;
    engine.listen((event) => {
      events.push(event);
      inside(`event ${event.type}`);
    });
    const server = world.honestServer();
    exchange(client, server);
    return { client, server };
  }

  it("change nothing where they ask for nothing", () => {
    const thrown: unknown[] = [];
    const { client, server } = insider((engine) => thrown.push(...callAll(engine)));
    // takeOutput from inside has taken what was there: the rest decides whether the handshake got through.
    expect(thrown).toEqual([]);
    expect([failures(client), failures(server)]).toEqual([0, 0]);
  });

  it("may write, wherever they come from: all of it arrives, in order, after the handshake", () => {
    const written: string[] = [];
    const { client, server } = insider((engine, where) => {
      expect(engine.write(utf8(`${where};`))).toBe(where.length + 1);
      written.push(`${where};`);
    });
    expect([failure(client), failure(server)]).toEqual([undefined, undefined]);
    expect(written.slice(0, 3)).toEqual(["verify;", "verify;", "authorize;"]);
    expect(join(server.received)).toEqual(utf8(written.join("")));
  });

  it("may close, wherever they come from: what was written goes out before close_notify", () => {
    for (const from of ["verify", "authorize", "sign", "event handshake"]) {
      const { client, server } = insider((engine, where) => {
        if (where !== from || engine.finished) return;
        if (engine.writable > 0) engine.write(utf8("last words"));
        engine.close();
      });
      expect([failure(client), failure(server)]).toEqual([undefined, undefined]);
      expect([join(server.received), server.engine.ended]).toEqual([utf8("last words"), true]);
    }
  });

  it.each(["verify", "authorize", "sign", "event handshake"])("may abort from %s: one failure", (from) => {
    const { client } = insider((engine, where) => {
      if (where === from) engine.abort();
    });
    expect(failure(client)).toMatchObject({ code: "ERR_TLS_ABORTED" });
    expect(failures(client)).toBe(1);
    if (from !== "event handshake") expect(client.events.map(({ type }) => type)).toEqual(["failed"]);
  });

  it("may hand in bytes: they are read when their turn comes", () => {
    const bytes: Uint8Array[] = [];
    const { client, server } = insider((engine) => {
      const next = bytes.shift();
      if (next !== undefined) engine.receive(next);
    });
    server.engine.write(utf8("one "));
    const first = server.engine.takeOutput();
    server.engine.updateKeys();
    bytes.push(server.engine.takeOutput());
    server.engine.write(utf8("two"));
    const third = server.engine.takeOutput();
    deliver(client, first);
    // The KeyUpdate is handed in by the handler of an event that comes with the next bytes.
    if (bytes.length > 0) deliver(client, bytes.shift() as Uint8Array);
    deliver(client, third);
    expect([failure(client), join(client.received)]).toEqual([undefined, utf8("one two")]);
  });

  it("that abort and then give a promise which fails: no unhandled rejection", async () => {
    let engine: TlsEngine | undefined;
    engine = clientContext({
      ...world.clientOptions,
      authorize: () => {
        engine?.abort();
        return Promise.reject(new Error("too late to matter"));
      },
    }).engine();
    const client = end(engine);
    exchange(client, world.honestServer());
    await turn();
    await turn();
    expect([failure(client)?.code, failures(client)]).toEqual(["ERR_TLS_ABORTED", 1]);
  });

  it("of an observer may abort too", () => {
    for (const kind of ["state", "message", "record"]) {
      let engine: TlsEngine | undefined;
      engine = clientContext({
        ...world.clientOptions,
        observer: (seen) => {
          if (seen.kind === kind && engine?.state === "WAIT_SH") engine.abort();
        },
      }).engine();
      const client = end(engine);
      exchange(client, world.honestServer());
      expect([kind, failure(client)?.code, failures(client), client.engine.result]).toEqual([
        kind,
        "ERR_TLS_ABORTED",
        1,
        undefined,
      ]);
    }
  });

  it("of an observer that throws are no business of the handshake: they surface outside it", async () => {
    const caught: unknown[] = [];
    const others = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.on("uncaughtException", (error) => caught.push(error));
    try {
      const broken = new Error("a broken observer");
      let seen = 0;
      const client = world.honestClient({
        observer: () => {
          seen++;
          throw broken;
        },
      });
      const server = world.honestServer();
      exchange(client, server);
      await turn();
      expect([failure(client), client.engine.state]).toEqual([undefined, "CONNECTED"]);
      expect(seen).toBeGreaterThan(10);
      expect(caught).toEqual(new Array(seen).fill(broken));
    } finally {
      process.removeAllListeners("uncaughtException");
      for (const listener of others) process.on("uncaughtException", listener);
    }
  });

  it("of a padding callback that throws, or gives no number, end it with an alert", () => {
    const throws = () => {
      throw new Error("no padding today");
    };
    for (const padding of [throws, () => Number.NaN]) {
      const client = world.honestClient({ padding });
      const server = world.honestServer();
      exchange(client, server);
      expect(failure(client)).toMatchObject({ code: "ERR_TLS_CALLBACK_FAILED", alert: "internal_error" });
      expect(failure(server)).toMatchObject({ code: "ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR", direction: "received" });
    }
  });

  it("of a callback that throws end it with an alert", () => {
    const server = world.honestServer({
      onClientHello: () => {
        throw new Error("no such tenant");
      },
    });
    const client = world.honestClient();
    exchange(client, server);
    expect(failure(server)).toMatchObject({ code: "ERR_TLS_CALLBACK_FAILED", alert: "internal_error" });
    expect(failure(client)?.code).toBe("ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR");
  });
});

describe("a closed engine", () => {
  it("says so once, and aborts nothing when both sides are done", () => {
    const [client, server] = [world.honestClient(), world.honestServer()];
    exchange(client, server);
    client.engine.close();
    client.engine.close();
    expect(client.engine.takeOutput().length).toBe(5 + 2 + 1 + 16);
    const [a, b] = [world.honestClient(), world.honestServer()];
    exchange(a, b);
    a.engine.close();
    b.engine.close();
    exchange(a, b);
    a.engine.abort();
    expect([failure(a), a.engine.takeOutput().length, a.engine.done]).toEqual([undefined, 0, true]);
  });

  it("has no keys to update, nor has one that is not connected", () => {
    const client = world.honestClient();
    expect(() => client.engine.updateKeys()).toThrow(/closed/);
    expect(failure(client)).toBeUndefined();
    const server = world.honestServer();
    exchange(client, server);
    client.engine.close();
    expect(() => client.engine.updateKeys()).toThrow(/closed/);
    expect(failure(client)).toBeUndefined();
  });

  it("goes on reading, and says so", () => {
    const [client, server] = [world.honestClient(), world.honestServer()];
    exchange(client, server);
    client.engine.close();
    expect(() => client.engine.write(utf8("x"))).toThrow(/closed/);
    exchange(client, server);
    server.engine.write(utf8("and another thing"));
    exchange(client, server);
    expect(concat(...client.received)).toEqual(utf8("and another thing"));
    server.engine.close();
    exchange(client, server);
    expect([client.engine.done, server.engine.done, failure(client), failure(server)]).toEqual([
      true,
      true,
      undefined,
      undefined,
    ]);
  });

  it("may close before it has shaken hands: then the handshake ends first", () => {
    const [client, server] = [world.honestClient(), world.honestServer()];
    client.engine.close();
    exchange(client, server);
    expect([server.engine.state, server.engine.ended, failure(client)]).toEqual(["CONNECTED", true, undefined]);
  });
});
