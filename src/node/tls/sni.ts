/** What a server answers a ClientHello with: SNICallback, ALPNCallback and contexts by name. */
import { EventEmitter } from "node:events";
import { find } from "../../codec/extensions.ts";
import type { SignatureSchemeName } from "../../codec/registry.ts";
import { assertCarriable } from "../../engine/identity.ts";
import { fault } from "../../errors.ts";
import { type Awaitable, isPromiseLike } from "../../flow.ts";
import type { ClientHelloInfo, ServerChoice } from "../../handshake/config.ts";
import type { Identity } from "../../handshake/identity.ts";
import type { CertificateVerifier } from "../../x509/verifier.ts";
import { SecureContext } from "./context.ts";
import { argumentError, nodeError } from "./errors.ts";
import { sharedSchemes } from "./handshake.ts";

/** node:tls's callbacks of a server. */
export interface ServerRole {
  readonly server?: unknown;
  readonly requestCert?: boolean | undefined;
  readonly SNICallback?:
    | ((servername: string, done: (error: Error | null, context?: unknown) => void) => void)
    | undefined;
  readonly ALPNCallback?: ((hello: { servername: string; protocols: string[] }) => string | undefined) | undefined;
  /** A context by name, when there is no callback. */
  readonly contextFor?: ((servername: string) => SecureContext | undefined) | undefined;
  /** The server's context now, and how often one of its contexts has been replaced. */
  readonly inForce?: (() => { readonly context: SecureContext; readonly generation: number }) | undefined;
}

/** Who judges a client: whose `ca` it is when it comes to that. */
export interface Trusted {
  context(): SecureContext;
  generation(): number;
}

/**
 * @param own - The connection's context, asked for late: a callback may have changed it.
 * @param adopt - Told the schemes that both ends have, and who is to be trusted; gives who judges the client.
 */
export function serverChoice(
  role: ServerRole,
  hello: ClientHelloInfo,
  own: () => SecureContext,
  adopt: (shared: readonly SignatureSchemeName[], trusted: Trusted) => CertificateVerifier,
): Awaitable<Partial<ServerChoice>> {
  const choose = (named: SecureContext | undefined): Awaitable<Partial<ServerChoice>> => {
    const alpn = chooseProtocol(role, hello);
    const context = named ?? own();
    const verifier = adopt(sharedSchemes(context, hello), {
      // What the application has chosen for this connection is not replaced by what it sets for all.
      context: () => (named !== undefined && role.SNICallback !== undefined ? named : inForce(role, hello, context)),
      generation: () => role.inForce?.().generation ?? 0,
    });
    const { authorities } = context;
    const choice = { authorities, verifier, ...(alpn === undefined ? {} : { alpn: [alpn] }) };
    const identities = stapled(role, hello, context);
    return isPromiseLike(identities)
      ? identities.then((settled) => ({ ...choice, identities: settled as readonly Identity[] }))
      : { ...choice, identities };
  };
  const named = contextByName(role, hello.serverName);
  return isPromiseLike(named) ? named.then((context) => choose(context as SecureContext | undefined)) : choose(named);
}

function inForce(role: ServerRole, { serverName }: ClientHelloInfo, own: SecureContext): SecureContext {
  const byName = role.SNICallback === undefined && serverName !== undefined ? role.contextFor?.(serverName) : undefined;
  return byName ?? role.inForce?.().context ?? own;
}

/** The identities with what the server's OCSPRequest listeners have to say of them, where the client asks for that. */
function stapled({ server }: ServerRole, { raw }: ClientHelloInfo, context: SecureContext) {
  const { identities } = context;
  if (!(server instanceof EventEmitter) || server.listenerCount("OCSPRequest") === 0) return identities;
  if (find(raw.extensions ?? [], "status_request") === undefined) return identities;
  return Promise.all(
    identities.map(async (identity) => {
      const ocspResponse = await askStatus(server, identity, context.issuerOf(identity));
      if (ocspResponse === undefined) return identity;
      assertCarriable({ ocspResponse });
      return { ...identity, ocspResponse };
    }),
  );
}

function askStatus(server: EventEmitter, { certificates }: Identity, issuer: Uint8Array | undefined) {
  const [certificate = new Uint8Array(0)] = certificates;
  return new Promise<Uint8Array | undefined>((resolve, reject) => {
    const done = (error: Error | null, response?: Uint8Array | null) => {
      if (error) reject(error);
      else resolve(response ? new Uint8Array(response) : undefined);
    };
    server.emit("OCSPRequest", Buffer.from(certificate), issuer === undefined ? null : Buffer.from(issuer), done);
  });
}

function contextByName(role: ServerRole, name: string | undefined): Awaitable<SecureContext | undefined> {
  const { SNICallback, contextFor } = role;
  if (name === undefined) return undefined;
  if (SNICallback === undefined) return contextFor?.(name);
  return new Promise((resolve, reject) => {
    SNICallback.call(role, name, (error, context) => {
      if (error) reject(error);
      else if (context === undefined || context === null) resolve(undefined);
      else if (context instanceof SecureContext) resolve(context);
      else
        reject(
          argumentError("ERR_TLS_INVALID_CONTEXT", "SNICallback must give a context of mutls's createSecureContext"),
        );
    });
  });
}

function chooseProtocol({ ALPNCallback }: ServerRole, hello: ClientHelloInfo): string | undefined {
  if (ALPNCallback === undefined || hello.alpn.length === 0) return undefined;
  const chosen = ALPNCallback({ servername: hello.serverName ?? "", protocols: [...hello.alpn] });
  if (chosen === undefined) throw fault("ERR_SSL_NO_APPLICATION_PROTOCOL", "ALPNCallback chose none");
  if (hello.alpn.includes(chosen)) return chosen;
  throw nodeError(
    "ERR_TLS_ALPN_CALLBACK_INVALID_RESULT",
    `ALPN callback returned a value (${chosen}) that did not match any of the client's offered protocols (${hello.alpn.join(", ")})`,
  );
}
