/**
 * Certificate policies along a path, RFC 5280 6.1. The valid_policy_tree is kept as a graph, one node for each policy of
 * each depth: a tree can grow exponentially with the path, a graph cannot.
 */
import type { Certificate } from "./certificate.ts";

/** RFC 5280 4.2.1.4 */
export const ANY_POLICY = "2.5.29.32.0";

/** What the relying party asks for, RFC 5280 6.1.1 (c), (e), (f), (g). */
export interface PolicyInputs {
  /** user-initial-policy-set, dotted decimal; `undefined`: any policy will do. */
  readonly policies?: readonly string[] | undefined;
  /** initial-explicit-policy: the path must be valid for one of them. Default false. */
  readonly requireExplicit?: boolean | undefined;
  /** initial-policy-mapping-inhibit. Default false. */
  readonly inhibitMapping?: boolean | undefined;
  /** initial-any-policy-inhibit. Default false. */
  readonly inhibitAny?: boolean | undefined;
}

/** What came of it. */
export type PolicyOutcome =
  | {
      readonly valid: true;
      /** user-constrained-policy-set, sorted: {@link ANY_POLICY} alone where any policy holds. */
      readonly policies: readonly string[];
    }
  | { readonly valid: false; readonly certificate: Certificate; readonly reason: string };

interface Node {
  readonly policy: string;
  expected: ReadonlySet<string>;
  readonly parents: readonly Node[];
}

/** Nodes of one depth by valid_policy. */
type Level = Map<string, Node>;

/**
 * Processes the policies of a path.
 *
 * @param path - From the end entity to the certificate below the anchor.
 * @param anchor - The trust anchor, where what it says about policies counts too.
 */
export function checkPolicies(
  path: readonly Certificate[],
  inputs: PolicyInputs,
  anchor: Certificate | undefined,
): PolicyOutcome {
  const count = path.length;
  let explicit = inputs.requireExplicit ? 0 : count + 1;
  let mapping = inputs.inhibitMapping ? 0 : count + 1;
  let inhibitAny = inputs.inhibitAny ? 0 : count + 1;
  const root: Node = { policy: ANY_POLICY, expected: new Set([ANY_POLICY]), parents: [] };
  let level: Level = new Map([[ANY_POLICY, root]]);
  if (anchor !== undefined) {
    const { policies, policyMappings = [], policyConstraints, inhibitAnyPolicy } = anchor;
    if (policies !== undefined) level = nextLevel(level, policies, inhibitAny > 0);
    applyMappings(level, policyMappings, mapping > 0);
    explicit = Math.min(explicit, policyConstraints?.requireExplicit ?? explicit);
    mapping = Math.min(mapping, policyConstraints?.inhibitMapping ?? mapping);
    inhibitAny = Math.min(inhibitAny, inhibitAnyPolicy ?? inhibitAny);
  }
  const invalid = (certificate: Certificate, reason: string): PolicyOutcome => ({ valid: false, certificate, reason });

  for (let index = count - 1; index >= 0; index--) {
    const certificate = path[index] as Certificate;
    const isLast = index === 0;
    // Only where it matters: comparing names that differ means to decode both.
    const selfIssued = !isLast && certificate.subject.equals(certificate.issuer);
    const anyCounts = inhibitAny > 0 || selfIssued;
    level = certificate.policies === undefined ? new Map() : nextLevel(level, certificate.policies, anyCounts);
    if (explicit === 0 && level.size === 0) return invalid(certificate, "no valid policy is left, and one is required");
    if (isLast) break;

    // RFC 5280 6.1.4
    const { policyMappings = [], policyConstraints, inhibitAnyPolicy } = certificate;
    if (policyMappings.some(({ issuer, subject }) => issuer === ANY_POLICY || subject === ANY_POLICY)) {
      return invalid(certificate, "its policy mappings name anyPolicy");
    }
    applyMappings(level, policyMappings, mapping > 0);
    if (!selfIssued) {
      explicit = Math.max(0, explicit - 1);
      mapping = Math.max(0, mapping - 1);
      inhibitAny = Math.max(0, inhibitAny - 1);
    }
    explicit = Math.min(explicit, policyConstraints?.requireExplicit ?? explicit);
    mapping = Math.min(mapping, policyConstraints?.inhibitMapping ?? mapping);
    inhibitAny = Math.min(inhibitAny, inhibitAnyPolicy ?? inhibitAny);
  }

  // RFC 5280 6.1.5
  const [last] = path;
  if (last === undefined) return { valid: true, policies: [ANY_POLICY] };
  explicit = Math.max(0, explicit - 1);
  if (last.policyConstraints?.requireExplicit === 0) explicit = 0;
  const policies = userConstrained(level, inputs.policies);
  if (explicit === 0 && policies.length === 0) {
    const wanted = inputs.policies === undefined ? "one" : `one of ${inputs.policies.join(", ")}`;
    return invalid(last, `no valid policy is left, and ${wanted} is required`);
  }
  return { valid: true, policies };
}

/** RFC 5280 6.1.3 (d) */
function nextLevel(above: Level, policies: readonly string[], anyCounts: boolean): Level {
  const level: Level = new Map();
  /** Nodes above by what they expect. */
  const expecting = new Map<string, Node[]>();
  for (const node of above.values()) {
    for (const policy of node.expected) {
      const others = expecting.get(policy);
      if (others === undefined) expecting.set(policy, [node]);
      else others.push(node);
    }
  }
  const any = above.get(ANY_POLICY);
  for (const policy of policies) {
    if (policy === ANY_POLICY) continue;
    const parents = expecting.get(policy) ?? (any === undefined ? [] : [any]);
    if (parents.length > 0) level.set(policy, { policy, expected: new Set([policy]), parents });
  }
  if (anyCounts && policies.includes(ANY_POLICY)) {
    for (const [policy, parents] of expecting) {
      if (!level.has(policy)) level.set(policy, { policy, expected: new Set([policy]), parents });
    }
  }
  return level;
}

/** RFC 5280 6.1.4 (b) */
function applyMappings(
  level: Level,
  mappings: readonly { readonly issuer: string; readonly subject: string }[],
  allowed: boolean,
): void {
  const mapped = new Map<string, Set<string>>();
  for (const { issuer, subject } of mappings) mapped.set(issuer, (mapped.get(issuer) ?? new Set()).add(subject));
  const any = level.get(ANY_POLICY);
  for (const [issuer, subjects] of mapped) {
    const node = level.get(issuer);
    if (!allowed) level.delete(issuer);
    else if (node !== undefined) node.expected = subjects;
    else if (any !== undefined) level.set(issuer, { policy: issuer, expected: subjects, parents: any.parents });
  }
}

/** RFC 5280 6.1.5 (g): by the names that the policies have where the path begins, before any mapping. */
function userConstrained(level: Level, wanted: readonly string[] | undefined): readonly string[] {
  if (level.size === 0) return [];
  const found = new Set<string>();
  const seen = new Set<Node>();
  const pending = [...level.values()];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    // A node below an anyPolicy node is where its policy's name is the relying party's.
    if (node.policy !== ANY_POLICY && node.parents.some(({ policy }) => policy === ANY_POLICY)) found.add(node.policy);
    pending.push(...node.parents.filter(({ policy }) => policy !== ANY_POLICY));
  }
  const anyIsLeft = level.has(ANY_POLICY);
  if (wanted === undefined || wanted.includes(ANY_POLICY)) {
    return anyIsLeft ? [ANY_POLICY] : [...found].sort();
  }
  return [...new Set(wanted)].filter((policy) => anyIsLeft || found.has(policy)).sort();
}
