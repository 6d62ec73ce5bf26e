/** Processes that work on the CA of a folder, killed and not, held to what they have reported done. */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { readPem } from "../../../src/bytes/pem.ts";
import { openAuthority } from "../../../src/node/ca/index.ts";
import { parseCrl } from "../../../src/x509/crl.ts";
import { Random } from "../../support/random.ts";

const worker = fileURLToPath(new URL("worker.mjs", import.meta.url));

/** What processes have reported done. */
export class Reports {
  /** PEM by serial number. */
  readonly issued = new Map<string, string>();
  readonly revoked = new Set<string>();

  /** Whole lines only: of what was cut off nobody was told. */
  take(text: string): void {
    for (const line of text.split("\n").slice(0, -1)) {
      const [what, serial = "", pem = ""] = line.split(" ");
      if (what === "issued") {
        expect(this.issued.has(serial), `serial number ${serial} twice`).toBe(false);
        this.issued.set(serial, Buffer.from(pem, "base64").toString());
      }
      if (what === "revoked") this.revoked.add(serial);
    }
  }
}

/** A worker: when it has begun, and all that it said in the end. */
export function start(
  folder: string,
  rounds: number,
  ...first: readonly string[]
): { child: ChildProcess; ready: Promise<void>; said: Promise<string> } {
  const child = spawn(process.execPath, [worker, folder, String(rounds), ...first], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  let errors = "";
  child.stderr?.on("data", (chunk) => (errors += chunk));
  const ready = new Promise<void>((resolve) => {
    child.stdout?.on("data", (chunk) => {
      text += chunk;
      if (text.startsWith("ready\n")) resolve();
    });
  });
  const said = new Promise<string>((resolve, reject) => {
    child.once("close", (status) => {
      if (status === 0 || (status === null && errors === "")) resolve(text);
      else reject(new Error(`the worker failed: ${errors}`));
    });
  });
  return { child, ready, said };
}

/** How long a fresh process takes to revoke one and issue another, ms. */
async function duration(folder: string, serial: string, reports: Reports): Promise<number> {
  const { ready, said } = start(folder, 1, serial);
  await ready;
  const started = performance.now();
  reports.take(await said);
  return performance.now() - started;
}

function currentCrl(folder: string) {
  const [block] = readPem(readFileSync(join(folder, "crl.pem"), "utf8"));
  return parseCrl(block?.der as Uint8Array);
}

/** All that was reported is there, by what another process reads. */
export async function check(folder: string, { issued, revoked }: Reports): Promise<void> {
  const authority = await openAuthority(folder);
  const crl = currentCrl(folder);
  for (const [serial, pem] of issued) expect((await authority.find(serial)).pem).toBe(pem);
  for (const serial of revoked) {
    const { revocation, certificate } = await authority.find(serial);
    expect(revocation?.reason).toBe("superseded");
    expect(crl.find(crl.issuer, certificate.serialNumber)?.reason).toBe("superseded");
  }
}

/**
 * Kills processes at random moments of issuing and revoking, two at a time, so that each kill happens beside a process that
 * goes on; and finds everything there that was reported done.
 */
export async function survivesKills(folder: string, kills: number): Promise<void> {
  const random = new Random(20);
  const reports = new Reports();
  const authority = await openAuthority(folder);
  const { spki } = authority.certificates[0].certificate.publicKey;
  const given: string[] = [];
  while (given.length < kills / 2 + 2)
    given.push((await authority.issue({ profile: "client", spki, subject: "given" })).serial);
  let number = currentCrl(folder).crlNumber as bigint;
  let empty = 0;
  const lane = async (delays: readonly number[]) => {
    for (const [i, delay] of delays.entries()) {
      const { child, ready, said } =
        i % 2 === 0 ? start(folder, 1_000_000) : start(folder, 1_000_000, given.pop() as string);
      await ready;
      await new Promise((resolve) => setTimeout(resolve, delay));
      child.kill("SIGKILL");
      const text = await said;
      if (text === "ready\n") empty++;
      reports.take(text);
      const own = new Reports();
      own.take(text);
      await check(folder, own);
      const next = currentCrl(folder).crlNumber as bigint;
      expect(next >= number).toBe(true);
      number = next;
    }
  };
  // From before the first operation is done until after the second, as long as they take here and now.
  const spans = await Promise.all([
    duration(folder, given.pop() as string, reports),
    duration(folder, given.pop() as string, reports),
  ]);
  const delays = Array.from({ length: kills }, () => random.fraction() * 3 * Math.max(...spans));
  await Promise.all([lane(delays.slice(0, kills / 2)), lane(delays.slice(kills / 2))]);
  expect(reports.issued.size).toBeGreaterThan(kills / 4);
  expect(reports.revoked.size).toBeGreaterThan(kills / 20);
  expect(empty).toBeGreaterThan(0);
  // What killed processes have left goes with the next publication.
  await authority.publishCrl();
  const left = ["", "certs", "revoked", "lock"].flatMap((name) => readdirSync(join(folder, name)));
  expect(left.filter((name) => name.startsWith(".") || /^\d+\.\d+\./.test(name))).toEqual([]);
  await check(folder, reports);
}
