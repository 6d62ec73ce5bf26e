/** A client's side of authentication after the handshake, RFC 8446 4.6.2: it answers whoever asks. */
import { toHex } from "../bytes/hex.ts";
import type { HandshakeMessage } from "../codec/messages.ts";
import { fault } from "../errors.ts";
import type { HandshakeName } from "../flow.ts";
import { type Answer, answerRequest } from "../handshake/client-answer.ts";
import type { ClientConfig, HandshakeResult } from "../handshake/config.ts";
import { type AfterHost, aside, type LaterAuthentication } from "./after.ts";
import { suiteOf } from "./aftermath.ts";

/** CertificateRequests that are not answered yet. */
const MAX_REQUESTS = 16;

/** The answers on one connection. */
export class Answers implements LaterAuthentication {
  readonly underWay = false;
  readonly #host: AfterHost;
  readonly #config: ClientConfig;
  readonly #result: HandshakeResult;
  /** Contexts of the server's. */
  readonly #asked = new Set<string>();

  constructor(host: AfterHost, config: ClientConfig, result: HandshakeResult) {
    this.#host = host;
    this.#config = config;
    this.#result = result;
  }

  /** Whoever offered may be asked. Who stands on an external key is not (RFC 8446 4.3.2). */
  get expecting(): readonly HandshakeName[] {
    const { afterwards, psk } = this.#result;
    return afterwards !== undefined && psk?.kind !== "external" ? ["certificate_request"] : [];
  }

  deliver(message: HandshakeMessage): void {
    const host = this.#host;
    const { outbound, outgoing } = host;
    host.noteAccepted();
    const { hash } = suiteOf(this.#config, this.#result);
    const { context, flow } = answerRequest(this.#config, this.#result, hash, message, (event) =>
      host.events.push(event),
    );
    const name = toHex(context);
    if (this.#asked.has(name)) throw fault("ERR_TLS_ILLEGAL_PARAMETER", "a certificate_request_context comes twice");
    if (this.#asked.size >= MAX_REQUESTS) throw fault("ERR_SSL_UNEXPECTED_MESSAGE", "too many CertificateRequests");
    this.#asked.add(name);
    const answer = ({ identity, messages }: Answer) => {
      outbound.owe(() => {
        this.#asked.delete(name);
        for (const sent of messages(outgoing.trafficSecret)) outgoing.sendHandshake("application", sent);
        outgoing.flush();
      });
      host.events.push({ type: "identity_presented", identity });
    };
    aside(host, flow, answer, (cause) => host.fail(cause));
  }
}
