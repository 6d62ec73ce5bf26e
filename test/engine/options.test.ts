import { beforeAll, describe, expect, it } from "vitest";
import { parsePkcs8, parsePrivateKey } from "../../src/crypto/keys.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import { type ClientOptions, clientContext, type ServerOptions, serverContext } from "../../src/engine/index.ts";
import { TlsError } from "../../src/errors.ts";
import { acceptAnyVerifier } from "../../src/x509/verifier.ts";
import { createTestIdentities, identityOptions, KEY_KINDS, type TestIdentities } from "../support/identities.ts";

let identities: TestIdentities;
beforeAll(async () => {
  identities = await createTestIdentities(KEY_KINDS);
});

function codeOf(action: () => unknown): string | undefined {
  try {
    action();
  } catch (error) {
    if (error instanceof TlsError) return error.code;
    throw error;
  }
  return undefined;
}

describe.each([nobleProvider, createNodeProvider()])("options with provider $name", (provider) => {
  const client = (options: object): ClientOptions =>
    ({ provider, clock: Date.now, serverName: "localhost", trust: identities.ca, ...options }) as ClientOptions;
  const server = (options: object): ServerOptions =>
    ({ provider, clock: Date.now, identities: [identityOptions(identities.server())], ...options }) as ServerOptions;

  it.each([
    ["an unknown option", { servername: "localhost" }],
    ["no name to check", { serverName: undefined }],
    [
      "no name to check for a verifier of its own",
      { serverName: undefined, trust: undefined, verifier: acceptAnyVerifier() },
    ],
    ["a name that is none", { serverName: "not a name" }],
    ["both trust and a verifier", { verifier: { *verify() {} } }],
    ["a group that the provider does not have", { groups: ["ffdhe8192"] }],
    ["no group at all", { groups: [] }],
    ["a signature scheme that may only sign certificates", { signatureSchemes: ["rsa_pkcs1_sha256"] }],
    ["no signature scheme at all", { signatureSchemes: [] }],
    ["a cipher suite of TLS 1.2", { cipherSuites: ["ECDHE-RSA-AES128-GCM-SHA256"] }],
    ["a key share outside the groups", { groups: ["x25519"], keyShares: ["secp256r1"] }],
    ["an ALPN protocol without a name", { alpn: [""] }],
    ["records longer than the protocol's", { maxFragment: 16385 }],
    ["a queue too small for one record", { highWaterMark: 1000 }],
    ["one identity that is no list", { identities: { cert: "", key: "" } }],
  ])("refuse %s on a client", (_what, options) => {
    expect(codeOf(() => clientContext(client(options)))).toBe("ERR_TLS_OPTION");
  });

  it.each([
    ["an unknown option", { requestCert: true }],
    ["no identity", { identities: [] }],
    ["one identity that is no list", { identities: { cert: "", key: "" } }],
    ["client authentication without anchors", { clientAuth: "on" }],
    ["client authentication in other words", { clientAuth: "required", trust: [] }],
    ["client authentication in capitals", { clientAuth: "ON", trust: [] }],
    ["client authentication that is true", { clientAuth: true, trust: [] }],
    ["optional client authentication without anchors", { clientAuth: "optional" }],
  ])("refuse %s on a server", (_what, options) => {
    expect(codeOf(() => serverContext(server(options)))).toBe("ERR_TLS_OPTION");
  });

  it.each(KEY_KINDS)("refuse the %s key of another certificate", (kind) => {
    const { cert } = identityOptions(identities.server(kind));
    const { key } = identityOptions(identities.client(kind));
    expect(codeOf(() => serverContext(server({ identities: [{ cert, key }] })))).toBe(
      "ERR_OSSL_X509_KEY_VALUES_MISMATCH",
    );
    expect(
      codeOf(() => serverContext(server({ identities: [identityOptions(identities.server(kind))] }))),
    ).toBeUndefined();
  });

  it("refuse a key of another kind than the certificate's", () => {
    const { cert } = identityOptions(identities.server("P-256"));
    const { key } = identityOptions(identities.server("RSA"));
    expect(codeOf(() => serverContext(server({ identities: [{ cert, key }] })))).toBe("ERR_TLS_KEY");
  });

  it("refuse a key with a number beyond its curve's order", () => {
    const { cert, key } = identityOptions(identities.server("P-256"));
    const pkcs8 = parsePrivateKey(key as string | Uint8Array);
    const scalar = (parsePkcs8(pkcs8) as { key: Uint8Array }).key;
    const at = Buffer.from(pkcs8).indexOf(scalar);
    const beyond = pkcs8.slice().fill(0xff, at, at + scalar.length);
    // OpenSSL may take it for another key.
    const codes = ["ERR_TLS_KEY", ...(provider.name === "node" ? ["ERR_OSSL_X509_KEY_VALUES_MISMATCH"] : [])];
    expect(codes).toContain(codeOf(() => serverContext(server({ identities: [{ cert, key: beyond }] }))));
  });
});
