import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { FAULTS } from "../../src/inspect/page/faults/index.ts";
import { rfcLink } from "../../src/inspect/page/rfc-link.ts";

const css = readFileSync(new URL("../../src/inspect/page/page.css", import.meta.url), "utf8");
const [light = "", dark = ""] = [...css.matchAll(/:root \{([^}]+)\}/g)].map((match) => match[1]);
const colors = (block: string) =>
  new Map([...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map((match) => [match[1], match[2] as string]));

/** WCAG 2.2, relative luminance. */
function luminance(color: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(color.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

describe.each([
  ["light", colors(light)],
  ["dark", new Map([...colors(light), ...colors(dark)])],
])("text in %s", (_, known) => {
  it.each([
    ["ink", "paper"],
    ["ink", "panel"],
    ["ink", "tint"],
    ["ink", "bad-tint"],
    ["soft", "paper"],
    ["soft", "panel"],
    ["soft", "bad-tint"],
    ["accent", "paper"],
    ["accent", "panel"],
    ["good", "paper"],
    ["bad", "paper"],
    ["bad", "panel"],
    ["panel", "bad"],
    ["on-ink", "on"],
    ["early", "panel"],
    ["handshake", "panel"],
    ["application", "panel"],
  ])("is readable: %s on %s", (ink, ground) => {
    expect(contrast(known.get(ink) ?? "", known.get(ground) ?? "")).toBeGreaterThanOrEqual(4.5);
  });
});

describe("a section's address", () => {
  it.each([
    ["RFC 8446 4.1.2", "https://www.rfc-editor.org/rfc/rfc8446.html#section-4.1.2"],
    ["RFC 8446 D.4", "https://www.rfc-editor.org/rfc/rfc8446.html#appendix-D.4"],
    ["RFC 8446", "https://www.rfc-editor.org/rfc/rfc8446.html"],
    ["draft-ietf-tls-ecdhe-mlkem 3.1", "https://datatracker.ietf.org/doc/html/draft-ietf-tls-ecdhe-mlkem"],
    ["<b>", undefined],
  ])("of %s", (section, address) => {
    expect(rfcLink(section)).toBe(address);
  });

  it("is there for every fault", () => {
    for (const { section } of FAULTS) expect(rfcLink(section)).toMatch(/#(section|appendix)-/);
  });
});
