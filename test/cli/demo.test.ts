import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mutls } from "../support/cli.ts";
import { missing } from "../support/needs.ts";

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "mutls-test-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function hasOpenssl(): boolean {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

describe("the demonstration", () => {
  it.skipIf(missing("openssl", hasOpenssl()))(
    "shows a handshake, then the same against OpenSSL both ways",
    async () => {
      const { status, stdout, stderr } = await mutls(["demo"], { input: "", env: { TMPDIR: directory } });
      const text = stdout.toString();
      expect([status, stderr]).toEqual([0, ""]);
      for (const message of ["ClientHello", "ServerHello", "CertificateRequest", "CertificateVerify", "Finished"])
        expect(text).toContain(`  ${message}  handshake message`);
      expect(text).toContain("the client authenticated the server: CN=localhost");
      expect(text).toContain("the server authenticated the client: CN=alice");
      expect(text.match(/^ {2}ok /gm)?.length).toBe(3);
      expect(text).toContain("the server authenticated CN = alice and both sent data");
      expect(text.trimEnd().split("\n").at(-1)).toBe("All handshakes that were run succeeded.");
      expect(readdirSync(directory)).toEqual([]);
    },
  );

  it("says so where there is no openssl", async () => {
    const { status, stdout } = await mutls(["demo"], { input: "", env: { PATH: directory, TMPDIR: directory } });
    expect(status).toBe(0);
    expect(stdout.toString().match(/^ {2}skipped .*\n +there is no openssl on the PATH$/gm)?.length).toBe(2);
  });
});
