/** RFC 5280 6.1's policies over paths of which nothing else matters. */
import { describe, expect, it } from "vitest";
import type { Certificate } from "../../src/x509/certificate.ts";
import { ANY_POLICY, checkPolicies, type PolicyInputs } from "../../src/x509/policies.ts";

type Says = Partial<Pick<Certificate, "policies" | "policyMappings" | "policyConstraints" | "inhibitAnyPolicy">>;

let serial = 0;
/** A certificate that says this, and nothing else. */
function certificate(says: Says, selfIssued = false): Certificate {
  const name = { id: serial++ };
  const equals = (other: unknown) => other === subject;
  const subject = { ...name, equals };
  const issuer = selfIssued ? subject : { ...name, equals: () => false };
  return { subject, issuer, ...says } as unknown as Certificate;
}

/** The path as people say it: from the anchor down. */
function outcome(down: readonly Says[], inputs: PolicyInputs = {}, anchor?: Says): readonly string[] | string {
  const path = [...down].reverse().map((says) => certificate(says));
  const result = checkPolicies(path, inputs, anchor && certificate(anchor, true));
  return result.valid ? result.policies : result.reason;
}

const [gold, silver, bronze] = ["1.2.3.1", "1.2.3.2", "1.2.3.3"] as const;
const says = (...policies: string[]): Says => ({ policies });
const maps = (...pairs: [string, string][]) => pairs.map(([issuer, subject]) => ({ issuer, subject }));
const required = /one.* is required/;

describe("policies along a path", () => {
  it("are those that all certificates name", () => {
    expect(outcome([says(gold, silver), says(gold, bronze), says(gold)])).toEqual([gold]);
    expect(outcome([says(gold), says(silver)])).toEqual([]);
    expect(outcome([says(gold), {}])).toEqual([]);
    expect(outcome([{}, says(gold)])).toEqual([]);
  });

  it("may be any, and then what is below decides", () => {
    expect(outcome([says(ANY_POLICY), says(gold, silver)])).toEqual([gold, silver]);
    expect(outcome([says(ANY_POLICY), says(ANY_POLICY)])).toEqual([ANY_POLICY]);
    expect(outcome([says(gold), says(ANY_POLICY)])).toEqual([gold]);
    expect(outcome([says(ANY_POLICY), says(ANY_POLICY)], { policies: [silver] })).toEqual([silver]);
  });

  it("are asked for", () => {
    expect(outcome([says(gold), says(gold)], { policies: [gold], requireExplicit: true })).toEqual([gold]);
    expect(outcome([says(gold), says(gold)], { policies: [silver], requireExplicit: true })).toMatch(required);
    expect(outcome([{}, {}], { requireExplicit: true })).toMatch(required);
    expect(outcome([{}, {}], { policies: [gold] })).toEqual([]);
  });

  it("are required by a certificate above", () => {
    const constraints = (requireExplicit: number) => ({
      policyConstraints: { requireExplicit, inhibitMapping: undefined },
    });
    expect(outcome([constraints(0), {}, {}])).toMatch(required);
    expect(outcome([constraints(1), {}, {}])).toMatch(required);
    expect(outcome([constraints(2), {}, {}])).toMatch(required);
    expect(outcome([constraints(3), {}, {}])).toEqual([]);
    expect(outcome([{}, constraints(0)])).toMatch(required);
    expect(outcome([{}, {}], {}, constraints(0))).toMatch(required);
    expect(outcome([says(gold), says(gold)], {}, constraints(0))).toEqual([gold]);
  });

  it("are mapped, and told by the name they have above", () => {
    const mapped = { ...says(gold), policyMappings: maps([gold, silver]) };
    expect(outcome([mapped, says(silver)])).toEqual([gold]);
    expect(outcome([mapped, says(gold)])).toEqual([]);
    expect(outcome([mapped, says(silver)], { inhibitMapping: true })).toEqual([]);
    const any = { ...says(ANY_POLICY), policyMappings: maps([gold, silver], [gold, bronze]) };
    expect(outcome([any, says(bronze)], { policies: [gold] })).toEqual([gold]);
    const forbids = { ...says(gold), policyConstraints: { requireExplicit: undefined, inhibitMapping: 0 } };
    expect(outcome([forbids, mapped, says(silver)])).toEqual([]);
    expect(outcome([{ ...says(gold), policyMappings: maps([ANY_POLICY, gold]) }, says(gold)])).toMatch(
      /name anyPolicy/,
    );
  });

  it("are not any where that is inhibited, but in self-issued certificates on the way", () => {
    const inhibits = (inhibitAnyPolicy: number) => ({ ...says(gold), inhibitAnyPolicy });
    expect(outcome([inhibits(0), says(ANY_POLICY)])).toEqual([]);
    expect(outcome([inhibits(1), says(ANY_POLICY)])).toEqual([gold]);
    expect(outcome([says(ANY_POLICY), says(gold)], { inhibitAny: true })).toEqual([]);
    const path = [certificate(says(gold)), certificate(says(ANY_POLICY), true), certificate(inhibits(0))];
    expect(checkPolicies(path, {}, undefined)).toEqual({ valid: true, policies: [gold] });
  });

  it("cost no more than the square of their number", () => {
    const many = Array.from({ length: 128 }, (_, i) => `1.2.4.${i}`);
    const all = {
      ...says(...many),
      policyMappings: many.map((issuer, i) => ({ issuer, subject: many[(i * 7) % 128] as string })),
    };
    // As a tree this would have 128^32 nodes.
    expect(outcome(new Array(32).fill(all))).toHaveLength(128);
  });
});
