import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname } from "node:path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { buildPage } from "../../src/inspect/page/build.mjs";
import { FAULTS } from "../../src/inspect/page/faults/index.ts";
import { missing } from "../support/needs.ts";
import { executablePath, launch } from "./page.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".json": "application/json",
};

/** A static host that knows nothing of the page, which lies in one of its folders. */
const FOLDER = "/courses/tls/";

describe.skipIf(missing("MUTLS_CHROMIUM, Chromium", existsSync(executablePath)))("the page in Chromium", () => {
  let server: Server;
  let browser: Browser;
  let origin: string;
  const complaints: string[] = [];

  beforeAll(async () => {
    const files = await buildPage();
    server = createServer((request, response) => {
      const path = new URL(request.url ?? "", "http://host").pathname.replace(FOLDER, "") || "index.html";
      const content = files.get(path);
      response.setHeader("Content-Type", TYPES[extname(path)] ?? "text/plain");
      response.writeHead(content === undefined ? 404 : 200).end(content);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    browser = await launch();
  });

  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  /** Whatever a console would say, and whatever leaves the origin, fails the test. */
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
    expect(complaints.splice(0)).toEqual([]);
  });

  async function open(fragment = "", options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
    const page = await context.newPage();
    page.on("console", (message) => complaints.push(`${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("requestfailed", (request) => complaints.push(`failed: ${request.url()}`));
    page.on("request", (request) => {
      if (!request.url().startsWith(origin + FOLDER)) complaints.push(`outside: ${request.url()}`);
    });
    await page.goto(`${origin}${FOLDER}${fragment}`);
    await verdict(page);
    return page;
  }

  /** A machine that is busy with other things takes its time. */
  const eventually = <T>(look: () => T, message = "") => expect.poll(look, { timeout: 15_000, message });
  const verdict = (page: Page) => page.locator("body:not([aria-busy]) .verdict").innerText();
  const selectedField = (page: Page) =>
    page.locator('[role="treeitem"][aria-selected="true"]').getAttribute("aria-label");
  const selectedBytes = (page: Page) =>
    page.locator('.byte[aria-selected="true"]').evaluateAll((cells) => cells.map((cell) => cell.textContent).join(""));
  const field = (page: Page, name: string) => page.locator(`[role="treeitem"][aria-label^="${name},"] > .row`);

  it("runs a mutual handshake and shows its flights", async () => {
    const page = await open();
    expect(await verdict(page)).toBe("Both ends are connected, and each knows who the other is.");
    const records = await page.locator(".record-button .message").allInnerTexts();
    expect(records.slice(0, 6)).toEqual([
      "ClientHello",
      "ServerHello",
      "ChangeCipherSpec",
      "{EncryptedExtensions}",
      "{CertificateRequest}",
      "{Certificate}",
    ]);
    expect(await page.locator("#ends").innerText()).toContain("spiffe://example.org/alice");
    expect(await page.locator(".secret-card").count()).toBe(6);
    expect(await page.locator(".cost tbody tr").count()).toBe(8);
    expect(await page.locator(".faults tbody tr:not(.group)").count()).toBe(FAULTS.length);
  });

  it("marks a field's bytes, and a byte's field", async () => {
    const page = await open();
    await field(page, "random").click();
    expect((await selectedBytes(page)).length).toBe(64);
    const [, hex] = /Decrypted|On the wire\s+([0-9a-f ]+)/.exec(await page.locator(".detail").innerText()) ?? [];
    expect(hex?.replaceAll(" ", "")).toBe(await selectedBytes(page));
    await page.locator('.byte[aria-label^="byte 9:"]').click();
    expect(await selectedField(page)).toBe("legacy_version, TLS 1.2 (0x0303), 2 bytes from 9");
    expect(await selectedBytes(page)).toBe("0303");
    expect(await page.locator(".detail").innerText()).toContain("RFC 8446 4.1.2");
    await eventually(() => new URL(page.url()).hash).toBe("#at=c1.9");
  });

  it("shows a protected record decrypted and as on the wire", async () => {
    const page = await open("#at=s3.5");
    expect(await selectedField(page)).toBe("msg_type, encrypted_extensions (0x08), 1 byte from 5");
    expect(await selectedBytes(page)).toBe("08");
    const opened = await page.locator(".byte").allInnerTexts();
    await page.getByRole("radio", { name: "on the wire" }).check();
    const wire = await page.locator(".byte").allInnerTexts();
    expect(wire.length).toBe(opened.length);
    expect(wire.slice(0, 5)).toEqual(opened.slice(0, 5));
    expect(wire.slice(-16)).toEqual(opened.slice(-16));
    expect(wire.slice(5, 60)).not.toEqual(opened.slice(5, 60));
  });

  it("leads from a record to the secret that protects it, and back", async () => {
    const page = await open();
    await page.locator("button.secret", { hasText: "server_handshake_traffic_secret" }).click();
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("secret-server_handshake_traffic_secret");
    await page.locator("#secret-server_handshake_traffic_secret .used button").click();
    expect(await page.locator("#record-s3").getAttribute("aria-current")).toBe("true");
  });

  it("breaks the handshake by a fault from the list, and tells who noticed", async () => {
    const page = await open();
    await page.getByLabel("Break").selectOption("wrong-finished-server");
    await eventually(() => verdict(page)).toBe(
      "In state WAIT_FINISHED, the client refuses and sends the alert decrypt_error.",
    );
    expect(new URL(page.url()).hash).toBe("#fault=wrong-finished-server");
    expect(await page.locator(".fate").allInnerTexts()).toEqual(["changed"]);
    expect(await page.locator(".byte.changed").count()).toBe(1);
    expect(await page.locator(".detail").innerText()).toMatch(/byte \d+ was sent as [0-9a-f]{2}/);
    expect(await selectedField(page)).toMatch(/^verify_data/);
    expect(await page.locator("#ends").innerText()).toContain("ERR_SSL_DIGEST_CHECK_FAILED");
    expect(await page.locator("#cost").innerText()).toMatch(/^As far as it has come, /);
    await page.goBack();
    await eventually(() => verdict(page)).toMatch(/^Both ends are connected/);
    expect(await page.locator("#cost").innerText()).toContain("1 round trip before the client may send");
  });

  it("breaks the handshake by any byte", async () => {
    const page = await open();
    await page.locator("#record-s3").click();
    await field(page, "CertificateVerify").click();
    await page.locator('.byte[aria-label*=", msg_type"]').last().click();
    await page.getByLabel("Make it").fill("63");
    await page.getByRole("button", { name: "and run again" }).click();
    const refusal = "In state WAIT_FINISHED, the client refuses and sends the alert unexpected_message.";
    await eventually(() => verdict(page)).toBe(refusal);
    expect(new URL(page.url()).hash).toMatch(/^#byte=s3\.\d+\.63/);
  });

  it("opens every fault by its address, and says what its table says", async () => {
    const page = await open();
    for (const { name, by, alert, stage } of FAULTS) {
      await page.evaluate((hash) => {
        location.hash = hash;
      }, `#fault=${name}`);
      const said = alert === undefined ? "sends no alert: there is nobody to read it" : `sends the alert ${alert}`;
      await eventually(() => verdict(page), name).toBe(`In state ${stage}, the ${by} refuses and ${said}.`);
    }
  }, 120_000);

  it("opens what an address says, and passes over what it cannot understand, by name", async () => {
    const page = await open(
      "#auth=server&group=X25519MLKEM768&session=early&suite=TLS_CHACHA20_POLY1305_SHA256&color=red",
    );
    expect(await verdict(page)).toBe("Both ends are connected, by a pre-shared key from an earlier connection.");
    expect(await page.locator("#ends").innerText()).toContain("TLS_CHACHA20_POLY1305_SHA256, X25519MLKEM768");
    expect(await page.locator(".message").allInnerTexts()).toContain("(ApplicationData)");
    expect(await page.locator("#notice").innerText()).toContain("color");
    expect(await page.getByLabel("Key exchange").inputValue()).toBe("X25519MLKEM768");
  });

  it.each([
    ["3", 9],
    ["4", 10],
    ["5", 8],
    ["6", 6],
    ["7", 8],
  ])("shows RFC 8448 %s", async (section, records) => {
    const page = await open();
    await page.getByLabel("Handshake", { exact: true }).selectOption(section);
    await eventually(() => verdict(page)).toMatch(new RegExp(`^RFC 8448 ${section}, `));
    expect(await page.locator(".record-button").count()).toBe(records);
    expect(await page.locator(".change").count()).toBe(0);
    expect(await page.getByLabel("Break").isDisabled()).toBe(true);
  });

  it("walks the tree and the bytes by keyboard", async () => {
    const page = await open();
    await page.locator('[role="treeitem"][tabindex="0"]').focus();
    const press = async (...keys: string[]) => {
      for (const key of keys) await page.keyboard.press(key);
      return (await selectedField(page))?.split(",")[0];
    };
    expect(await press("Home")).toBe("record");
    expect(await press("ArrowDown", "ArrowDown")).toBe("legacy_record_version");
    expect(await press("ArrowDown", "ArrowDown", "ArrowRight")).toBe("ClientHello");
    expect(await press("ArrowLeft")).toBe("ClientHello");
    expect(await page.locator('[aria-label^="ClientHello,"]').getAttribute("aria-expanded")).toBe("false");
    expect(await press("ArrowRight", "ArrowRight")).toBe("msg_type");
    expect(await press("ArrowLeft")).toBe("ClientHello");
    expect(await press("End")).toBe("extensions");
    expect(await page.evaluate(() => document.activeElement?.getAttribute("role"))).toBe("treeitem");
    await page.locator('.byte[tabindex="0"]').focus();
    await press("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "Home");
    const [place] = (await page.evaluate(() => document.activeElement?.getAttribute("aria-label")))?.split(":") ?? [];
    expect(Number(place?.replace("byte ", "")) % 16).toBe(0);
    // One stop for the tree, one for the bytes: Tab does not walk through all of them.
    expect(await page.locator('.byte[tabindex="0"]').count()).toBe(1);
    expect(await page.locator('[role="treeitem"][tabindex="0"]').count()).toBe(1);
  });

  it("gives everything that can be used a name, and shows where the focus is", async () => {
    const page = await open();
    const nameless = await page.locator("button, select, input, a, [role]").evaluateAll((elements) =>
      elements
        .filter((element) => {
          const labelled = (element as HTMLInputElement).labels?.length ?? 0;
          const text = element.getAttribute("aria-label") ?? element.textContent ?? "";
          return labelled === 0 && text.trim() === "" && element.id !== "notice";
        })
        .map((element) => element.outerHTML),
    );
    expect(nameless).toEqual([]);
    await page.locator("#record-s1").focus();
    await page.keyboard.press("Tab");
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement as Element).outlineStyle);
    expect(outline).toBe("solid");
  });

  it("takes protocol names for text", async () => {
    const markup = '<img src=x onerror="alert(1)">';
    const page = await open(`#alpn=${encodeURIComponent(markup)}`);
    expect(await page.locator("#ends").innerText()).toContain(`ALPN ${markup}`);
    expect(await page.locator("img").count()).toBe(0);
    await page.getByLabel("ALPN").fill("ünsendable");
    await page.getByLabel("ALPN").press("Tab");
    await eventually(() => verdict(page)).toBe("This handshake cannot be shown.");
    expect(await page.locator("#outcome").innerText()).toContain("is not 1 to 255 ASCII characters");
  });

  it.each([360, 768, 1440])("fits %i pixels", async (width) => {
    for (const fragment of ["", "#group=X25519MLKEM768&alpn=h2&at=s3.140", "#fault=other-random"]) {
      const page = await open(fragment, { viewport: { width, height: 800 } });
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
      const outside = await page
        .locator("button, select, input, h2, h3, .detail")
        .evaluateAll((elements) =>
          elements
            .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
            .map((element) => element.outerHTML),
        );
      expect(outside).toEqual([]);
    }
  });

  it("follows light and dark, and keeps still where that is asked for", async () => {
    const ground = async (colorScheme: "light" | "dark") => {
      const page = await open("", { colorScheme, reducedMotion: "reduce" });
      expect(await page.evaluate(() => getComputedStyle(document.documentElement).scrollBehavior)).toBe("auto");
      return page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    };
    expect(await ground("light")).toBe("rgb(251, 251, 249)");
    expect(await ground("dark")).toBe("rgb(20, 23, 27)");
  });

  it("runs again with other randomness, on demand", async () => {
    const page = await open();
    const random = async () => {
      await field(page, "random").click();
      return selectedBytes(page);
    };
    const before = await random();
    await page.getByLabel("Break").selectOption("flipped-bit");
    await eventually(() => verdict(page)).toContain("bad_record_mac");
    await page.locator("#record-c1").click();
    expect(await random()).toBe(before);
    await page.getByRole("button", { name: "Run again", exact: true }).click();
    await page.locator("#record-c1").click();
    await eventually(random).not.toBe(before);
  });
});
