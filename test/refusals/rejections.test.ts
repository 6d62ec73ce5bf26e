/**
 * Every chain that is rejected, presented in a handshake by either side: code and explanation on the side that judges, the
 * alert alone on the other.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { EXPLANATIONS } from "../../src/causes.ts";
import { Certificate } from "../../src/codec/messages.ts";
import { alertReceived, type Side } from "../../src/errors.ts";
import { exchange, failure, failures } from "../support/pair.ts";
import { createWorld, edit, identityOf, provider, type World } from "../support/world.ts";
import type { Chain } from "../x509/cases.ts";
import { REJECTED } from "../x509/rejections.ts";
import { verifierOf } from "../x509/verifier-of.ts";
import { type BothOptions, makeEnd } from "./ends.ts";
import type { Setup } from "./refusals.ts";

let world: World;

beforeAll(async () => {
  world = await createWorld();
});

/** Replaces what a side presents by the chain. That it has no key for it is not found out: the chain is judged before. */
function presenting({ sent, staple }: Chain): NonNullable<Setup["cheat"]> {
  const status = (response: Uint8Array) =>
    ({ name: "status_request", code: 5, value: { status_type: 1, response } }) as const;
  return (message, type) =>
    type !== "certificate"
      ? message
      : edit(message, Certificate, (body) => ({
          ...body,
          certificate_list: sent.map(({ der }, index) => ({
            cert_data: der,
            extensions: index === 0 && staple !== undefined ? [status(staple)] : [],
          })),
        }));
}

/** Two sides that accept each other, but that one of them judges as the chain wants it. */
function optionsOf(chain: Chain, judge: Side): BothOptions {
  const common = { provider, clock: Date.now, groups: ["x25519"] } as const;
  const verifier = verifierOf(chain);
  const trust = world.authority.certificatePem;
  const judging = { trust: undefined, verifier };
  return {
    client: {
      ...common,
      serverName: chain.name ?? "localhost",
      identities: [identityOf(world.client)],
      ignoreRequestHints: true,
      ...(judge === "client" ? judging : { trust }),
    },
    server: {
      ...common,
      identities: [identityOf(world.server)],
      clientAuth: "on",
      ...(judge === "server" ? judging : { trust }),
    },
  };
}

describe.each(["client", "server"] as const)("a %s judges", (judge) => {
  // Servers want no name of their clients.
  const cases = REJECTED.filter(({ code }) => judge === "client" || code !== "ERR_TLS_CERT_ALTNAME_INVALID");

  it.each(cases)("$title: $code", async ({ make, code, alert, reason }) => {
    const offender = judge === "client" ? "server" : "client";
    const chain = await make(offender);
    const options = optionsOf(chain, judge);
    const near = makeEnd(judge, options, undefined);
    const far = makeEnd(offender, options, presenting(chain));
    if (judge === "client") exchange(near, far);
    else exchange(far, near);

    expect(failure(near)).toEqual({ code, stage: "WAIT_CERT", alert, direction: "sent" });
    expect(failures(near)).toBe(1);
    const { rejection } = near.engine.error ?? {};
    expect(rejection?.paths[0]).toMatchObject({ code, reason: expect.stringMatching(reason) });
    expect(rejection?.remedy).toBe(EXPLANATIONS[code][1]);

    const stage = offender === "server" ? "WAIT_CERT" : "CONNECTED";
    expect(failure(far)).toEqual({ code: alertReceived(alert).code, stage, alert, direction: "received" });
    expect(far.engine.error?.rejection).toBeUndefined();
  });
});
