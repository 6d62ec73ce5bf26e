/** How what was measured is said: scenarios, messages and numbers in words that fit a line. */
import type { Spread } from "./measure.ts";
import type { ScenarioFacts } from "./scenario.ts";

const KIND = {
  full: "full handshake",
  resumed: "resumption",
  early: "resumption with early data (0-RTT)",
} satisfies Readonly<Record<ScenarioFacts["kind"], string>>;

/** A scenario in one line, without what `leave` names. */
export function describeScenario(facts: ScenarioFacts, leave: readonly (keyof ScenarioFacts)[] = []): string {
  const { auth, kind, group, cipherSuite, key, chain, provider, compression, helloRetry, tickets } = facts;
  const parts: readonly (readonly [keyof ScenarioFacts, string | false])[] = [
    ["auth", auth === "mutual" ? "mutual authentication" : "one-way authentication"],
    ["kind", KIND[kind]],
    ["group", group],
    ["cipherSuite", cipherSuite],
    ["key", `${key} certificates`],
    ["chain", chain > 1 && `${chain} certificates in each chain`],
    ["compression", compression !== undefined && `certificate compression ${compression}`],
    ["helloRetry", helloRetry && "after a HelloRetryRequest"],
    ["tickets", tickets > 0 && `${tickets} ticket${tickets > 1 ? "s" : ""} issued`],
    ["provider", `provider ${provider}`],
  ];
  const said = parts.filter(([name, text]) => text !== false && !leave.includes(name)).map(([, text]) => text);
  return said.join(", ");
}

/** A message's name as RFC 8446 spells its structure; what is no handshake message keeps the name of its content type. */
export function messageText(name: string): string {
  if (["change_cipher_spec", "application_data", "alert"].includes(name)) return name;
  return name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Three significant digits, as far as they stand behind the point. */
export function digits(value: number): string {
  const behind = Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 0.001))));
  return value.toFixed(Math.min(3, behind));
}

/** `0.92 (0.73–1.95)`: the median and, in brackets, the tenth and ninetieth percentile. */
export function spreadText({ median, p10, p90 }: Spread): string {
  return `${digits(median)} (${digits(p10)}–${digits(p90)})`;
}

/** Lines of a table: the first column to the left, the others to the right, as wide as what is in them. */
export function tableLines(rows: readonly (readonly string[])[]): string[] {
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] as number) : cell.padStart(widths[column] as number),
      )
      .join("  ")
      .trimEnd(),
  );
}
