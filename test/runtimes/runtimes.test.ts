import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nodeProvider } from "../../src/crypto/node.ts";
import { missing } from "../support/needs.ts";
import { endOpenssl, startClient, startServer } from "../support/openssl.ts";
import { PemFiles } from "../support/pem-files.ts";
import { bundle } from "./bundle.ts";
import { core, type Lacks } from "./cases.ts";
import { addProvider, caseNames, type Material, type Result } from "./core.ts";
import { createMaterial } from "./material.ts";
import { endTalkers, talk, WORKERD_CONFIG } from "./peers.ts";
import type { Facts } from "./sockets.ts";

/** A runtime with processes, sockets and files; test/runtimes/install.sh installs them. */
interface Runtime {
  readonly name: string;
  /** Tells where it is. */
  readonly variable: string;
  /** Before the script. */
  readonly args: readonly string[];
  /** Cases that fail for want of something in its node:crypto, and how. */
  readonly lacks?: Lacks;
}

const node = (major: number): Runtime => ({ name: `Node ${major}`, variable: `MUTLS_NODE${major}`, args: [] });

const RUNTIMES: readonly Runtime[] = [
  node(20),
  node(22),
  node(24),
  node(26),
  {
    name: "Deno",
    variable: "MUTLS_DENO",
    args: ["run", "--quiet", "--no-config", "--allow-all"],
    lacks: { "node, secp521r1": /invalid curve/ },
  },
  {
    name: "Bun",
    variable: "MUTLS_BUN",
    args: ["run"],
    lacks: {
      "node, TLS_CHACHA20_POLY1305_SHA256": /ERR_TLS_OPTION.* is not in provider node/,
      "node, RSA-PSS certificates": /ERR_TLS_KEY/,
    },
  },
];

const COMMON = caseNames();
const WITH_NODE_CRYPTO = [...COMMON, ...addProvider("node", () => nodeProvider)];

const files = new PemFiles();
const folder = mkdtempSync(join(tmpdir(), "mutls-runtimes-"));
const script = join(folder, "main.mjs");
const materialFile = join(folder, "material.json");
let material: Material;

beforeAll(async () => {
  material = await createMaterial();
  writeFileSync(materialFile, JSON.stringify(material), { mode: 0o600 });
  writeFileSync(script, await bundle("test/runtimes/process-main.ts", "node"));
  writeFileSync(join(folder, "worker.mjs"), await bundle("test/runtimes/workerd-main.ts", "browser", ["cloudflare:*"]));
});

afterAll(() => {
  endTalkers();
  endOpenssl();
  files.remove();
  rmSync(folder, { recursive: true });
});

for (const { name, variable, args, lacks } of RUNTIMES) {
  const command = process.env[variable] ?? "";
  const start = (...more: readonly string[]) => talk(command, [...args, script, ...more]);

  describe.skipIf(missing(`${variable}, ${name}`, existsSync(command)))(name, () => {
    core(WITH_NODE_CRYPTO, () => start("core", materialFile).rest<Result>(), lacks);
    withServer((port, who) => start("dial", materialFile, String(port), who).next<Facts>());

    it("is a server to OpenSSL", async () => {
      const runtime = start("listen", materialFile);
      const { port } = await runtime.next<{ port: number }>();
      const client = startClient(port, {
        "-CAfile": files.path(material.ca),
        "-cert": files.path(material.client["P-256"].cert),
        "-key": files.path(material.client["P-256"].key),
        "-servername": "localhost",
        "-verify_return_error": true,
        "-verify": 2,
      });
      client.process.stdin.write("over a socket\n");
      await client.until(() => client.stdout().length > 0);
      client.process.stdin.end();
      expect(await runtime.next<Facts>()).toEqual({
        protocol: "TLSv1.3",
        group: expect.any(String),
        verified: true,
        peer: "client P-256",
      });
      expect(await runtime.rest()).toEqual([]);
      await client.exited;
      expect(client.stdout().toString()).toBe("over a socket\n");
      expect(client.summary()).toMatchObject({ protocol: "TLSv1.3", verification: "OK" });
    });
  });
}

const workerd = process.env.MUTLS_WORKERD ?? "";

describe.skipIf(missing("MUTLS_WORKERD, workerd", existsSync(workerd)))("workerd", () => {
  let address: string;

  beforeAll(async () => {
    const config = join(folder, "workerd.capnp");
    writeFileSync(config, WORKERD_CONFIG);
    // That it starts says that nothing needs randomness or I/O when it is loaded: workerd allows neither there.
    const { port } = await talk(workerd, ["serve", config, "--control-fd=3"], 3).next<{ port: number }>();
    address = `http://127.0.0.1:${port}`;
  });

  const post = async (path: string): Promise<string> => {
    const response = await fetch(address + path, { method: "POST", body: JSON.stringify(material) });
    expect(response.status).toBe(200);
    return response.text();
  };

  core(COMMON, async () =>
    (await post("/core"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line)),
  );
  withServer(async (port, who) => JSON.parse(await post(`/dial?port=${port}&who=${who}`)));
});

/** The runtime as a client of `openssl s_server`. */
function withServer(dial: (port: number, who: "client" | "stranger") => Promise<Facts>): void {
  const serve = async () => {
    const { port, server } = await startServer({
      "-CAfile": files.path(material.ca),
      "-cert": files.path(material.server["P-256"].cert),
      "-key": files.path(material.server["P-256"].key),
      "-Verify": 1,
      "-verify_return_error": true,
      "-rev": true,
    });
    let ended = false;
    void server.exited.then(() => {
      ended = true;
    });
    /** Again while it does not listen yet: it writes down every connection. */
    const meet = async (who: "client" | "stranger"): Promise<Facts> => {
      for (;;) {
        const seen = await dial(port, who);
        if (ended || server.stderr() !== "") return seen;
      }
    };
    return { meet, server };
  };

  it("is a client to OpenSSL", async () => {
    const { meet, server } = await serve();
    expect(await meet("client")).toEqual({
      protocol: "TLSv1.3",
      group: expect.any(String),
      verified: true,
      peer: "localhost",
      received: "tekcos a revo\n",
    });
    await server.exited;
    expect(server.summary()).toMatchObject({ protocol: "TLSv1.3", verification: "OK" });
    expect(server.summary().peer).toContain("client P-256");
  });

  it("is refused by OpenSSL with the certificate of another authority", async () => {
    const { meet, server } = await serve();
    expect(await meet("stranger")).toEqual({ error: "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA" });
    server.process.kill();
  });
}
