/** The tables of MUSTs as Markdown, for readers. */
import { HELLOS } from "./hellos.ts";
import { KEYS } from "./keys.ts";
import { RECORDS } from "./records.ts";
import { FILES, type File, type Must, type TestName } from "./table.ts";

/** All of them, in the RFC's order. */
export const MUSTS: readonly Must[] = [...HELLOS, ...KEYS, ...RECORDS];

/** Where a test stands, and its words there. */
export function parts(test: TestName): { readonly file: string; readonly words: string } {
  const at = test.indexOf(": ");
  return { file: FILES[test.slice(0, at) as File], words: test.slice(at + 2) };
}

/** What MUSTS.md holds. */
export function mustsDocument(): string {
  const broken = MUSTS.filter(({ offender }) => offender !== undefined);
  const kept = MUSTS.filter(({ offender, tests }) => offender === undefined && tests.length > 0);
  const none = MUSTS.filter(({ tests }) => tests.length === 0);
  return [
    "# The MUSTs of RFC 8446",
    "",
    "Every sentence with MUST, SHALL or REQUIRED in sections 4, 5, 6, 8 and 9 and appendices D and E, by words from it.",
    `A peer can break ${broken.length} of them, and tests do; ${kept.length} bind this side alone, and tests see them kept; for`,
    `${none.length} there is no test, and the reason stands in its place. Written from the tables in this folder;`,
    "`npx vitest run --project self test/musts -u` writes it anew.",
    "",
    "| Section | Words | Who can break it | Tests, or why there is none |",
    "| --- | --- | --- | --- |",
    ...MUSTS.map(
      ({ section, words, offender, tests, why }) =>
        `| ${section} | ${words} | ${offender ?? ""} | ${tests.length === 0 ? why : tests.map(shownTest).join("<br>")} |`,
    ),
    "",
  ].join("\n");
}

function shownTest(test: TestName): string {
  const { file, words } = parts(test);
  return `\`${file}\` ${words.replaceAll("|", "\\|")}`;
}
