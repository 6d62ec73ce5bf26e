/** A page in Chromium that runs one script and may load nothing else. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
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

/** What a page may reach besides its script. */
export interface Reach {
  /** A source for `connect-src`. */
  readonly connect: string;
  /** Port of the page. Default: a free one. */
  readonly port?: number;
  /** Answers what is neither the page nor its script; false where it is no such thing. */
  handle?(request: IncomingMessage, response: ServerResponse): boolean;
}

/** Serves a page with `script`, and starts the browser. */
export async function servePage(
  script: string,
  { connect = "'none'", port = 0, handle }: Partial<Reach> = {},
): Promise<Served> {
  const server: Server = createServer((request, response) => {
    if (handle?.(request, response)) return;
    const isScript = request.url === "/main.js";
    response.setHeader("Content-Security-Policy", `${POLICY}; connect-src ${connect}`);
    response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
    response.end(
      isScript ? script : '<!doctype html><title>mutls</title><script type="module" src="/main.js"></script>',
    );
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
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
