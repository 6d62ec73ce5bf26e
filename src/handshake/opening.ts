/** A server's way from the first ClientHello to everything that ServerHello says, a retry and pre-shared keys included. */
import { type Extension, extension, find } from "../codec/extensions.ts";
import { ClientHello, decodeBody, encodeMessage, HelloRetryRequest, retryRandom } from "../codec/messages.ts";
import { CipherSuiteId, NamedGroup, ProtocolVersion } from "../codec/registry.ts";
import type { CipherSuite, Group } from "../crypto/provider.ts";
import { fault } from "../errors.ts";
import type { Flow } from "../flow.ts";
import type { Transcript } from "../schedule/transcript.ts";
import type { ServerChoice, ServerConfig } from "./config.ts";
import { openCookie, type Retry, sealCookie } from "./cookie.ts";
import { call, type HandshakeEffects, receive } from "./io.ts";
import {
  checkRetriedHello,
  checkSecondHello,
  chooseGroup,
  chooseSuite,
  type OpenedClientHello,
  openClientHello,
} from "./negotiate.ts";
import { type AcceptedPsk, choosePsk, choosePskMode, skippedEarlyData, suitesFor } from "./server-psk.ts";

/** What a ClientHello has led to. */
export interface Opening {
  /** The last one. */
  readonly hello: OpenedClientHello;
  readonly choice: ServerChoice;
  readonly suite: CipherSuite;
  /** `undefined`: a pre-shared key alone (psk_ke). */
  readonly exchange: { readonly group: Group; readonly share: Uint8Array } | undefined;
  readonly psk: AcceptedPsk | undefined;
  readonly retried: boolean;
  /** By the first ClientHello. */
  readonly offeredEarlyData: boolean;
}

/** Afterwards the transcript holds everything up to the last ClientHello. */
export function* openHandshake(config: ServerConfig, effects: HandshakeEffects, transcript: Transcript): Flow<Opening> {
  let message = yield* receive("START", ["client_hello"]);
  effects.enter("RECVD_CH");
  let hello = openClientHello(decodeBody(ClientHello, message));
  if (hello.raw.legacy_session_id.length > 0) effects.compatibilityMode();
  const offeredEarlyData = hello.earlyData;
  const choice = yield* chooseForClient(config, hello);

  let retry = yield* retryBehind(config, hello, transcript);
  const suite = retry?.suite ?? chooseSuite(yield* suitesFor(config, hello), hello.raw.cipher_suites);
  const mode = choosePskMode(config, hello);
  const findKey = () => choosePsk({ config, choice, hello, message, transcript, suite });
  const findGroup = () => chooseGroup(retry?.group === undefined ? config.groups : [retry.group], hello);

  // With a key alone no share is needed; whether there is such a key may have to wait for the cookie.
  const cookieFirst = config.cookies !== undefined && retry === undefined;
  let psk = mode === "psk_ke" && !cookieFirst ? yield* findKey() : undefined;
  let exchange = psk === undefined && !(mode === "psk_ke" && cookieFirst) ? findGroup() : undefined;
  if (cookieFirst || (retry === undefined && exchange !== undefined && exchange.share === undefined)) {
    const first = hello;
    effects.assertAligned();
    transcript.add(message.bytes);
    transcript.begin(suite.hash);
    const group = exchange?.share === undefined ? exchange?.group : undefined;
    retry = { suite, group, helloHash: transcript.current() };
    const cookie = cookieFirst ? yield* sealCookie(config, hello, retry) : config.sources.cookie?.();
    const request = helloRetryRequest(config, hello, retry, cookie);
    transcript.replaceByMessageHash();
    transcript.add(request);
    effects.send("initial", request);
    if (hello.earlyData) effects.skipEarlyData(skippedEarlyData(config));
    message = yield* receive("START", ["client_hello"]);
    effects.enter("RECVD_CH");
    hello = openClientHello(decodeBody(ClientHello, message));
    checkSecondHello(first, hello, group, cookie);
    if (mode === "psk_ke" && cookieFirst) psk = yield* findKey();
    exchange = psk === undefined ? findGroup() : undefined;
  }
  if (mode === "psk_dhe_ke") psk = yield* findKey();
  transcript.add(message.bytes);
  transcript.begin(suite.hash);
  return { hello, choice, suite, exchange: withShare(exchange), psk, retried: retry !== undefined, offeredEarlyData };
}

function withShare(exchange: ReturnType<typeof chooseGroup> | undefined): Opening["exchange"] {
  if (exchange === undefined) return undefined;
  const { group, share } = exchange;
  // RFC 8446 4.1.4: there is no second retry.
  if (share === undefined) throw fault("ERR_TLS_ILLEGAL_PARAMETER", `no share for ${group.name} after a retry`);
  return { group, share };
}

/** The callback's word over the configuration's. */
function* chooseForClient(config: ServerConfig, hello: OpenedClientHello): Flow<ServerChoice> {
  const { onClientHello } = config;
  if (onClientHello === undefined) return config;
  const replaced = yield* call("client_hello", "ERR_TLS_CALLBACK_FAILED", () =>
    onClientHello({
      serverName: hello.serverName,
      alpn: hello.alpn ?? [],
      signatureSchemes: hello.signatureSchemes,
      cipherSuites: hello.raw.cipher_suites,
      groups: hello.groups,
      raw: hello.raw,
    }),
  );
  const choice = { ...config, ...replaced };
  if (replaced?.clientAuth !== undefined) return choice;
  return Object.defineProperty(choice, "clientAuth", { get: () => config.clientAuth });
}

/** A ClientHello that brings a cookie begins where the HelloRetryRequest left off. */
function* retryBehind(config: ServerConfig, hello: OpenedClientHello, transcript: Transcript): Flow<Retry | undefined> {
  const cookie = find(hello.extensions, "cookie");
  if (config.cookies === undefined || cookie === undefined) return undefined;
  const retry = yield* openCookie(config, hello, cookie);
  checkRetriedHello(hello, retry.group);
  transcript.resume(retry.suite.hash, retry.helloHash);
  transcript.add(helloRetryRequest(config, hello, retry, cookie));
  return retry;
}

/** RFC 8446 4.1.4 */
function helloRetryRequest(
  config: ServerConfig,
  hello: OpenedClientHello,
  { suite, group }: Retry,
  cookie: Uint8Array | undefined,
): Uint8Array {
  const block: Extension<"HRR">[] = [extension("supported_versions", ProtocolVersion.codes["TLS 1.3"])];
  if (group !== undefined) block.push(extension("key_share", NamedGroup.codes[group.name]));
  if (cookie !== undefined) block.push(extension("cookie", cookie));
  return encodeMessage("hello_retry_request", HelloRetryRequest, {
    legacy_version: ProtocolVersion.codes["TLS 1.2"],
    random: retryRandom(),
    legacy_session_id_echo: hello.raw.legacy_session_id,
    cipher_suite: CipherSuiteId.codes[suite.name],
    legacy_compression_method: 0,
    extensions: config.arrange?.("HRR", block) ?? block,
  });
}
