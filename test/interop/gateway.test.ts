/** The gateway before curl, which speaks HTTP as most clients do. */
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compilePolicy } from "../../src/gateway/index.ts";
import { type Cast, makeCast, makeWorld, type World } from "../gateway/world.ts";
import { missing } from "../support/needs.ts";

const hasCurl = spawnSync("curl", ["--version"]).status === 0;

describe.skipIf(missing("curl", hasCurl))("the gateway and curl", () => {
  let cast: Cast;
  let world: World;
  let folder: string;

  beforeAll(async () => {
    cast = await makeCast();
    folder = mkdtempSync(join(tmpdir(), "mutls-gateway-"));
    const { authority, alice } = cast;
    writeFileSync(join(folder, "ca.pem"), authority.certificatePem);
    writeFileSync(join(folder, "alice.pem"), alice.certificatePem);
    writeFileSync(join(folder, "alice.key"), alice.privateKeyPem);
    writeFileSync(join(folder, "body"), Buffer.alloc(3_000_000, "0123456789"));
    const server = createServer(async (request, response) => {
      let length = 0;
      for await (const chunk of request) length += (chunk as Buffer).length;
      const { headers, url } = request;
      response.end(JSON.stringify({ url, length, subject: headers["x-subject"], expect: headers.expect }));
    });
    const rules = [{ name: "a", effect: "allow", who: "verified", what: { path: "/a/**" } }] as const;
    world = await makeWorld(
      cast,
      { policy: compilePolicy({ version: "1", rules }), identity: { subject: "X-Subject" } },
      server,
    );
  });
  afterAll(async () => {
    await world?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The last line is the status. */
  async function curl(path: string, ...more: string[]): Promise<string[]> {
    const { port } = world.gateway;
    const at = (name: string) => join(folder, name);
    const who = ["--cacert", at("ca.pem"), "--cert", at("alice.pem"), "--key", at("alice.key")];
    const fixed = ["-sS", "--max-time", "30", "-w", "\n%{http_code}", "--resolve", `localhost:${port}:127.0.0.1`];
    const url = `https://localhost:${port}${path}`;
    const { stdout } = await promisify(execFile)("curl", [...fixed, ...who, ...more, url]);
    return stdout.split("\n");
  }

  it("gets what the policy allows, as whom the certificate says", async () => {
    const [text = "", status] = await curl("/a/b?c", "-H", "X-Subject: forged", "-H", "x_subject: forged");
    expect([status, JSON.parse(text)]).toEqual(["200", { url: "/a/b?c", length: 0, subject: "CN=alice" }]);
  });

  it("is refused what is not allowed, and paths that are none", async () => {
    expect((await curl("/b")).at(-1)).toBe("403");
    expect((await curl("/a/../b", "--path-as-is")).at(-1)).toBe("400");
    expect((await curl("/a/%2e%2e/b", "--path-as-is")).at(-1)).toBe("400");
    expect((await curl("/a", "-H", "Host: elsewhere.example")).at(-1)).toBe("421");
  });

  it.each([[[]], [["-H", "Transfer-Encoding: chunked"]], [["-H", "Expect:"]]])("sends a body: %j", async (more) => {
    const [text = "", status] = await curl("/a", "--data-binary", `@${join(folder, "body")}`, ...more);
    expect([status, JSON.parse(text)]).toEqual(["200", { url: "/a", length: 3_000_000, subject: "CN=alice" }]);
  });

  it("speaks HTTP/1.0, too", async () => {
    expect((await curl("/a", "--http1.0")).at(-1)).toBe("200");
  });
});
