/** An engine for one connection, with what node:tls tells of a handshake and the engine does not: Finished and the key log. */
import { toHex } from "../../bytes/hex.ts";
import { SignatureScheme, type SignatureSchemeName } from "../../codec/registry.ts";
import { nodeProvider } from "../../crypto/node.ts";
import type { Aftermath } from "../../engine/after.ts";
import { clientAftermath, serverAftermath } from "../../engine/aftermath.ts";
import type { StartFlow } from "../../engine/connection.ts";
import { TlsEngine } from "../../engine/engine.ts";
import { everyFeature } from "../../engine/features/index.ts";
import { type EngineLimits, resolveLimits } from "../../engine/limits.ts";
import type { Side } from "../../errors.ts";
import type { Awaitable, Flow } from "../../flow.ts";
import { clientHandshake } from "../../handshake/client.ts";
import { clientKeys } from "../../handshake/client-psk.ts";
import type { ClientAuth, ClientHelloInfo, ServerChoice, ServerConfig } from "../../handshake/config.ts";
import type { ExternalPsk } from "../../handshake/psk.ts";
import { serverHandshake } from "../../handshake/server.ts";
import type { Session } from "../../handshake/session.ts";
import type { CertificateVerifier } from "../../x509/verifier.ts";
import type { SecureContext } from "./context.ts";

const FINISHED = 20;

/** What is learned on the way. */
export interface Findings {
  /** verify_data of this side's Finished. */
  finished: Uint8Array | undefined;
  /** verify_data of the peer's Finished. */
  peerFinished: Uint8Array | undefined;
  /** A line for a key log, with its line break; set where somebody listens. */
  onKeyLog: ((line: Buffer) => void) | undefined;
}

/** What belongs to one client connection. */
export interface ClientSetup {
  readonly context: SecureContext;
  readonly verifier: CertificateVerifier;
  readonly serverName: string | undefined;
  readonly alpn: readonly string[];
  readonly session: Session | undefined;
  readonly requestStatus: boolean;
  readonly psks: readonly ExternalPsk[];
}

export function clientEngine({ context, session, psks, ...setup }: ClientSetup, findings: Findings): TlsEngine {
  // What a ticket begins is told as an event, for the application to keep.
  const sessions = { take: () => session, put: () => {} };
  const keys = clientKeys({
    psks,
    sessions,
    pskModes: ["psk_dhe_ke"],
    pskWithCertificates: false,
    earlyData: false,
  });
  const config = { ...context.client, ...setup, checkName: false, ...keys };
  return engine(
    "client",
    (effects) => clientHandshake(config, effects),
    findings,
    clientAftermath(config, everyFeature),
  );
}

/** What belongs to one server connection. */
export interface ServerSetup {
  readonly context: SecureContext;
  readonly clientAuth: ClientAuth;
  readonly alpn: readonly string[];
  readonly findPsk: ServerConfig["findPsk"];
  choose(hello: ClientHelloInfo): Awaitable<Partial<ServerChoice>>;
}

export function serverEngine({ context, choose, ...setup }: ServerSetup, findings: Findings): TlsEngine {
  const config = { ...context.server, ...setup, onClientHello: choose };
  return engine("server", (effects) => serverHandshake(config, effects), findings, serverAftermath(config));
}

/** Schemes that both sides accept, in the order of this side. */
export function sharedSchemes(context: SecureContext, hello: ClientHelloInfo): readonly SignatureSchemeName[] {
  return context.server.signatureSchemes.filter((name) => hello.signatureSchemes.includes(SignatureScheme.codes[name]));
}

let limits: EngineLimits | undefined;

function engine(side: Side, start: StartFlow, findings: Findings, aftermath: Aftermath): TlsEngine {
  limits ??= resolveLimits({ provider: nodeProvider, clock: Date.now });
  return new TlsEngine(
    side,
    (effects) =>
      withPeerFinished(
        start({
          ...effects,
          send(epoch, message) {
            if (message[0] === FINISHED) findings.finished = message.slice(4);
            effects.send(epoch, message);
          },
          reveal(label, clientRandom, secret) {
            findings.onKeyLog?.(Buffer.from(`${label} ${toHex(clientRandom)} ${toHex(secret)}\n`));
            effects.reveal(label, clientRandom, secret);
          },
        }),
        findings,
      ),
    limits,
    aftermath,
  );
}

/** The same flow, looked at as it is given its messages. */
function* withPeerFinished<T>(flow: Flow<T>, findings: Findings): Flow<T> {
  try {
    let step = flow.next();
    while (!step.done) {
      const { need } = step.value;
      let given: unknown;
      try {
        given = yield step.value;
      } catch (error) {
        step = flow.throw(error);
        continue;
      }
      if (need === "message") {
        const { type, body } = given as { readonly type: string; readonly body: Uint8Array };
        if (type === "finished") findings.peerFinished = body.slice();
      }
      step = flow.next(given);
    }
    return step.value;
  } finally {
    flow.return(undefined as never);
  }
}
