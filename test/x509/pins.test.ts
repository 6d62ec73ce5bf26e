import { createHash, X509Certificate } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { settle } from "../../src/flow.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import { type PinMismatch, pinnedVerifier, pinOf } from "../../src/x509/pins.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { acceptAnyVerifier, trustVerifier } from "../../src/x509/verifier.ts";
import { exchange, failure } from "../support/pair.ts";
import { createWorld, provider, type World } from "../support/world.ts";

/** Keys that must be in a path, whoever issued it. */

let world: World;
let [leafPin, anchorPin] = ["", ""];
const OTHER = `sha256//${"A".repeat(43)}=`;

beforeAll(async () => {
  world = await createWorld();
  const [leaf] = world.server.certificates;
  leafPin = pinOf(parseCertificate(leaf as Uint8Array), provider);
  anchorPin = pinOf(trustStore(world.authority.certificatePem).anchors[0] as never, provider);
});

const inner = () => trustVerifier({ trust: trustStore(world.authority.certificatePem) });
const request = () =>
  ({ certificates: world.server.certificates, role: "server", name: "localhost", time: Date.now(), provider }) as const;

describe("a pinned verifier", () => {
  it("accepts the peer's key, a CA's, and any of several", async () => {
    for (const pins of [leafPin, anchorPin, [OTHER, leafPin], `${OTHER};${anchorPin}`, [`${OTHER};${leafPin}`]]) {
      const identity = await settle(pinnedVerifier(inner(), { pins }).verify(request()));
      expect(identity.commonName).toBe("localhost");
    }
  });

  it("refuses every other path, and says what it has", async () => {
    const flow = pinnedVerifier(inner(), { pins: OTHER }).verify(request());
    expect(() => settle(flow)).toThrow(
      expect.objectContaining({
        code: "CERT_PIN_MISMATCH",
        alert: "bad_certificate",
        message: expect.stringContaining(leafPin),
      }),
    );
  });

  it("asks the other verifier first", () => {
    const elsewhere = { ...request(), name: "elsewhere.test" };
    expect(() => settle(pinnedVerifier(inner(), { pins: leafPin }).verify(elsewhere))).toThrow(
      expect.objectContaining({ code: "ERR_TLS_CERT_ALTNAME_INVALID" }),
    );
  });

  it("counts only the peer's own key where nothing was verified", async () => {
    const any = pinnedVerifier(acceptAnyVerifier(), { pins: leafPin });
    expect((await settle(any.verify(request()))).verified).toBe(false);
    expect(() => settle(pinnedVerifier(acceptAnyVerifier(), { pins: anchorPin }).verify(request()))).toThrow(/pinned/);
  });

  it("reports and lets pass while pins are tried out", async () => {
    const reports: PinMismatch[] = [];
    const verifier = pinnedVerifier(inner(), { pins: OTHER, reportOnly: (mismatch) => reports.push(mismatch) });
    expect((await settle(verifier.verify(request()))).verified).toBe(true);
    expect(reports).toEqual([{ subject: "CN=localhost", offered: [leafPin, anchorPin] }]);
  });

  it.each([[""], ["sha256//short="], ["sha1//AAAA"], [[]], [`sha256//${"A".repeat(44)}`]])(
    "takes no pin like %j",
    (pins) => {
      expect(() => pinnedVerifier(inner(), { pins })).toThrow(expect.objectContaining({ code: "ERR_TLS_OPTION" }));
    },
  );

  it("refuses in a handshake with bad_certificate, on both sides", () => {
    for (const [pins, expected] of [
      [leafPin, undefined],
      [OTHER, "bad_certificate"],
    ] as const) {
      const near = world.honestClient({ trust: undefined, verifier: pinnedVerifier(inner(), { pins }) });
      const far = world.honestServer();
      exchange(near, far);
      expect([failure(near)?.alert, failure(far)?.alert]).toEqual([expected, expected]);
    }
  });

  it("has curl's notation", () => {
    // curl(1): openssl x509 -pubkey | openssl asn1parse -inform PEM -noout -out pub.der; openssl dgst -sha256 -binary
    const { publicKey } = new X509Certificate(world.server.certificates[0] as Uint8Array);
    const spki = publicKey.export({ format: "der", type: "spki" });
    expect(leafPin).toBe(`sha256//${createHash("sha256").update(spki).digest("base64")}`);
  });
});
