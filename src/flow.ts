/**
 * The coroutine vocabulary: the handshake is written once, as generators, and runs over synchronous and
 * asynchronous crypto alike. A flow suspends on two things only: the next message, or a promise.
 */

/** A value, or the promise of one. */
export type Awaitable<T> = T | PromiseLike<T>;

/** The states of RFC 8446 Appendix A. */
export type StateName =
  | "START"
  | "WAIT_SH"
  | "WAIT_EE"
  | "WAIT_CERT_CR"
  | "WAIT_CERT"
  | "WAIT_CV"
  | "WAIT_FINISHED"
  | "RECVD_CH"
  | "NEGOTIATED"
  | "WAIT_EOED"
  | "WAIT_FLIGHT2"
  | "CONNECTED";

/** Handshake messages by their RFC 8446 4 names; a ServerHello with the retry random (4.1.3) goes by its own. */
export type HandshakeName =
  | "client_hello"
  | "server_hello"
  | "hello_retry_request"
  | "new_session_ticket"
  | "end_of_early_data"
  | "encrypted_extensions"
  | "certificate"
  | "compressed_certificate"
  | "certificate_request"
  | "certificate_verify"
  | "finished"
  | "key_update"
  | "message_hash";

/** What a flow may wait for besides a message. */
export type Operation =
  | "key_share"
  | "key_agreement"
  | "encapsulation"
  | "sign"
  | "verify_signature"
  | "verify_certificate"
  | "fetch_status"
  | "select_identity"
  | "client_hello"
  | "authorize"
  | "session"
  | "find_psk"
  | "ticket"
  | "anti_replay"
  | "compress"
  | "derive_key"
  | "decrypt";

/** Why a flow stopped: resume it with the message, or with what the promise gave. */
export type Suspension =
  | { readonly need: "message"; readonly state: StateName; readonly expecting: readonly HandshakeName[] }
  | { readonly need: "promise"; readonly operation: Operation; readonly promise: PromiseLike<unknown> };

/** A generator that yields suspensions and returns a `T`. */
// biome-ignore lint/suspicious/noExplicitAny: what resumes a flow depends on the suspension it yielded last
export type Flow<T> = Generator<Suspension, T, any>;

/** True for anything with a `then` method, functions included. */
export function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  return typeof (value as { then?: unknown }).then === "function";
}

/** What `next` makes of `value`: at once, or when it comes. */
export function after<T, U>(value: Awaitable<T>, next: (value: T) => U): Awaitable<U> {
  return isPromiseLike(value) ? (value as PromiseLike<T>).then(next) : next(value);
}

/**
 * The result of `value`, suspending only when it is a promise.
 *
 * @param operation - What is being waited for, for the observer and for time-outs.
 */
export function* wait<T>(operation: Operation, value: Awaitable<T>): Flow<T> {
  if (!isPromiseLike(value)) return value;
  return (yield { need: "promise", operation, promise: value }) as T;
}

/**
 * Runs a flow that needs no messages. Synchronous when nothing in it is asynchronous.
 *
 * @returns The flow's result, or a promise of it from the first suspension on.
 */
export function settle<T>(flow: Flow<T>): Awaitable<T> {
  const step = flow.next();
  return step.done ? step.value : settleLater(flow, step.value);
}

async function settleLater<T>(flow: Flow<T>, first: Suspension): Promise<T> {
  let suspension = first;
  for (;;) {
    if (suspension.need === "message") throw new Error("a flow outside a handshake asked for a message");
    let step: IteratorResult<Suspension, T>;
    try {
      const value = await suspension.promise;
      step = flow.next(value);
    } catch (error) {
      step = flow.throw(error);
    }
    if (step.done) return step.value;
    suspension = step.value;
  }
}
