import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { expect, it } from "vitest";
import { parties } from "../support/session.ts";

/** Sessions that closed, failed, timed out and were cut off, each with every timer that there is. */
const script = `
import { writeFileSync } from "node:fs";
import { clientContext, connect, credentialFiles, renewal, serve } from "./mutls.mjs";
const { clientOptions, serverOptions } = JSON.parse(process.env.PARTIES);
const host = "127.0.0.1";
const timers = { idleTimeout: 60_000, handshakeTimeout: 60_000, maxLifetime: 60_000, recheckInterval: 60_000 };
const echo = ({ readable, writable }) => readable.pipeTo(writable);
const signal = new AbortController().signal;
const server = await serve({ ...serverOptions, ...timers, host }, echo);
const to = { ...clientOptions, ...timers, host, port: server.port, signal };
const session = await connect(to);
const writer = session.writable.getWriter();
await writer.write(new Uint8Array(100_000));
await writer.close();
for await (const chunk of session.readable) void chunk;
await session.closed;
const refused = await connect({ ...to, identities: [] });
await refused.closed.catch(({ code }) => console.log(code));
await connect({ ...to, serverName: "elsewhere.test" }).catch(({ code }) => console.log(code));
// Never closed, and nothing that anybody waits for.
writeFileSync("ca.pem", serverOptions.trust);
const [identity] = serverOptions.identities;
const context = clientContext({ ...clientOptions });
credentialFiles({ trust: "ca.pem" }).follow(context);
renewal({ identity, obtain: async () => identity, contexts: context });
const left = await connect(to);
await server.close(true);
await left.closed.catch(() => console.log("cut off"));
`;

it("nothing keeps a process whose sessions are over", async () => {
  const { clientOptions, serverOptions } = await parties();
  const folder = mkdtempSync(join(tmpdir(), "mutls-"));
  try {
    buildSync({
      entryPoints: [fileURLToPath(new URL("../../src/node/index.ts", import.meta.url))],
      outfile: join(folder, "mutls.mjs"),
      bundle: true,
      platform: "node",
      format: "esm",
    });
    writeFileSync(join(folder, "main.mjs"), script);
    const { stdout, stderr, signal, status } = spawnSync(process.execPath, [join(folder, "main.mjs")], {
      env: { ...process.env, PARTIES: JSON.stringify({ clientOptions, serverOptions }) },
      cwd: folder,
      timeout: 20_000,
      encoding: "utf8",
    });
    expect(stdout.split("\n")).toEqual([
      "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED",
      "ERR_TLS_CERT_ALTNAME_INVALID",
      "cut off",
      "",
    ]);
    expect([stderr, signal, status]).toEqual(["", null, 0]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
