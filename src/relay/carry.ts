/** One connection through a relay: both directions, with limits on its time. */
import type { Socket } from "node:net";
import { socketStream } from "../transport/node-socket.ts";
import type { ByteStream } from "../transport/stream.ts";
import { RelayCode, RelayEnd } from "./dial.ts";

/** What one connection carries, and how long it may. */
export interface Carriage {
  /** Counts, and keeps the connection from being idle. */
  moved(direction: "up" | "down", bytes: number): void;
}

/**
 * Moves bytes both ways until both directions have ended.
 *
 * @param near - The client's.
 * @throws RelayEnd when the server's side breaks; whatever breaks the client's.
 */
export async function carry(near: ByteStream, socket: Socket, { moved }: Carriage): Promise<void> {
  const far = socketStream(socket);
  const up = pump(near.readable, far.writable, (bytes) => moved("up", bytes));
  const down = pump(far.readable, near.writable, (bytes) => moved("down", bytes));
  // A client that has gone takes the server's connection along. A server that takes nothing more may still have something
  // to say, such as why: what the client sends meanwhile is thrown away.
  let gone: Broken | undefined;
  const upward = up.catch((broken: Broken) => {
    if (broken.side === "source") {
      gone = broken;
      socket.destroy();
    } else void near.readable.cancel(broken.cause).catch(ignore);
  });
  try {
    await down;
  } catch (error) {
    socket.destroy();
    const { side, cause } = error as Broken;
    if (side === "sink") throw cause;
    if (gone !== undefined) throw gone.cause;
    const { code = "the connection broke" } = cause as NodeJS.ErrnoException;
    throw new RelayEnd(RelayCode.unreachable, `the server: ${code}`);
  }
  await upward;
}

/** Which end of a pump broke. */
class Broken extends Error {
  readonly side: "source" | "sink";

  constructor(side: "source" | "sink", cause: unknown) {
    super(`the ${side} broke`, { cause });
    this.side = side;
  }
}

async function pump(
  readable: ReadableStream<Uint8Array>,
  writable: WritableStream<Uint8Array>,
  moved: (bytes: number) => void,
): Promise<void> {
  const reader = readable.getReader();
  const writer = writable.getWriter();
  writer.closed.catch(ignore);
  try {
    for (;;) {
      const { done, value } = await reader
        .read()
        .catch((cause: unknown) => Promise.reject(new Broken("source", cause)));
      if (done) break;
      moved(value.length);
      await writer.write(value).catch((cause: unknown) => Promise.reject(new Broken("sink", cause)));
    }
    await writer.close().catch((cause: unknown) => Promise.reject(new Broken("sink", cause)));
  } finally {
    reader.releaseLock();
    writer.releaseLock();
  }
}

function ignore(): void {}
