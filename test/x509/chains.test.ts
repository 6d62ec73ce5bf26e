/** One chain for each rule, broken in that alone: code, alert and explanation, for both roles, beside node:tls. */
import { describe, expect, it } from "vitest";
import { writePem } from "../../src/bytes/pem.ts";
import { EXPLANATIONS } from "../../src/causes.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import { TlsError } from "../../src/errors.ts";
import { settle } from "../../src/flow.ts";
import { nodeVerdict } from "../support/node-verdict.ts";
import type { TestCertificate } from "../support/pki.ts";
import { ACCEPTED } from "./accepted.ts";
import { type Chain, type Role, root } from "./cases.ts";
import { REJECTED } from "./rejections.ts";
import { verifierOf } from "./verifier-of.ts";

describe("the table of rejections", () => {
  it("has 40 causes at least, each once, and a chain for every code there is", () => {
    expect(REJECTED.length).toBeGreaterThanOrEqual(40);
    expect(new Set(REJECTED.map(({ title }) => title)).size).toBe(REJECTED.length);
    expect([...new Set(REJECTED.map(({ code }) => code))].sort()).toEqual(
      Object.entries(EXPLANATIONS)
        .filter(([, [, remedy]]) => remedy !== undefined)
        .map(([code]) => code)
        .sort(),
    );
  });
});

describe.each(["server", "client"] as const)("the chain of a %s", (role) => {
  it.each(ACCEPTED)("$title", async ({ make, node }) => {
    const chain = await make(role);
    for (const outcome of outcomes(chain, role, role === "server")) {
      expect(outcome).toMatchObject({ verified: true, role });
    }
    if (node !== null) expect(await askNode(chain, role)).toBe(node?.code);
  });

  it.each(REJECTED)("$title: $code", async ({ make, code, alert, reason, node }) => {
    const chain = await make(role);
    for (const outcome of outcomes(chain, role, role === "server" || code === "ERR_TLS_CERT_ALTNAME_INVALID")) {
      expect(outcome).toBeInstanceOf(TlsError);
      const { rejection, ...error } = outcome as TlsError;
      expect(error).toMatchObject({ code, alert });
      expect(rejection?.paths[0]).toMatchObject({ code, reason: expect.stringMatching(reason) });
      expect(rejection?.remedy).toBe(EXPLANATIONS[code][1]);
    }
    if (node === null || (role === "client" && code === "ERR_TLS_CERT_ALTNAME_INVALID")) return;
    expect(await askNode(chain, role)).toBe(node === undefined ? code : node.code);
  });
});

/** Of both providers. */
function outcomes(chain: Chain, role: Role, named: boolean): unknown[] {
  const certificates = chain.sent.map(({ der }) => der);
  const name = named ? (chain.name ?? "localhost") : undefined;
  return [nodeProvider, nobleProvider].map((provider) => {
    const request = { certificates, role, name, time: Date.now(), provider, ocspResponse: chain.staple } as const;
    try {
      const outcome = settle(verifierOf(chain).verify(request));
      expect(outcome).not.toBeInstanceOf(Promise);
      return outcome;
    } catch (error) {
      return error;
    }
  });
}

function askNode({ sent, trusted, name = "localhost", crls = [] }: Chain, role: Role): Promise<string | undefined> {
  const [end] = sent as [TestCertificate];
  return nodeVerdict({
    chain: sent.map(({ pem }) => pem).join(""),
    privateKey: end.privateKeyPem,
    trusted: trusted.map(({ pem }) => pem).join(""),
    crls: crls.map((der) => writePem("X509 CRL", der)),
    role,
    name: role === "server" ? name : undefined,
    other: { certificate: root.pem, privateKey: root.privateKeyPem },
  });
}
