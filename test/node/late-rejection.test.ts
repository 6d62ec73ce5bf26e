import { createServer, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { connect, serve, serverContext, type TlsServer } from "../../src/node/index.ts";
import { codeOf, type Parties, parties, pattern, pemOf, readAll } from "../support/session.ts";

/** In TLS 1.3 the client has finished before the server judges its certificate. Here the client writes at once. */

let p: Parties;
let server: TlsServer;
const host = "127.0.0.1";
const unhandled: unknown[] = [];
const refused: string[] = [];
const note = (reason: unknown) => unhandled.push(reason);

beforeAll(async () => {
  process.on("unhandledRejection", note);
  p = await parties();
  const onError = (error: unknown) => refused.push((error as { code: string }).code);
  server = await serve({ ...p.serverOptions, host, onError }, (session) => session.readable.pipeTo(session.writable));
});

afterAll(async () => {
  await server.close();
  process.off("unhandledRejection", note);
});

/** What a client sees that writes first: every error on a read, a write or `accepted`, as they are. */
async function attempt(port: number, identities: Parties["clientOptions"]["identities"], data: Uint8Array) {
  const session = await connect({ ...p.clientOptions, identities, ignoreRequestHints: true, host, port });
  const outcome = { accepted: undefined as unknown, read: undefined as unknown, write: undefined as unknown };
  const writer = session.writable.getWriter();
  await Promise.all([
    session.accepted.catch((error: unknown) => {
      outcome.accepted = error;
    }),
    readAll(session.readable).catch((error: unknown) => {
      outcome.read = error;
    }),
    writer.write(data).catch((error: unknown) => {
      outcome.write = error;
    }),
  ]);
  outcome.write ??= await writer.write(data).catch((error: unknown) => error);
  expect(await session.closed.catch((error: unknown) => error)).toBe(outcome.read);
  return outcome;
}

/** How often each kind of outcome was seen. */
async function tally(
  times: number,
  port: number,
  identities: Parties["clientOptions"]["identities"],
  data: Uint8Array,
): Promise<Record<string, number>> {
  const seen: Record<string, number> = {};
  const worker = async (share: number) => {
    for (let i = 0; i < share; i++) {
      const { accepted, read, write } = await attempt(port, identities, data);
      const one = accepted === read && read === write;
      const key = one ? String((read as { code?: string } | undefined)?.code) : `${accepted} / ${read} / ${write}`;
      seen[key] = (seen[key] ?? 0) + 1;
    }
  };
  await Promise.all([worker(times / 2), worker(times / 2)]);
  return seen;
}

describe("a client refused after it has finished, over TCP", () => {
  it("gets certificate_required 250 times when it has no certificate", async () => {
    expect(await tally(250, server.port, [], utf8("hello"))).toEqual({
      ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 250,
    });
  });

  it("gets unknown_ca 250 times when its CA is not trusted", async () => {
    const identities = [pemOf(p.stranger)];
    expect(await tally(250, server.port, identities, utf8("hello"))).toEqual({
      ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 250,
    });
  });

  it("gets it in the middle of a large write", async () => {
    expect(await tally(40, server.port, [], pattern(1_000_000))).toEqual({
      ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 40,
    });
  });

  it("gets it from a server that resets the connection behind its alert", async () => {
    const context = serverContext(p.serverOptions);
    const rude = createServer((socket) => answerAndReset(socket, context));
    await new Promise<void>((resolve) => rude.listen({ host, port: 0 }, resolve));
    const { port } = rude.address() as { port: number };
    const seen = await tally(100, port, [], pattern(1_000_000));
    rude.close();
    expect(seen).toEqual({ ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 100 });
  });

  it("gets it even where its own write fails first, with the alert still unread", async () => {
    const context = serverContext(p.serverOptions);
    for (let i = 0; i < 20; i++) {
      let write: (() => void) | undefined;
      const rude = createServer((socket) => answerAndReset(socket, context, () => write?.()));
      await new Promise<void>((resolve) => rude.listen({ host, port: 0 }, resolve));
      const { port } = rude.address() as { port: number };
      const session = await connect({ ...p.clientOptions, identities: [], host, port });
      const writer = session.writable.getWriter();
      const written = new Promise<string | undefined>((resolve) => {
        // Before this process looks at its sockets again: the kernel has the alert and the reset.
        write = () => resolve(codeOf(writer.write(utf8("hello")).then(() => writer.closed)));
      });
      expect(await written).toBe("ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED");
      expect(await codeOf(session.accepted)).toBe("ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED");
      expect(await codeOf(readAll(session.readable))).toBe("ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED");
      rude.close();
    }
  });

  it("is told by the server's own log what was wrong, and leaves it running", async () => {
    expect(new Set(refused)).toEqual(
      new Set(["ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"]),
    );
    const session = await connect({ ...p.clientOptions, host, port: server.port });
    const writer = session.writable.getWriter();
    await writer.write(utf8("hello"));
    await session.accepted;
    await writer.close();
    expect(await readAll(session.readable)).toEqual(utf8("hello"));
    expect(await codeOf(session.closed)).toBeUndefined();
    expect(unhandled).toEqual([]);
  });
});

/** Neither FIN nor patience: what many servers do. */
function answerAndReset(socket: Socket, context: ReturnType<typeof serverContext>, onReset?: () => void): void {
  const engine = context.engine();
  engine.start();
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    engine.receive(chunk);
    const output = engine.takeOutput();
    if (output.length === 0) return;
    socket.write(output, () => {
      if (engine.error === undefined) return;
      socket.resetAndDestroy();
      onReset?.();
    });
  });
}
