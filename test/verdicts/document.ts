/** The table of verdicts as Markdown, for readers. */
import { agrees } from "./causes.ts";
import { CHAINS_PER_KIND, KINDS } from "./chains.ts";
import { VERDICTS, type Verdicts } from "./verdicts.ts";

/** What VERDICTS.md holds. */
export function verdictsDocument(): string {
  const rows = KINDS.map(({ title }) => [title, VERDICTS[title]] as const);
  const apart = rows.filter(([, verdicts]) => verdicts?.[3] !== undefined);
  const alike = rows.filter(([, verdicts]) => verdicts?.[3] === undefined);
  return [
    "# Verdicts on chains",
    "",
    `${KINDS.length} kinds of chains, ${CHAINS_PER_KIND} chains of each from seeds of their own, nothing or one thing wrong with each: what`,
    "mutls, `openssl verify` and Go's crypto/x509 make of them. Written from `verdicts.ts`, of which every line is tested:",
    "OpenSSL's by the `self` tests, Go's by the `interop` tests. `npx vitest run --project self test/verdicts -u` writes",
    "this file anew.",
    "",
    "No chain that both others refuse is accepted.",
    "",
    `## Where the three differ (${apart.length} kinds)`,
    "",
    "An exclamation mark stands behind a verdict or a cause that is not ours.",
    "",
    "| Chain | mutls | OpenSSL | Go | Why |",
    "| --- | --- | --- | --- | --- |",
    ...apart.map(([title, verdicts]) => row(title, verdicts)),
    "",
    `## Where they agree, in the cause too (${alike.length} kinds)`,
    "",
    "| Chain | mutls | OpenSSL | Go |",
    "| --- | --- | --- | --- |",
    ...alike.map(([title, verdicts]) => row(title, verdicts)),
    "",
  ].join("\n");
}

function row(title: string, verdicts: Verdicts | undefined): string {
  if (verdicts === undefined) throw new RangeError(`no verdicts on ${title}`);
  const [mutls, openssl, go, why] = verdicts;
  const theirs = (who: "openssl" | "go", verdict: string) => `${verdict}${agrees(who, mutls, verdict) ? "" : " (!)"}`;
  const cells = [title, `\`${mutls}\``, theirs("openssl", openssl), theirs("go", go), ...(why ? [why] : [])];
  return `| ${cells.join(" | ")} |`;
}
