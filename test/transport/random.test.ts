import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { concat } from "../../src/bytes/bytes.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import {
  accept,
  type ByteStream,
  clientContext,
  connect,
  type EngineContext,
  memoryPair,
  serverContext,
  TlsError,
  type TlsSession,
} from "../../src/index.ts";
import { lateProvider } from "../support/late-provider.ts";
import { parties } from "../support/session.ts";

/** Whatever both sides do in whatever order: every session ends, no byte is lost or changed, nothing is unhandled. */

let contexts: { readonly client: EngineContext; readonly server: EngineContext }[];
const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);

beforeAll(async () => {
  process.on("unhandledRejection", note);
  const { clientOptions, serverOptions } = await parties();
  const cipherSuites = ["TLS_AES_128_GCM_SHA256"] as const;
  const groups = ["x25519"] as const;
  const late = (["bulk", "every"] as const).map((records) => lateProvider(nodeProvider, { seed: 1, records }));
  contexts = [nodeProvider, ...late].map((provider) => ({
    client: clientContext({ ...clientOptions, provider, cipherSuites, groups }),
    server: serverContext({ ...serverOptions, provider }),
  }));
});

afterAll(() => {
  process.off("unhandledRejection", note);
});

/** A number is that many bytes to write. */
const act = fc.record({
  side: fc.constantFrom(0, 1),
  what: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 100_000 }) },
    { weight: 6, arbitrary: fc.constant("read" as const) },
    { weight: 2, arbitrary: fc.constant("keys" as const) },
    { weight: 1, arbitrary: fc.constantFrom("close" as const, "cancel" as const, "abort" as const) },
  ),
  turns: fc.integer({ min: 0, max: 3 }),
});

/** One side with what it has sent and got. */
class Actor {
  readonly session: TlsSession;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly sent: Uint8Array[] = [];
  readonly got: Uint8Array[] = [];
  readonly errors = new Set<unknown>();
  cancelled = false;
  ended = false;
  #closed = false;
  #value: number;

  constructor(session: TlsSession, seed: number) {
    this.session = session;
    this.#writer = session.writable.getWriter();
    this.#reader = session.readable.getReader();
    this.#value = seed;
  }

  write(length: number): void {
    if (this.#closed) return;
    const data = new Uint8Array(length).map((_, index) => this.#value + index);
    this.#value += 7;
    this.sent.push(data);
    this.#writer.write(data).catch((error) => this.errors.add(error));
  }

  async read(): Promise<boolean> {
    try {
      const { done, value } = await this.#reader.read();
      if (value !== undefined) this.got.push(value);
      if (done && !this.cancelled) this.ended = true;
      return !done;
    } catch (error) {
      this.errors.add(error);
      return false;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.session.close().catch((error) => this.errors.add(error));
  }

  async cancel(): Promise<void> {
    this.cancelled = true;
    await this.#reader.cancel().catch((error) => this.errors.add(error));
  }

  keys(): void {
    try {
      this.session.updateKeys("update_requested");
    } catch (error) {
      expect(error).toBeInstanceOf(TlsError);
    }
  }

  async finish(): Promise<void> {
    const closing = this.close();
    while (await this.read()) {
      // To the end.
    }
    await closing;
    await this.session.closed.catch((error) => this.errors.add(error));
  }
}

/** Cuts what passes into pieces of these sizes, over and over. */
function recut({ readable, writable }: ByteStream, sizes: readonly number[]): ByteStream {
  let turn = 0;
  const cut = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      for (let rest = chunk; rest.length > 0; ) {
        const size = sizes[turn++ % sizes.length] as number;
        controller.enqueue(rest.slice(0, size));
        rest = rest.subarray(size);
      }
    },
  });
  readable.pipeTo(cut.writable).catch(() => {});
  return { readable: cut.readable, writable };
}

it("any order of acts ends well", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 2 }),
      fc.array(act, { maxLength: 24 }),
      fc.integer({ min: 0, max: 200_000 }),
      fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 4 }),
      async (which, acts, highWaterMark, sizes) => {
        const { client, server } = contexts[which] as (typeof contexts)[number];
        const [near, far] = memoryPair({ highWaterMark });
        const large = sizes.map((size) => size + 500);
        const sessions = await Promise.all([connect(recut(near, large), client), accept(recut(far, large), server)]);
        const actors = [new Actor(sessions[0], 1), new Actor(sessions[1], 101)] as const;
        for (const { side, what, turns } of acts) {
          const actor = actors[side] as Actor;
          if (typeof what === "number") actor.write(what);
          else if (what === "abort") actor.session.abort();
          else void actor[what]();
          for (let i = 0; i < turns; i++) await new Promise<void>((resolve) => setImmediate(resolve));
        }
        await Promise.all(actors.map((actor) => actor.finish()));
        const aborted = acts.some(({ what }) => what === "abort");
        const cancelled = actors.some((actor) => actor.cancelled);
        for (const [index, actor] of actors.entries()) {
          const sent = concat(...(actors[1 - index] as Actor).sent);
          const got = concat(...actor.got);
          expect(Buffer.compare(got, sent.subarray(0, got.length))).toBe(0);
          if (actor.ended) expect(got.length).toBe(sent.length);
          expect(actor.errors.size).toBeLessThanOrEqual(1);
          for (const error of actor.errors) expect(error).toBeInstanceOf(TlsError);
          if (!aborted && !cancelled) expect([actor.ended, actor.errors.size]).toEqual([true, 0]);
        }
        await new Promise<void>((resolve) => setImmediate(resolve));
        expect(unhandled).toEqual([]);
      },
    ),
    { numRuns: 200 },
  );
});
