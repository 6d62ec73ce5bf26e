/** Groups that must be named, in node:tls and here: the same code against each. */
import { once } from "node:events";
import type { TLSSocket } from "node:tls";
import { beforeAll, describe, expect, it } from "vitest";
import { type Identities, identities, listening, PAIRS } from "./world.ts";

let p: Identities;
beforeAll(async () => {
  p = await identities();
});

describe.each(PAIRS)("%s", (_name, client, server) => {
  const common = { minVersion: "TLSv1.3" } as const;
  const connect = async (group: string, minDHSize?: number): Promise<TLSSocket> => {
    const listener = server.createServer({ ...common, ...p.server, ecdhCurve: group });
    listener.on("secureConnection", (socket) => socket.on("error", () => {}).resume());
    const port = await listening(listener);
    const options = { ...common, port, ca: p.ca, servername: "localhost", ecdhCurve: group };
    return client.connect({ ...options, ...(minDHSize && { minDHSize }) });
  };

  it.each([
    ["X448", { type: "ECDH", name: "X448", size: 448 }],
    ["ffdhe2048", { type: "DH", size: 2048 }],
    ["ffdhe3072", { type: "DH", size: 3072 }],
  ])("%s", async (group, info) => {
    const socket = await connect(group, 2048);
    await once(socket, "secureConnect");
    expect(socket.getEphemeralKeyInfo()).toEqual(info);
    socket.destroy();
  });

  it("a finite field smaller than minDHSize is refused", async () => {
    const socket = await connect("ffdhe2048", 3072);
    const [error] = await once(socket, "error");
    expect(error.code).toBe("ERR_TLS_DH_PARAM_SIZE");
  });
});
