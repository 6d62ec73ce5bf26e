import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { DEFAULT_CHOICES } from "../../src/inspect/page/choices.ts";
import { type Conversation, conversationOf } from "../../src/inspect/page/conversation.ts";
import { exampleConversation } from "../../src/inspect/page/examples.ts";
import { FAULTS } from "../../src/inspect/page/faults/index.ts";
import { Stage } from "../../src/inspect/page/run.ts";
import type { TreeNode } from "../../src/inspect/page/tree.ts";
import { SECTIONS, traceData } from "../../vectors/rfc8448/load.ts";
import { missing } from "../support/needs.ts";
import { castFor } from "./support.ts";

const specs = new URL("../../../shared/specs/", import.meta.url);

const sectionsOf = (node: TreeNode): string[] => [node.section, ...node.children.flatMap(sectionsOf)];
const all = ({ flights }: Conversation) =>
  flights.flatMap(({ entries }) => entries.flatMap(({ tree }) => sectionsOf(tree)));

/** True for a text that has such a heading. */
function has(text: string, place: string): boolean {
  const escaped = place.replaceAll(".", "\\.");
  return new RegExp(`^ {0,3}(?:Appendix )?${escaped}\\.? {1,3}\\S`, "m").test(text);
}

describe.skipIf(missing("../shared/specs", existsSync(specs)))("every section that the page names", () => {
  it("is in its RFC", async () => {
    const live = await Promise.all(
      (["full", "early"] as const).map(async (session) => {
        const choices = { ...DEFAULT_CHOICES, session, retry: "yes", alpn: "h2" } as const;
        return all(conversationOf("", new Stage(choices, await castFor("P-256")).run(), choices.suite));
      }),
    );
    const printed = SECTIONS.map((section) => all(exampleConversation(traceData(section))));
    const named = new Set([...live.flat(), ...printed.flat(), ...FAULTS.map(({ section }) => section)]);
    expect(named.size).toBeGreaterThan(40);
    let found = 0;
    for (const section of named) {
      const [, number, place = ""] = /^RFC (\d+) (.+)$/.exec(section) ?? [];
      const file = new URL(`rfc${number}.txt`, specs);
      // Not all RFCs are kept there.
      if (!existsSync(file)) continue;
      expect(has(readFileSync(file, "utf8"), place), section).toBe(true);
      found++;
    }
    expect(found).toBeGreaterThan(40);
  });

  it("would be missed", () => {
    const text = readFileSync(new URL("rfc8446.txt", specs), "utf8");
    expect([has(text, "4.4.4"), has(text, "D.4"), has(text, "4.4.5"), has(text, "D.9")]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});
