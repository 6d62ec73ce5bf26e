/** A server's side of authentication after the handshake, RFC 8446 4.6.2: it asks, and judges the answers. */
import type { HandshakeMessage } from "../codec/messages.ts";
import type { HandshakeName } from "../flow.ts";
import type { ClientAnswer, ClientRequests } from "../handshake/client-requests.ts";
import { type AfterHost, aside, type LaterAuthentication } from "./after.ts";

/** The requests on one connection. */
export class Requests implements LaterAuthentication {
  readonly #host: AfterHost;
  readonly #requests: ClientRequests;

  constructor(host: AfterHost, requests: ClientRequests) {
    this.#host = host;
    this.#requests = requests;
  }

  get expecting(): readonly HandshakeName[] {
    return this.#requests.expecting;
  }

  get underWay(): boolean {
    return this.#requests.underWay;
  }

  request(): { readonly context: Uint8Array; send(): void } {
    const { outgoing } = this.#host;
    const { context, message } = this.#requests.ask();
    const send = () => {
      outgoing.sendHandshake("application", message);
      outgoing.flush();
    };
    return { context: context.slice(), send };
  }

  deliver(message: HandshakeMessage): void {
    const host = this.#host;
    const judgement = this.#requests.take(message, () => host.incoming.trafficSecret.slice());
    host.inbound.dataBarred = this.underWay;
    if (judgement === undefined) return;
    const judged = ({ context, facts, authenticatedAt }: ClientAnswer) => {
      if (facts.peer !== undefined) host.identified({ ...facts, authenticatedAt });
      host.events.push({ type: "client_authenticated", context, facts });
    };
    aside(host, judgement, judged, (cause) => host.fail(cause));
  }
}
