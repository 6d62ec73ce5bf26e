/** A page in Chromium that runs one script and may load nothing else. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type Browser, chromium } from "playwright-core";

/** Nothing that makes code out of strings, nothing from elsewhere. */
const POLICY = "default-src 'none'; script-src 'self'; worker-src 'self'";

const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The path of Chromium; empty where it is not known. */
export const executablePath = process.env.MUTLS_CHROMIUM ?? "";

/** A browser with a fresh profile, and where it finds the page. */
export interface Served {
  readonly browser: Browser;
  readonly address: string;
  close(): Promise<void>;
}

/** Serves a page with `script`, and starts the browser. */
export async function servePage(script: string): Promise<Served> {
  const server: Server = createServer((request, response) => {
    const isScript = request.url === "/main.js";
    response.setHeader("Content-Security-Policy", POLICY);
    response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
    response.end(
      isScript ? script : '<!doctype html><title>mutls</title><script type="module" src="/main.js"></script>',
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const browser = await launch();
  return {
    browser,
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: async () => {
      await browser.close();
      server.close();
    },
  };
}

/** A browser that calls nobody by itself. */
export async function launch(): Promise<Browser> {
  const browser = await chromium.launch({ executablePath, headless: true, args: ARGS });
  console.info(`Chromium ${browser.version()}`);
  return browser;
}
