/** A server's CertificateRequests after the handshake, and what it makes of the answers (RFC 8446 4.6.2). */
import { wipe } from "../bytes/bytes.ts";
import { toHex } from "../bytes/hex.ts";
import type { HandshakeMessage } from "../codec/messages.ts";
import type { Hash } from "../crypto/provider.ts";
import { fault } from "../errors.ts";
import type { Flow, HandshakeName } from "../flow.ts";
import { certificateMessages, checkFinished } from "./auth.ts";
import { type AskedClient, authenticateClient } from "./client-authentication.ts";
import { concludeClient } from "./client-recheck.ts";
import { generationOf, type HandshakeResult, type PeerFacts, type ServerChoice, type ServerConfig } from "./config.ts";
import { receive } from "./io.ts";
import { certificateRequest, certificateRequestBlock } from "./server.ts";

/** Requests of one connection that are not settled. */
const MAX_REQUESTS = 16;
/** RFC 8446 4.3.2: unpredictable to the client. */
const CONTEXT_LENGTH = 32;

interface Request extends AskedClient {
  readonly context: Uint8Array;
}

/** Who a client has shown to be. */
export interface ClientAnswer {
  readonly context: Uint8Array;
  readonly facts: PeerFacts;
  /** ms since the epoch. */
  readonly authenticatedAt: number;
}

/** The requests of one connection. */
export class ClientRequests {
  readonly #config: ServerConfig;
  readonly #result: HandshakeResult;
  readonly #hash: Hash;
  readonly #open = new Map<string, Request>();
  #judging = 0;
  /** Of the answer that is coming in. */
  #messages: HandshakeMessage[] = [];

  constructor(config: ServerConfig, result: HandshakeResult, hash: Hash) {
    this.#config = config;
    this.#result = result;
    this.#hash = hash;
  }

  /** Part of an answer has come: nothing else may before the rest of it (RFC 8446 4.6.2). */
  get underWay(): boolean {
    return this.#messages.length > 0;
  }

  /** What may come of answers. Which of two it must be is seen when the answer is whole. */
  get expecting(): readonly HandshakeName[] {
    const last = this.#messages.at(-1)?.type;
    if (last === "certificate_verify") return ["finished"];
    if (last !== undefined) return ["certificate_verify", "finished"];
    return this.#open.size > 0 ? certificateMessages(this.#config) : [];
  }

  /** @throws TlsError `ERR_TLS_POST_HANDSHAKE_AUTH` */
  ask(): { readonly context: Uint8Array; readonly message: Uint8Array } {
    const { afterwards } = this.#result;
    if (afterwards === undefined) {
      const why = this.#config.postHandshakeAuth
        ? "the client does not offer it, or stands on an external key"
        : "the option postHandshakeAuth is not set";
      throw fault("ERR_TLS_POST_HANDSHAKE_AUTH", why);
    }
    if (this.#open.size + this.#judging >= MAX_REQUESTS)
      throw fault("ERR_TLS_POST_HANDSHAKE_AUTH", `${MAX_REQUESTS} requests are not settled yet`);
    const context = this.#config.sources.random("certificate_request_context", CONTEXT_LENGTH);
    const requested = certificateRequestBlock(this.#config, choiceOf(this.#result));
    const message = certificateRequest(context, requested);
    const transcript = afterwards.transcript.clone();
    transcript.add(message);
    this.#open.set(toHex(context), { context, requested, transcript, mayDecline: true });
    return { context, message };
  }

  /**
   * One of the expected messages.
   *
   * @param secret - client_application_traffic_secret_N of the message, wiped when it is not needed any more.
   * @returns The judgement, when the answer is whole.
   */
  take(message: HandshakeMessage, secret: () => Uint8Array): Flow<ClientAnswer> | undefined {
    this.#messages.push(message);
    if (message.type !== "finished") return undefined;
    const messages = this.#messages;
    this.#messages = [];
    this.#judging++;
    return inOrder(this.#judge(secret()), messages);
  }

  *#judge(secret: Uint8Array): Flow<ClientAnswer> {
    const config = this.#config;
    const choice = choiceOf(this.#result);
    const since = generationOf(config, config.verifier);
    const judged = { config, choice, negotiated: this.#result, key: this.#result, since };
    // Taken out: a context is good for one answer.
    const lookup = (context: Uint8Array) => {
      const request = this.#open.get(toHex(context));
      this.#open.delete(toHex(context));
      return request;
    };
    try {
      const { asked, facts } = yield* authenticateClient(config, choice, lookup);
      const finished = yield* receive("CONNECTED", ["finished"]);
      checkFinished(finished, asked.transcript, this.#hash, secret);
      const authorized = facts.peer && (yield* concludeClient(judged, facts));
      return { context: asked.context, facts: authorized ?? facts, authenticatedAt: config.now() };
    } finally {
      this.#judging--;
      wipe(secret);
    }
  }
}

function choiceOf({ choice }: HandshakeResult): ServerChoice {
  return choice as ServerChoice;
}

/** Runs a flow on messages that are all there. */
function* inOrder<T>(flow: Flow<T>, messages: HandshakeMessage[]): Flow<T> {
  let step = flow.next();
  while (!step.done) {
    const suspension = step.value;
    if (suspension.need === "message") {
      const message = messages.shift();
      if (message === undefined || !suspension.expecting.includes(message.type)) {
        throw fault("ERR_SSL_UNEXPECTED_MESSAGE", `${message?.type}, not ${suspension.expecting.join(" or ")}`);
      }
      step = flow.next(message);
      continue;
    }
    let value: unknown;
    try {
      value = yield suspension;
    } catch (error) {
      step = flow.throw(error);
      continue;
    }
    step = flow.next(value);
  }
  return step.value;
}
