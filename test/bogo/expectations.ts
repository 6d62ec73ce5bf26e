/** What the runner expects of a handshake, held against what came of it. */
import { readFileSync } from "node:fs";
import { equal } from "../../src/bytes/bytes.ts";
import { toHex } from "../../src/bytes/hex.ts";
import { readPem } from "../../src/bytes/pem.ts";
import { CipherSuiteId, NamedGroup, SignatureScheme } from "../../src/codec/registry.ts";
import { encode, list, opaque } from "../../src/codec/schema.ts";
import { resolvePsk } from "../../src/engine/psk.ts";
import type { HandshakeResult } from "../../src/handshake/config.ts";
import type { Session } from "../../src/handshake/session.ts";
import type { Scene } from "./configure.ts";
import { provider, psksOf } from "./credentials.ts";
import type { Settings } from "./flags.ts";

/** Something is not as the runner expects it. */
class Unexpected extends Error {}

export function expect(holds: boolean, otherwise: string): void {
  if (!holds) throw new Unexpected(otherwise);
}

const TLS_1_3 = 0x0304;

/**
 * Everything that is settled when a handshake is done.
 *
 * @param settings - The scene's, or after rejected early data those of the second try.
 * @param offered - A client's session.
 */
export function checkHandshake(
  result: HandshakeResult,
  settings: Settings,
  scene: Scene,
  offered: Session | undefined,
): void {
  expect(!settings.handshakeNeverDone, "the handshake was done");
  const { isResumption } = scene;
  const reused = isResumption && !settings.expectSessionMiss;
  expect(result.resumed === reused, `the session was ${result.resumed ? "" : "not "}reused`);
  for (const [wanted, got, what] of equalities(result, settings, scene)) {
    if (wanted !== undefined) expect(got === wanted, `${what} is ${got}, wanted ${wanted}`);
  }
  const alpn = settings.server ? settings.selectAlpn : settings.expectAlpn;
  expect((result.alpn ?? "") === (alpn ?? ""), `ALPN is ${result.alpn}, wanted ${alpn}`);
  if (settings.expectNoServerName) expect(result.serverName === undefined, "there is a server name");
  if (settings.expectHrr) expect(result.retried, "no HelloRetryRequest");
  if (settings.expectNoHrr) expect(!result.retried, "a HelloRetryRequest");
  if (settings.expectAcceptEarlyData) expect(result.earlyData === "accepted", "early data was not accepted");
  if (settings.expectRejectEarlyData) expect(result.earlyData !== "accepted", "early data was accepted");
  checkPeer(result, settings);
  if (settings.expectEarlyDataReason !== undefined) {
    const reason = settings.server ? serverReason(result, settings, scene) : clientReason(result, settings, offered);
    expect(reason === settings.expectEarlyDataReason, `the early data reason is "${reason}"`);
  }
}

type Equality = readonly [wanted: string | number | boolean | undefined, got: unknown, what: string];

function equalities(result: HandshakeResult, settings: Settings, scene: Scene): readonly Equality[] {
  const { group, peerSignatureScheme } = result;
  return [
    [settings.expectVersion, TLS_1_3, "version"],
    [settings.expectServerName, result.serverName, "server name"],
    [settings.expectAdvertisedAlpn, scene.advertisedAlpn && prefixed(scene.advertisedAlpn), "the advertised ALPN"],
    [
      settings.expectPeerSignatureAlgorithm,
      peerSignatureScheme && SignatureScheme.codes[peerSignatureScheme],
      "the peer's signature scheme",
    ],
    [group && settings.expectCurveId, group && NamedGroup.codes[group], "group"],
    [settings.expectCipher ?? settings.expectCipherAes, CipherSuiteId.codes[result.cipherSuite], "cipher suite"],
    [settings.expectOcspResponse && toHex(settings.expectOcspResponse), hex(result.peerOcspResponse), "OCSP response"],
    [
      settings.expectSignedCertTimestamps && toHex(settings.expectSignedCertTimestamps),
      toHex(encode(SctList, result.peerScts)),
      "SCT list",
    ],
    [settings.expectSelectedCredential, selected(result, settings, scene), "the selected credential"],
    [settings.expectPeerVerifyPref?.join(), scene.peerVerifyPrefs?.join(), "the peer's verify preferences"],
    [names(settings.expectClientCaList), scene.authorities?.map(toHex).join(), "the list of authorities"],
    [settings.expectVerifyResult && !settings.verifyFail, result.peer?.verified ?? true, "the verify result"],
  ];
}

const SctList = list(opaque(1, 0xffff), "sct", 0, 0xffff);

const hex = (bytes: Uint8Array | undefined) => bytes && toHex(bytes);
const names = (list: string | undefined) => (list?.startsWith("<") ? "" : list);

function prefixed(protocols: readonly string[]): string {
  return protocols.map((name) => String.fromCharCode(name.length) + name).join("");
}

function selected({ psk }: HandshakeResult, settings: Settings, scene: Scene): number {
  if (psk?.kind !== "imported") return scene.selectedCredential;
  const found = psksOf(settings).find((entry) =>
    resolvePsk(entry.psk, provider).some(({ identity }) => equal(identity, psk.identity)),
  );
  return found?.index ?? -1;
}

function checkPeer(result: HandshakeResult, settings: Settings): void {
  const chain = result.peerCertificates;
  const byKey = result.psk !== undefined && result.psk.kind !== "resumption";
  if (settings.expectNoPeerCert || byKey) expect(chain.length === 0, "an unexpected peer certificate");
  else if (!settings.server || settings.requireAnyClientCertificate) expect(chain.length > 0, "no peer certificate");
  if (settings.expectPeerCertFile === undefined) return;
  const wanted = readPem(readFileSync(settings.expectPeerCertFile, "utf8"));
  const same = wanted.length === chain.length && wanted.every(({ der }, i) => equal(der, chain[i] as Uint8Array));
  expect(same, "another peer certificate");
}

/** In BoringSSL's words, from what a client sees. */
function clientReason(result: HandshakeResult, settings: Settings, offered: Session | undefined): string {
  if (!settings.enableEarlyData) return "disabled";
  if (result.earlyData === "accepted") return "accept";
  if (offered === undefined) return "no_session_offered";
  if (offered.maxEarlyData === 0) return "unsupported_for_session";
  const { alpn } = offered;
  if (alpn !== undefined && !settings.advertiseAlpn?.includes(alpn)) return "alpn_mismatch";
  if (result.retried) return "hello_retry_request";
  return result.resumed ? "peer_declined" : "session_not_resumed";
}

/** In BoringSSL's words, from what a server sees. */
function serverReason(result: HandshakeResult, settings: Settings, { memory, isResumption }: Scene): string {
  const { previous } = memory;
  if (!settings.enableEarlyData) return "disabled";
  if (result.earlyData === "accepted") return "accept";
  if (previous === undefined || !isResumption) return "no_session_offered";
  if (!result.resumed) return "session_not_resumed";
  if (!previous.early) return "unsupported_for_session";
  if (result.retried) return "hello_retry_request";
  if (previous.alpn !== result.alpn) return "alpn_mismatch";
  return result.earlyData === undefined ? "peer_declined" : "ticket_age_skew";
}
