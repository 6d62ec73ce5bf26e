import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { type ListeningRelay, serveRelay } from "../../src/relay/index.ts";
import { missing } from "../support/needs.ts";
import { bundle } from "./bundle.ts";
import { createMaterial } from "./material.ts";
import { endTalkers, talk, WORKERD_CONFIG } from "./peers.ts";
import { type Visited, visit } from "./web.ts";

/** fetch through a relay to node:https, in every runtime that has a WebSocket of its own. */

const RUNTIMES: readonly (readonly [name: string, variable: string, ...args: string[]])[] = [
  ["Node 22", "MUTLS_NODE22"],
  ["Node 24", "MUTLS_NODE24"],
  ["Node 26", "MUTLS_NODE26"],
  ["Deno", "MUTLS_DENO", "run", "--quiet", "--no-config", "--allow-all"],
  ["Bun", "MUTLS_BUN", "run"],
];

let folder: string;
let material: Awaited<ReturnType<typeof createMaterial>>;
let site: Server;
let relay: ListeningRelay;
let address: string;
let url: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mutls-runtimes-web-"));
  material = await createMaterial();
  site = createServer({ ...material.server["P-256"], ca: material.ca, requestCert: true }, (request, response) => {
    if (request.url === "/echo") request.pipe(response);
    else response.end(`hello ${(request.socket as TLSSocket).getPeerCertificate().subject.CN}`);
  });
  await new Promise<void>((resolve) => site.listen(0, "127.0.0.1", resolve));
  const { port } = site.address() as AddressInfo;
  relay = await serveRelay({ allow: [`localhost:${port}`], origins: ["*"] });
  address = `ws://127.0.0.1:${relay.port}/`;
  url = `https://localhost:${port}/`;
  writeFileSync(join(folder, "material.json"), JSON.stringify(material), { mode: 0o600 });
  writeFileSync(join(folder, "main.mjs"), await bundle("test/runtimes/web-main.ts", "node"));
  writeFileSync(
    join(folder, "worker.mjs"),
    await bundle("test/runtimes/workerd-web-main.ts", "browser", ["cloudflare:*"]),
  );
});

afterAll(async () => {
  endTalkers();
  await relay?.close();
  site?.closeAllConnections();
  site?.close();
  rmSync(folder, { recursive: true });
});

const expected = () => ({
  status: 200,
  url,
  text: "hello client P-256",
  echoed: 300_000,
  // node:https sends no alert: it closes, and where the request has come by then, the kernel resets the connection.
  refused: expect.stringMatching(/^ERR_(?:HTTP_CLOSED|TLS_TRANSPORT)$/),
});

for (const [name, variable, ...args] of RUNTIMES) {
  const command = process.env[variable] ?? "";
  it.skipIf(missing(`${variable}, ${name}`, existsSync(command)))(`${name} fetches through a relay`, async () => {
    const script = [join(folder, "main.mjs"), join(folder, "material.json"), address, url];
    const runtime = talk(command, [...args, ...script]);
    expect(await runtime.next<Visited>()).toEqual(expected());
    // Nothing keeps it.
    expect(await runtime.rest()).toEqual([]);
  });
}

/** README's relays of ten lines, in the language of each runtime, with another target and origin. */
const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
const relays = [...readme.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code = ""]) => code);

async function readmeRelay(mark: string, imports: string): Promise<string> {
  const code = relays.find((block) => block.includes(mark)) ?? "";
  const port = (site.address() as AddressInfo).port;
  const placed = code
    .replaceAll('"device.example:443"', `"localhost:${port}"`)
    .replaceAll('hostname: "device.example", port: 443', `hostname: "localhost", port: ${port}`)
    .replaceAll('"https://app.example"', "null");
  const { outputFiles } = await build({
    stdin: { contents: `${imports}\n${placed}`, resolveDir: fileURLToPath(new URL("../../", import.meta.url)) },
    bundle: true,
    write: false,
    format: "esm",
    external: ["cloudflare:*"],
    logLevel: "error",
  });
  return (outputFiles[0] as { text: string }).text;
}

const deno = process.env.MUTLS_DENO ?? "";

describe.skipIf(missing("MUTLS_DENO, Deno", existsSync(deno)))("README's relay in Deno", () => {
  it("leads to a server", async () => {
    const script = join(folder, "relay.mjs");
    const imports = 'import { connectionStream, RELAY_PROTOCOL, webSocketStream } from "mutls";';
    const code = await readmeRelay("Deno.serve(", imports);
    const listening = "{ port: 0, onListen: ({ port }) => console.log(JSON.stringify({ port })) }, ";
    writeFileSync(script, code.replace("Deno.serve(", `Deno.serve(${listening}`));
    const running = talk(deno, ["run", "--quiet", "--no-config", "--allow-all", script]);
    const { port } = await running.next<{ port: number }>();
    expect(await visit(material, `ws://127.0.0.1:${port}/`, url, WebSocket)).toEqual(expected());
  });
});

const workerd = process.env.MUTLS_WORKERD ?? "";

describe.skipIf(missing("MUTLS_WORKERD, workerd", existsSync(workerd)))("workerd", () => {
  it("fetches through a relay", async () => {
    const { port } = await workerdPort();
    const query = new URLSearchParams({ relay: address, url });
    const response = await fetch(`http://127.0.0.1:${port}/?${query}`, {
      method: "POST",
      body: JSON.stringify(material),
    });
    expect(await response.json()).toEqual(expected());
  });
});

describe.skipIf(missing("MUTLS_WORKERD, workerd", existsSync(workerd)))("README's relay in workerd", () => {
  it("leads to a server", async () => {
    const imports =
      'import { connect } from "cloudflare:sockets";\nimport { RELAY_PROTOCOL, webSocketStream } from "mutls";';
    writeFileSync(join(folder, "worker.mjs"), await readmeRelay("WebSocketPair", imports));
    const { port } = await workerdPort();
    expect(await visit(material, `ws://127.0.0.1:${port}/`, url, WebSocket)).toEqual(expected());
  });
});

function workerdPort(): Promise<{ port: number }> {
  writeFileSync(join(folder, "workerd.capnp"), WORKERD_CONFIG);
  return talk(workerd, ["serve", join(folder, "workerd.capnp"), "--control-fd=3"], 3).next();
}
