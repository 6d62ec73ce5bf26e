/** An engine for one connection, with what node:tls tells of a handshake and the engine does not: Finished and the key log. */
import { toHex } from "../../bytes/hex.ts";
import { SignatureScheme, type SignatureSchemeName } from "../../codec/registry.ts";
import { nodeProvider } from "../../crypto/node.ts";
import { type EngineLimits, type StartFlow, TlsEngine } from "../../engine/engine.ts";
import { resolveLimits } from "../../engine/options.ts";
import type { Side } from "../../errors.ts";
import type { Awaitable, Flow } from "../../flow.ts";
import { clientHandshake } from "../../handshake/client.ts";
import type { ClientAuth, ClientHelloInfo, ServerChoice } from "../../handshake/config.ts";
import { serverHandshake } from "../../handshake/server.ts";
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
}

export function clientEngine({ context, verifier, serverName, alpn }: ClientSetup, findings: Findings): TlsEngine {
  const config = { ...context.client, verifier, serverName, alpn, checkName: false };
  return engine("client", (effects) => clientHandshake(config, effects), findings);
}

/** What belongs to one server connection. */
export interface ServerSetup {
  readonly context: SecureContext;
  readonly clientAuth: ClientAuth;
  readonly alpn: readonly string[];
  choose(hello: ClientHelloInfo): Awaitable<Partial<ServerChoice>>;
}

export function serverEngine({ context, clientAuth, alpn, choose }: ServerSetup, findings: Findings): TlsEngine {
  const config = { ...context.server, clientAuth, alpn, onClientHello: choose };
  return engine("server", (effects) => serverHandshake(config, effects), findings);
}

/** Schemes that both sides accept, in the order of this side. */
export function sharedSchemes(context: SecureContext, hello: ClientHelloInfo): readonly SignatureSchemeName[] {
  return context.server.signatureSchemes.filter((name) => hello.signatureSchemes.includes(SignatureScheme.codes[name]));
}

let limits: EngineLimits | undefined;

function engine(side: Side, start: StartFlow, findings: Findings): TlsEngine {
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
