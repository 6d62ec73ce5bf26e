import { existsSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { missing } from "../support/needs.ts";
import { MUSTS, mustsDocument, parts } from "./document.ts";
import { FILES } from "./table.ts";

const RFC = new URL("../../../shared/specs/rfc8446.txt", import.meta.url);

interface Sentence {
  readonly section: string;
  readonly text: string;
}

/** The sentences that demand something, in sections 4, 5, 6, 8, 9, D and E. */
function demands(rfc: string): Sentence[] {
  const text = rfc.replaceAll(
    /\n+Rescorla +Standards Track +\[Page \d+\]\n\f?\n?RFC 8446 +TLS +August 2018\n+/g,
    "\n\n",
  );
  const sentences: Sentence[] = [];
  let section = "";
  let paragraph: string[] = [];
  const end = () => {
    for (const sentence of paragraph
      .join(" ")
      .replaceAll(/\s+/g, " ")
      .trim()
      .split(/(?<=[.:;])\s+(?=[A-Z"-])/)) {
      if (/^(4|5|6|8|9|D|E)\b/.test(section) && /\b(MUST|SHALL|REQUIRED)\b/.test(sentence)) {
        sentences.push({ section, text: sentence });
      }
    }
    paragraph = [];
  };
  for (const line of text.split("\n")) {
    const heading = /^(?:Appendix )?([0-9A-E](?:\.\d+)*)\.\s{1,3}\S/.exec(line);
    if (heading !== null || line.trim() === "") end();
    else paragraph.push(line);
    section = heading?.[1] ?? section;
  }
  end();
  // Of registries, not of implementations.
  return sentences.filter(({ text: sentence }) => !sentence.startsWith("IESG Approval is REQUIRED"));
}

it.skipIf(missing("../shared/specs/rfc8446.txt", existsSync(RFC)))(
  "every MUST has its row, and every row its MUST",
  () => {
    const sentences = demands(readFileSync(RFC, "utf8"));
    expect(sentences.length).toBeGreaterThan(300);
    const matches = ({ section, text }: Sentence, must: (typeof MUSTS)[number]) =>
      must.section === section && text.includes(must.words);
    const describeSentence = ({ section, text }: Sentence) => `${section}: ${text}`;
    expect(
      sentences.filter((sentence) => !MUSTS.some((must) => matches(sentence, must))).map(describeSentence),
    ).toEqual([]);
    const stale = MUSTS.filter((must) => !sentences.some((sentence) => matches(sentence, must)));
    expect(stale.map(({ section, words }) => `${section}: ${words}`)).toEqual([]);
  },
);

it("every test that is named exists", () => {
  const sources = new Map<string, string>(
    Object.values(FILES).map((file) => [file, readFileSync(new URL(`../${file}`, import.meta.url), "utf8")]),
  );
  const gone = MUSTS.flatMap(({ tests }) => tests).filter((test) => {
    const { file, words } = parts(test);
    return !sources.get(file)?.includes(words);
  });
  expect(gone).toEqual([]);
});

it("every MUST without a test says why", () => {
  expect(MUSTS.filter(({ tests, why }) => tests.length === 0 && !why)).toEqual([]);
});

it("MUSTS.md is what the tables say", async () => {
  await expect(mustsDocument()).toMatchFileSnapshot("./MUSTS.md");
});
