/** A server's requests for certificates after the handshake, each with the promise of its answer. */
import { toHex } from "../bytes/hex.ts";
import type { EngineEvent, TlsEngine } from "../engine/index.ts";
import { fault, type TlsError } from "../errors.ts";
import type { PeerIdentity } from "../x509/identity.ts";
import { type Deferred, deferred } from "./stream.ts";

export class CertificateRequests {
  readonly #engine: TlsEngine;
  /** By context. */
  readonly #open = new Map<string, Deferred<PeerIdentity | undefined>>();
  #peerEnded = false;

  constructor(engine: TlsEngine) {
    this.#engine = engine;
  }

  ask(): Promise<PeerIdentity | undefined> {
    const answer = deferred<PeerIdentity | undefined>();
    try {
      if (this.#peerEnded) throw fault("ERR_TLS_CLOSED", "the client has sent close_notify");
      const context = this.#engine.requestClientCertificate();
      if (this.#engine.error !== undefined) throw this.#engine.error;
      this.#open.set(toHex(context), answer);
    } catch (error) {
      answer.reject(error);
    }
    return answer.promise;
  }

  /** What answers them, or says that none will come. */
  take(event: EngineEvent): void {
    if (event.type === "client_authenticated") {
      const name = toHex(event.context);
      this.#open.get(name)?.resolve(event.facts.peer);
      this.#open.delete(name);
    }
    if (event.type === "end") {
      this.#peerEnded = true;
      this.drop(fault("ERR_TLS_CLOSED", "the client has sent close_notify"));
    }
  }

  drop(error: TlsError): void {
    for (const { reject } of this.#open.values()) reject(error);
    this.#open.clear();
  }
}
