// The part of README.md that a run of all tests gives.

/**
 * @param {object} run
 * @param {string} run.summary - The last line of the run.
 * @param {string | undefined} run.revision - BoringSSL's commit.
 * @param {readonly string[]} run.flags - For each unimplemented test, the flag that was answered with 89.
 * @param {readonly string[]} run.disabled - The tests that were not run.
 * @param {Record<string, string>} run.reasons - config.json's DisabledTests.
 */
export function tables({ summary, revision, flags, disabled, reasons }) {
  const matchers = Object.entries(reasons).map(([glob, reason]) => ({ matcher: matcherOf(glob), reason }));
  const because = disabled.map((name) => matchers.find(({ matcher }) => matcher.test(name))?.reason ?? "?");
  return [
    "",
    `    ${summary}`,
    "",
    `BoringSSL's runner of ${revision ?? "an unknown commit"}.`,
    "",
    "## Answered with 89",
    "",
    "The flag, or the part of its value, at which the shim stopped reading, and the number of tests.",
    "",
    ...table(["flag", "tests"], counted(flags.map((flag) => `\`${flag}\``))),
    "",
    "## Disabled",
    "",
    "The reasons in config.json, and the number of tests behind each.",
    "",
    ...table(["reason", "tests"], counted(because)),
    "",
  ].join("\n");
}

/** Go's filepath.Match, as far as config.json uses it. */
function matcherOf(glob) {
  const source = glob.replace(/\[\^.\]|./g, (part) => {
    if (part.length > 1) return part;
    if (part === "*") return "[^/]*";
    return part === "?" ? "[^/]" : part.replace(/[.+^${}()|\\]/, "\\$&");
  });
  return new RegExp(`^${source}$`);
}

function counted(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
}

function table(head, rows) {
  const row = (cells) => `| ${cells.map((cell) => String(cell).replaceAll("|", "\\|")).join(" | ")} |`;
  return [row(head), row(head.map((_, i) => (i === 0 ? "---" : "---:"))), ...rows.map(row)];
}
