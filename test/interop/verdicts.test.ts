/** The chains of test/verdicts before Go's crypto/x509. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { toBase64 } from "../../src/bytes/hex.ts";
import { missing } from "../support/needs.ts";
import { KINDS, type Question, questions } from "../verdicts/chains.ts";
import { mutlsVerdict } from "../verdicts/judges.ts";
import { NOW } from "../verdicts/maker.ts";
import { VERDICTS } from "../verdicts/verdicts.ts";

const program = join(process.env.MUTLS_INTEROP ?? "", "go-peer");

interface Answer {
  readonly verdict: string;
  /** In Go's words. */
  readonly detail: string;
}

describe.skipIf(missing(program, existsSync(program)))("Go's verdicts on generated chains", () => {
  const chains: [string, Question[]][] = KINDS.map((kind) => [kind.title, questions(kind)]);

  it("are those of the table, and no chain that Go refuses as well as OpenSSL is accepted", () => {
    const answers = ask(chains.flatMap(([, list]) => list));
    for (const [title, list] of chains) {
      const theirs = answers.splice(0, list.length);
      const [, openssl, go] = VERDICTS[title] ?? [];
      expect([title, ...theirs.map(({ verdict }) => verdict)]).toEqual([title, ...list.map(() => go)]);
      if (openssl === "ok" || go === "ok") continue;
      for (const question of list) expect([title, mutlsVerdict(question)]).not.toEqual([title, "ok"]);
    }
    expect(answers).toEqual([]);
  });
});

/** One process for all: a line of JSON each way. */
function ask(list: readonly Question[]): Answer[] {
  const lines = list.map(({ sent, trusted, name, role }) =>
    JSON.stringify({
      Sent: sent.map(toBase64),
      Trusted: trusted.map(toBase64),
      Name: role === "server" ? name : "",
      Role: role,
      Time: NOW / 1000,
    }),
  );
  const said = execFileSync(program, ["verify"], { input: lines.join("\n"), encoding: "utf8", maxBuffer: 1 << 26 });
  return said
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Answer);
}
