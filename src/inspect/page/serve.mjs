// npm run page: builds the page and serves it on loopback, or writes it into a folder with --out DIR.
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, extname, join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { buildPage } from "./build.mjs";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".json": "application/json",
};

/** The same as in index.html, and what only a header can say. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const { port, out } = read();
const files = await buildPage();
const script = files.get("page.js");
const kilobytes = (bytes) => `${(bytes.length / 1000).toFixed(0)} KB`;
const size = `page.js is ${kilobytes(script)}, ${kilobytes(gzipSync(script, { level: 9 }))} gzipped`;
if (out === undefined) serve();
else await write();

function read() {
  try {
    const { values } = parseArgs({ options: { port: { type: "string", default: "0" }, out: { type: "string" } } });
    const number = Number(values.port);
    if (!/^\d+$/.test(values.port) || number > 65_535) throw new Error(`--port ${values.port} is no port`);
    return { port: number, out: values.out };
  } catch (error) {
    console.error(`${error.message}\nusage: npm run page -- [--port N] [--out DIR]`);
    process.exit(2);
  }
}

async function write() {
  for (const [path, content] of files) {
    const file = join(out, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  }
  console.log(`${files.size} files in ${out}; ${size}`);
}

function serve() {
  const server = createServer((request, response) => {
    const path = request.url.split("?")[0].slice(1) || "index.html";
    const content = files.get(path);
    response.setHeader("Content-Security-Policy", POLICY);
    response.setHeader("X-Content-Type-Options", "nosniff");
    response.setHeader("Cache-Control", "no-store");
    if (request.method !== "GET" && request.method !== "HEAD") response.writeHead(405, { Allow: "GET, HEAD" }).end();
    else if (content === undefined) response.writeHead(404).end("not found\n");
    else
      response
        .writeHead(200, { "Content-Type": TYPES[extname(path)] })
        .end(request.method === "HEAD" ? undefined : content);
  });
  server.on("error", (error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
  server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
}
