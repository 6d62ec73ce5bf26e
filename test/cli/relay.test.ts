import { readFileSync } from "node:fs";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { createFetch } from "../../src/http/index.ts";
import { clientContext, viaRelay } from "../../src/index.ts";
import { certificateFiles, type Files, mutls, relaying as relayed, type Served, served } from "../support/cli.ts";

/** `mutls relay` before `mutls serve`, as README has it. */

const ended: Served[] = [];
afterEach(async () => {
  for (const relay of ended.splice(0)) await relay.stop();
});

async function relaying(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Served> {
  const relay = await relayed(args, env);
  ended.push(relay);
  return relay;
}

describe("mutls relay", () => {
  let files: Files;
  let server: Served;
  beforeAll(async () => {
    files = await certificateFiles();
    server = await served([...files.pair("server"), "--cacert", files.path("ca.pem"), "--client-auth", "on"]);
    return async () => {
      await server.stop();
      files.remove();
    };
  });

  const tls = (name: string) => {
    const [, cert = "", , key = ""] = files.pair(name);
    const read = (path: string) => readFileSync(path, "utf8");
    return {
      trust: read(files.path("ca.pem")),
      serverName: "localhost",
      identities: [{ cert: read(cert), key: read(key) }],
    };
  };
  const fetching = (relay: Served, token?: string) =>
    createFetch({
      clientContext: (options) => clientContext(options),
      connect: viaRelay(`ws://127.0.0.1:${relay.port}/`, { WebSocket, token }),
    });

  it("leads to a server that knows the client, and logs a line", async () => {
    const relay = await relaying(["--allow", `localhost:${server.port}`, "--token", "s3cret"]);
    const response = await fetching(relay, "s3cret")(`https://localhost:${server.port}/`, { tls: tls("client") });
    expect(await response.json()).toMatchObject({ client: { subject: "CN=alice" } });
    await relay.says(
      new RegExp(
        `^mutls: 127\\.0\\.0\\.1:\\d+ -> localhost:${server.port} \\(127\\.0\\.0\\.1\\): \\d+ bytes up, \\d+ down, [\\d.]+ s: closed \\(1000\\)\n$`,
      ),
    );
    const { status, stdout } = await relay.stop();
    expect([status, String(stdout)]).toEqual([0, `listening on 127.0.0.1:${relay.port}\n`]);
  });

  it("takes the token from the environment, which other users do not see", async () => {
    const relay = await relaying(["--allow", `localhost:${server.port}`], { MUTLS_RELAY_TOKEN: "s3cret" });
    const url = `https://localhost:${server.port}/`;
    await expect(fetching(relay)(url, { tls: tls("client") })).rejects.toMatchObject({ cause: { closeCode: 1006 } });
    await relay.says(/no token, or another \(401\)/);
    expect((await fetching(relay, "s3cret")(url, { tls: tls("client") })).status).toBe(200);
  });

  it("ends its connections in order at SIGTERM", async () => {
    const relay = await relaying(["--allow", `localhost:${server.port}`]);
    const stream = viaRelay(`ws://127.0.0.1:${relay.port}/`, { WebSocket })("localhost", server.port);
    // The relay has taken it once its first credit is there: until then nothing can be written.
    const writer = stream.writable.getWriter();
    await writer.write(Uint8Array.of(22));
    const reading = stream.readable
      .getReader()
      .read()
      .catch((error: unknown) => error);
    const { status, stderr } = await relay.stop();
    expect(await reading).toMatchObject({ closeCode: 1001, reason: "the relay is going away" });
    expect([status, stderr]).toEqual([0, expect.stringContaining("the relay is going away (1001)")]);
  });

  it("logs who was refused, and why, whatever it is called", async () => {
    const relay = await relaying(["--allow", "device.example:443", "--origin", "https://app.example"]);
    const socket = new WebSocket(`ws://127.0.0.1:${relay.port}/?to=a%0ab:1`, ["relay.mutls.1"], {
      origin: "https://evil.example",
    });
    socket.on("error", () => {});
    await relay.says(
      /^mutls: 127\.0\.0\.1:\d+ https:\/\/evil\.example -> a\?b:1: 0 bytes up, 0 down, [\d.]+ s: this origin is not allowed \(403\)\n$/,
    );
  });

  it.each([
    ["nothing allowed", [], "nothing is allowed"],
    ["a rule without a port", ["--allow", "device.example"], "HOST:PORT"],
    ["a wrong origin", ["--allow", "a:1", "--origin", "app"], "no origin"],
    ["a wrong place to listen", ["--allow", "a:1", "--listen", "8480"], "--listen"],
    ["a limit out of range", ["--allow", "a:1", "--max-queued", "1"], "--max-queued"],
  ])("is not used with %s", async (_, args, message) => {
    const { status, stderr } = await mutls(["relay", ...args]);
    expect([status, stderr]).toEqual([2, expect.stringContaining(message)]);
  });

  it("says where it cannot listen", async () => {
    const { status, stderr } = await mutls(["relay", "--allow", "a:1", "--listen", `127.0.0.1:${server.port}`]);
    expect([status, stderr]).toEqual([
      7,
      expect.stringMatching(/cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE[\s\S]*port 0/),
    ]);
  });
});
