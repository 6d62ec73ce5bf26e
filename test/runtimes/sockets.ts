/** One connection with OpenSSL over whatever socket the runtime has. */
import { accept, type ByteStream, connect, type TlsSession } from "../../src/index.ts";
import { describe, type Material, readAll, utf8, writeAll } from "./core.ts";

/** What this side saw. */
export interface Facts {
  readonly protocol?: string;
  readonly group?: string;
  readonly verified?: boolean;
  readonly peer?: string | undefined;
  readonly received?: string;
  /** The code, where it failed. */
  readonly error?: string;
}

/** As a client with an identity of the material: sends one line, and tells what comes back before the end. */
export async function dial(
  open: () => Promise<ByteStream>,
  material: Material,
  who: "client" | "stranger",
): Promise<Facts> {
  return attempt(async () => {
    const identity = who === "client" ? material.client["P-256"] : material.stranger;
    const session = await connect(await open(), {
      trust: material.ca,
      serverName: "localhost",
      identities: [identity],
      ignoreRequestHints: true,
    });
    await session.accepted;
    await writeAll(session, utf8("over a socket\n"));
    const received = new TextDecoder().decode(await readAll(session));
    await session.closed;
    return { ...facts(session), received };
  });
}

/** As a server that wants a certificate: sends back what it gets. */
export async function answer(stream: ByteStream, material: Material): Promise<Facts> {
  return attempt(async () => {
    const identities = [material.server["P-256"]];
    const session = await accept(stream, { trust: material.ca, identities, clientAuth: "on" });
    await session.readable.pipeTo(session.writable);
    await session.closed;
    return facts(session);
  });
}

async function attempt(act: () => Promise<Facts>): Promise<Facts> {
  try {
    return await act();
  } catch (error) {
    return { error: (error as { code?: string }).code ?? describe(error) };
  }
}

function facts({ protocol, group, verified, peer }: TlsSession): Facts {
  return { protocol, group: group ?? "none", verified, peer: peer?.commonName };
}
