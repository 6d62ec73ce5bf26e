/** One request, from what came to what becomes of it: the same for traffic and for trying a policy out. */
import type { PeerIdentity } from "../x509/identity.ts";
import type { RawFields } from "./fields/names.ts";
import { valuesOf } from "./fields/names.ts";
import { type Framing, readFraming, saysEarly } from "./fields/request.ts";
import { type Host, readHost } from "./host.ts";
import type { Decision, Policy } from "./policy/policy.ts";
import { isRefusal, type Refusal, readTarget, type Target } from "./target.ts";

/** A request's head as it came. */
export interface RequestHead {
  readonly method: string;
  readonly target: string;
  /** Such as `1.1`. */
  readonly version: string;
  readonly fields: RawFields;
}

/** What is known of its connection. */
export interface RequestOrigin {
  readonly client: PeerIdentity | undefined;
  readonly serverName: string | undefined;
  /** It came in early data. */
  readonly early: boolean;
}

/** What becomes of requests that may be replays, RFC 8470: 425, or passed on as such. */
export type EarlyRequests = "refuse" | "mark";

/** A request that the policy has decided about. */
export interface Judged {
  readonly host: Host;
  readonly target: Target;
  readonly framing: Framing;
  readonly early: boolean;
  readonly decision: Decision;
}

/** Judges under one policy. What is malformed, misdirected or too early is refused before it is asked. */
export function judgeRequest(
  policy: Policy,
  { method, target: raw, version, fields }: RequestHead,
  { client, serverName, early: cameEarly }: RequestOrigin,
  earlyRequests: EarlyRequests,
): Judged | Refusal {
  if (!/^1\.[01]$/.test(version)) {
    return { status: 505, rule: "version", reason: `HTTP/${version} is neither 1.0 nor 1.1` };
  }
  const framing = readFraming(fields, version);
  if (typeof framing === "object" && isRefusal(framing)) return framing;
  const target = readTarget(raw);
  if (isRefusal(target)) return target;
  const host = readHost(valuesOf(fields, "host"), target.authority, serverName);
  if (isRefusal(host)) return host;
  const early = cameEarly || saysEarly(fields);
  if (early && earlyRequests === "refuse") {
    return { status: 425, rule: "early-data", reason: "the request came in early data, and may be a replay" };
  }
  const decision = policy.decide(client, { method, path: target.path, host: host.name });
  return { host, target, framing, early, decision };
}
