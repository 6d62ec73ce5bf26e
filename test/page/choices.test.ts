import { describe, expect, it } from "vitest";
import {
  DEFAULT_CHOICES,
  DEFAULT_STATE,
  type PageState,
  protocolsOf,
  QUESTIONS,
  readFragment,
  writeFragment,
} from "../../src/inspect/page/choices.ts";
import { FAULTS } from "../../src/inspect/page/faults/index.ts";

const read = (fragment: string) => readFragment(fragment).state;

describe("the fragment of the page's address", () => {
  it("is empty for the page as it opens", () => {
    expect(writeFragment(DEFAULT_STATE)).toBe("#");
    expect(readFragment("")).toEqual({ state: DEFAULT_STATE, ignored: [] });
  });

  it.each(QUESTIONS.flatMap(({ name, answers }) => answers.map(([value]) => [name, value] as const)))(
    "keeps %s=%s",
    (name, value) => {
      const state = { ...DEFAULT_STATE, choices: { ...DEFAULT_CHOICES, [name]: value } as PageState["choices"] };
      expect(read(writeFragment(state))).toEqual(state);
    },
  );

  it.each<Partial<PageState>>([
    { example: 5 },
    { at: { record: "s3", offset: 130 } },
    { byte: { from: "server", record: 3, offset: 130, value: 0x5a, where: "inside" } },
    { byte: { from: "client", record: 1, offset: 0, value: 0, where: "wire" } },
    { choices: { ...DEFAULT_CHOICES, alpn: "h2, a&b=c, <img src=x>" } },
    ...FAULTS.map(({ name }) => ({ fault: name })),
  ])("keeps %j", (part) => {
    const state = { ...DEFAULT_STATE, ...part };
    expect(read(writeFragment(state))).toEqual(state);
  });

  it.each([
    "group=x448",
    "auth=",
    "example=8",
    "fault=<b>",
    "byte=x1.2.33",
    "byte=s1.2.333",
    "byte=s0.2.33",
    "byte=s1.999999.33",
    "at=3",
    "unknown=1",
    `alpn=${"a".repeat(1001)}`,
  ])("passes over %s, and says so", (fragment) => {
    const [name] = fragment.split("=");
    expect(readFragment(`#${fragment}`)).toEqual({ state: DEFAULT_STATE, ignored: [name] });
  });

  it("lists protocols as they are typed", () => {
    expect(protocolsOf(" h2 ,, http/1.1,")).toEqual(["h2", "http/1.1"]);
  });

  it("has the default as the first answer of every question", () => {
    for (const { name, answers } of QUESTIONS) expect(answers[0]?.[0]).toBe(DEFAULT_CHOICES[name]);
  });
});
