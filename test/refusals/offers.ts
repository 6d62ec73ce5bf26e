/** Refusals of what stands beside a full handshake: pre-shared keys, early data, cookies, compressed certificates. */
import { toHex } from "../../src/bytes/hex.ts";
import { ClientHello } from "../../src/codec/messages.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import {
  clientContext,
  type SessionCache,
  sealedCookies,
  sealedTickets,
  serverContext,
} from "../../src/engine/index.ts";
import type { Session } from "../../src/handshake/session.ts";
import { zlibCompression } from "../../src/node/index.ts";
import { end, exchange } from "../support/pair.ts";
import { edit, withRaw } from "../support/world.ts";
import type { Certificates } from "./certificates.ts";
import { optionsFor } from "./ends.ts";
import type { Refusal, Setup } from "./refusals.ts";

const KEY = new Uint8Array(32).fill(7);
const OTHER = new Uint8Array(32).fill(9);
const psk = (identity: string, key: Uint8Array) => ({ psks: [{ identity, key }] });
const opensslPsk = (identity: string, key: Uint8Array) => ({ "-psk": toHex(key), "-psk_identity": identity });

export const OFFERS: readonly Refusal[] = [
  {
    name: "an external key that is another",
    offender: "client",
    refuses: "server",
    code: "ERR_SSL_BINDER_DOES_NOT_VERIFY",
    stage: "RECVD_CH",
    alert: "decrypt_error",
    noticed: "WAIT_SH",
    setup: () => ({ client: psk("a", OTHER), server: psk("a", KEY) }),
    opensslOffends: () => opensslPsk("a", OTHER),
    opensslRefuses: {
      options: () => opensslPsk("a", KEY),
      reason: "binder does not verify",
      alert: "illegal_parameter",
    },
  },
  {
    name: "an external key that nobody knows, and no certificate to do without",
    offender: "client",
    refuses: "server",
    code: "ERR_TLS_UNKNOWN_PSK",
    stage: "RECVD_CH",
    alert: "unknown_psk_identity",
    noticed: "WAIT_SH",
    setup: () => ({ client: psk("b", KEY), server: { ...psk("a", KEY), identities: [], clientAuth: "off" } }),
    opensslOffends: () => opensslPsk("b", KEY),
  },
  {
    name: "no external key, and the server has no certificate",
    offender: "client",
    refuses: "server",
    code: "ERR_SSL_NO_SHARED_CIPHER",
    stage: "RECVD_CH",
    alert: "handshake_failure",
    noticed: "WAIT_SH",
    setup: () => ({ server: { ...psk("a", KEY), identities: [], clientAuth: "off" } }),
    opensslOffends: () => ({}),
  },
  {
    name: "a cookie that this server did not give",
    offender: "client",
    refuses: "server",
    code: "ERR_TLS_ILLEGAL_PARAMETER",
    stage: "RECVD_CH",
    alert: "illegal_parameter",
    noticed: "WAIT_SH",
    setup: () => ({
      server: { cookies: sealedCookies() },
      cheat: (message, type) =>
        type === "client_hello"
          ? edit(message, ClientHello, (hello) => ({
              ...hello,
              extensions: withRaw(hello.extensions, "cookie", 0, 3, 1, 2, 3),
            }))
          : message,
    }),
  },
  {
    name: "more early data than the ticket allows",
    offender: "client",
    refuses: "server",
    code: "ERR_TLS_TOO_MUCH_EARLY_DATA",
    stage: "WAIT_EOED",
    alert: "unexpected_message",
    noticed: "CONNECTED",
    setup: tooMuchEarlyData,
  },
  ...(["server", "client"] as const).map(
    (offender): Refusal => ({
      name: "a compressed certificate that does not decompress",
      offender,
      refuses: offender === "server" ? "client" : "server",
      code: "ERR_TLS_CERT_DECOMPRESSION",
      stage: "WAIT_CERT",
      alert: "bad_certificate",
      noticed: offender === "server" ? "WAIT_CERT" : "CONNECTED",
      setup: () => ({
        client: { certificateCompression: [zlibCompression()] },
        server: { certificateCompression: [zlibCompression()] },
        cheat: (message, type) =>
          type === "compressed_certificate"
            ? message.map((byte, i) => (i === message.length - 1 ? byte ^ 1 : byte))
            : message,
      }),
    }),
  ),
];

/** A client that takes its ticket for one that allows more. */
function tooMuchEarlyData(certificates: Certificates): Setup {
  const server = {
    // Early data goes with the first connection's suite, and providers differ in which they like best.
    cipherSuites: ["TLS_AES_128_GCM_SHA256"] as const,
    tickets: { store: sealedTickets() },
    acceptEarlyData: { antiReplay: { claim: () => true }, maxSize: 100 },
  };
  let kept: Session | undefined;
  const keeping: SessionCache = {
    take: () => undefined,
    put: (_scope, session) => {
      kept = session;
    },
  };
  const options = optionsFor(certificates, { client: { sessions: keeping }, server }, createNodeProvider());
  exchange(end(clientContext(options.client).engine()), end(serverContext(options.server).engine()));
  const session = kept;
  const generous: SessionCache = { take: () => session && { ...session, maxEarlyData: 1000 }, put: () => {} };
  return { client: { sessions: generous, offerEarlyData: true }, server, earlyData: new Uint8Array(101) };
}
