/** Generated chains, judged by this library and by `openssl verify`; Go's verdicts are test/interop's. */
import { execFileSync } from "node:child_process";
import { afterAll, describe, expect, it } from "vitest";
import { equal } from "../../src/bytes/bytes.ts";
import { missing } from "../support/needs.ts";
import { withoutOpenssl } from "../support/openssl.ts";
import { PemFiles } from "../support/pem-files.ts";
import { agrees } from "./causes.ts";
import { KINDS, type Question, questions } from "./chains.ts";
import { verdictsDocument } from "./document.ts";
import { mutlsVerdict, opensslVerdict } from "./judges.ts";
import { VERDICTS } from "./verdicts.ts";

const files = new PemFiles();
const chains: readonly (readonly [title: string, questions: readonly Question[]])[] = KINDS.map((kind) => [
  kind.title,
  questions(kind),
]);

afterAll(() => files.remove());

/** Its errors have other names and other orders in other versions. */
const withoutOpenssl30 =
  withoutOpenssl ||
  missing("openssl 3.0", execFileSync("openssl", ["version"], { encoding: "utf8" }).startsWith("OpenSSL 3.0."));

describe("the table of verdicts", () => {
  it("has one line for each kind of chain, and 500 chains at least", () => {
    expect(Object.keys(VERDICTS)).toEqual(KINDS.map(({ title }) => title));
    expect(chains.flatMap(([, list]) => list).length).toBeGreaterThanOrEqual(500);
  });

  it("accepts nothing that both others refuse", () => {
    for (const [title, [mutls, openssl, go]] of Object.entries(VERDICTS)) {
      if (openssl !== "ok" && go !== "ok") expect([title, mutls]).not.toEqual([title, "ok"]);
    }
  });

  it("says why where the three differ, and only there", () => {
    for (const [title, [mutls, openssl, go, why]] of Object.entries(VERDICTS)) {
      const alike = agrees("openssl", mutls, openssl) && agrees("go", mutls, go);
      expect([title, why === undefined]).toEqual([title, alike]);
    }
  });

  it("is VERDICTS.md", async () => {
    await expect(verdictsDocument()).toMatchFileSnapshot("VERDICTS.md");
  });

  it("is about chains that follow from their seeds and are all different", () => {
    const ends = new Set(
      chains
        .flatMap(([, list]) => list.map(({ sent: [leaf] }) => Buffer.from(leaf as Uint8Array)))
        .map((der) => der.toString("base64")),
    );
    expect(ends.size).toBe(chains.flatMap(([, list]) => list).length);
    const [first] = KINDS;
    const again = first && questions(first)[3]?.sent[0];
    expect(again && equal(again, chains[0]?.[1][3]?.sent[0] as Uint8Array)).toBe(true);
  });
});

describe("generated chains", () => {
  it.each(chains)("%s: mutls", (title, list) => {
    expect(list.map(mutlsVerdict)).toEqual(list.map(() => VERDICTS[title]?.[0]));
  });
});

describe.skipIf(withoutOpenssl30)("generated chains before openssl verify", () => {
  it.each(chains)("%s", async (title, list) => {
    const verdicts = await Promise.all(list.map((question) => opensslVerdict(question, files)));
    expect(verdicts).toEqual(list.map(() => VERDICTS[title]?.[1]));
  });
});
