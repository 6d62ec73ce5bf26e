import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import type { Page as Tab } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundle } from "../runtimes/bundle.ts";
import { certificateFiles, type Files, type Served as Listening, relaying, served } from "../support/cli.ts";
import { missing } from "../support/needs.ts";
import { executablePath, type Served, servePage } from "./page.ts";
import type { Page, Pem, Visit } from "./web-main.ts";

/** From a page through `mutls relay` to servers that want certificates. */
describe.skipIf(missing("MUTLS_CHROMIUM, Chromium", existsSync(executablePath)))("a page in Chromium", () => {
  let files: Files;
  let server: Listening;
  let node: Server;
  let relay: Listening;
  let page: Served;
  let tab: Tab;

  const read = (name: string) => readFileSync(files.path(name), "utf8");
  const pem = (name: string): Pem => {
    const [, cert = "", , key = ""] = files.pair(name);
    return { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
  };
  const portOf = (https: Server) => (https.address() as AddressInfo).port;
  const to = (port: number, identity?: Pem): Visit => ({
    relay: `ws://127.0.0.1:${relay.port}/`,
    url: `https://localhost:${port}/`,
    trust: read("ca.pem"),
    ...(identity === undefined ? {} : { identity }),
  });
  const visit = (where: Visit) =>
    tab.evaluate((given) => (globalThis as unknown as Page).visit(given), where) as ReturnType<Page["visit"]>;

  beforeAll(async () => {
    files = await certificateFiles({ bob: { subject: "bob", client: true } });
    server = await served([...files.pair("server"), "--cacert", files.path("ca.pem"), "--client-auth", "on"]);
    const own = pem("server");
    node = createServer(
      { ...own, ca: read("ca.pem"), requestCert: true, minVersion: "TLSv1.3" },
      (request, response) => {
        request.pipe(response);
      },
    );
    await new Promise<void>((resolve) => node.listen(0, "127.0.0.1", resolve));
    const allow = [server.port, portOf(node), 1].flatMap((port) => ["--allow", `localhost:${port}`]);
    // The page's origin is known once it is served; the relay's port, before the page says where it may connect.
    page = await servePage(await bundle("test/browser/web-main.ts", "browser"), { connect: "ws://127.0.0.1:*" });
    relay = await relaying([...allow, "--origin", new URL(page.address).origin]);
    tab = await page.browser.newPage();
    await tab.goto(page.address);
    await tab.waitForFunction("'visit' in globalThis");
  });

  afterAll(async () => {
    await page?.close();
    await relay?.stop();
    await server?.stop();
    node?.closeAllConnections();
    node?.close();
    files?.remove();
  });

  it("is known to the server by its certificate", async () => {
    expect(await visit(to(server.port, pem("client")))).toEqual({ subject: "CN=alice" });
    await relay.says(new RegExp(`${new URL(page.address).origin} -> localhost:${server.port} .*: closed \\(1000\\)`));
  });

  it("is two at once that never mix", async () => {
    const identities = { alice: pem("client"), bob: pem("bob") };
    const seen = await Promise.all(
      Array.from({ length: 30 }, async (_, index) => {
        const who = index % 2 === 0 ? "alice" : "bob";
        return [who, (await visit(to(server.port, identities[who]))).subject];
      }),
    );
    for (const [who, subject] of seen) expect(subject).toBe(`CN=${who}`);
  });

  it("is told that its certificate is refused, or missing", async () => {
    expect(await visit(to(server.port, pem("stranger")))).toEqual({ code: "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA" });
    expect(await visit(to(server.port))).toEqual({ code: "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED" });
  });

  it("is told what the relay does not allow, and where nobody is", async () => {
    expect(await visit(to(2, pem("client")))).toEqual({ code: "ERR_TLS_TRANSPORT", closeCode: 4403 });
    expect(await visit(to(1, pem("client")))).toEqual({ code: "ERR_TLS_TRANSPORT", closeCode: 4502 });
  });

  it("sends and receives 5 MB, with as much waiting as it may", async () => {
    const where = to(portOf(node), pem("client"));
    const right = await tab.evaluate(([given]) => (globalThis as unknown as Page).echo(given, 5_000_000), [
      where,
    ] as const);
    expect(right).toBe(5_000_000);
  });

  it("of another origin may not use the relay", async () => {
    const other = await page.browser.newPage();
    await other.goto(page.address.replace("127.0.0.1", "localhost"));
    await other.waitForFunction("'visit' in globalThis");
    const seen = await other.evaluate(
      (given) => (globalThis as unknown as Page).visit(given),
      to(server.port, pem("client")),
    );
    expect(seen).toEqual({ code: "ERR_TLS_TRANSPORT", closeCode: 1006 });
    await other.close();
  });
});
