/**
 * Commands of other projects as peers of mutls: `node tool.mjs openssl|gnutls|nss` and the flags of README.md. Runs the
 * project's own client or server, talks through it, and prints what it said about the connection as one line of JSON.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { flags, say } from "./flags.mjs";
import { gnutls } from "./tool-gnutls.mjs";
import { nss } from "./tool-nss.mjs";
import { openssl } from "./tool-openssl.mjs";

const [name] = process.argv.splice(2, 1);
const tool = { openssl, gnutls, nss }[name];
const folder = mkdtempSync(join(tmpdir(), "mutls-tool-"));
const options = { ...flags(), folder };
const LINES = ["first", "second"];
let child;
// The tool goes when this process is told to.
process.on("SIGTERM", () => {
  child?.kill();
  rmSync(folder, { recursive: true, force: true });
  process.exit(1);
});

try {
  tool.prepare?.(options);
  writeFileSync(join(folder, "lines"), `${LINES.join("\n")}\n`);
  await (options.role === "server" ? serve() : connect());
} catch (error) {
  say({ error: error.message });
  process.exitCode = 1;
} finally {
  child?.kill();
  rmSync(folder, { recursive: true, force: true });
}

async function serve() {
  const port = await freePort();
  const talk = start(tool.server({ ...options, port }));
  await talk.until(() => listens(port));
  if (options["early-data"] && tool.quarantine) await delay(tool.quarantine);
  say({ port, version: tool.version() });
  let from = 0;
  for (let connection = 0; connection < options.connections; connection++) {
    let lines = 0;
    const came = () => talk.text(from).includes(`${LINES[lines]}\n`);
    while (!tool.echoes && lines < LINES.length) {
      await talk.until(came);
      if (lines === 1 && options["key-update"]) await updateKeys(talk);
      talk.write(`${LINES[lines]}\n`);
      lines++;
    }
    if (tool.echoes) await talk.until(() => tool.over.test(talk.text(from)));
    const text = talk.text(from);
    say({ ...tool.facts(text, options, connection), ...(tool.echoes ? {} : { lines }) });
    from += text.length;
  }
  // It still has to close its end; who has heard enough ends this process.
  await talk.exited;
}

async function connect() {
  say({ version: tool.version() });
  for (let connection = 0; connection < options.connections; connection++) {
    if (tool.reconnects && connection < options.connections - 1) {
      // The process that follows makes this connection itself.
      say({});
      continue;
    }
    const talk = start(tool.client(options, connection));
    let lines = 0;
    for (const line of LINES) {
      if (line === LINES[0]) await talk.until(() => tool.ready.test(talk.text(0)));
      if (!tool.readsFile) talk.write(`${line}\n`);
      await talk.until(() => talk.text(0).includes(`${line}\n`));
      lines++;
      if (lines === 1 && options["key-update"]) await updateKeys(talk);
    }
    await tool.settled?.(talk, options, connection);
    talk.end();
    const code = await talk.exited;
    if (code !== 0) throw new Error(`it ended with ${code}: ${talk.text(0)}`);
    say({ ...tool.facts(talk.text(0), options, connection), lines });
  }
}

/** A command must not be read together with the line before or after it. */
async function updateKeys(talk) {
  const { command, done } = tool.updateKeys;
  talk.write(command);
  await talk.until(() => done.test(talk.text(0)));
}

function start([command, args, environment = {}]) {
  child = spawn(command, args.map(String), { env: { ...process.env, ...environment } });
  let text = "";
  let ended = false;
  const waiting = [];
  const changed = () => {
    for (const check of waiting.splice(0)) check();
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      text += chunk.toString("latin1");
      changed();
    });
  }
  child.stdin.on("error", () => {
    // It ended without reading everything; what it printed says why.
  });
  const exited = new Promise((resolve) => {
    child.on("error", (error) => {
      text += error.message;
      resolve(null);
    });
    child.on("close", resolve);
  }).then((code) => {
    ended = true;
    changed();
    return code;
  });
  const poll = setInterval(changed, 5);
  void exited.then(() => clearInterval(poll));
  return {
    text: (from) => text.slice(from),
    write: (data) => child.stdin.write(data),
    end: () => child.stdin.end(),
    exited,
    until: (condition) =>
      new Promise((resolve, reject) => {
        const check = () => {
          if (condition()) resolve();
          else if (ended) reject(new Error(`${command} ended: ${text}`));
          else waiting.push(check);
        };
        check();
      }),
  };
}

/** Somebody listens on the port: read, not tried, since a connection would be counted. */
function listens(port) {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  return ["/proc/net/tcp", "/proc/net/tcp6"].some((table) =>
    new RegExp(`:${hex} [0-9A-F]+:0000 0A`).test(readFileSync(table, "latin1")),
  );
}

/** Outside the usual range of ephemeral ports, so that no connection takes it meanwhile. */
async function freePort() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const free = await new Promise((resolve) => {
      const probe = createServer();
      probe.on("error", () => resolve(false));
      probe.listen(port, () => probe.close(() => resolve(true)));
    });
    if (free) return port;
  }
}
