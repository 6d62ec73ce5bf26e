/** The transcript hash, RFC 8446 4.4.1: over the bytes as they were on the wire, never over a re-encoding. */
import { concat } from "../bytes/bytes.ts";
import { HandshakeType } from "../codec/registry.ts";
import type { Hash, HashState } from "../crypto/provider.ts";

/** All handshake messages so far. Before the cipher suite is known it keeps the bytes, afterwards only the hash. */
export class Transcript {
  #pending: Uint8Array[] = [];
  #hash: Hash | undefined;
  #state: HashState | undefined;

  /** @param message - Header and body; copied where it must be kept. */
  add(message: Uint8Array): void {
    if (this.#state === undefined) this.#pending.push(message.slice());
    else this.#state.update(message);
  }

  /** Fixes the hash; from here on {@link Transcript.current} answers. Repeating it with the same hash is harmless. */
  begin(hash: Hash): void {
    if (this.#hash !== undefined) {
      if (this.#hash.name !== hash.name) throw new Error("the transcript already has another hash");
      return;
    }
    this.#hash = hash;
    this.#state = hash.start();
    for (const message of this.#pending) this.#state.update(message);
    this.#pending = [];
  }

  /** The hash of everything so far. */
  current(): Uint8Array {
    if (this.#state === undefined) throw new Error("the transcript has no hash yet");
    return this.#state.clone().digest();
  }

  /**
   * The hash of everything so far and of the beginning of a message that is not added yet, as a PSK's binder wants it
   * (RFC 8446 4.2.11.2). Several hashes may be asked while none is fixed.
   */
  through(hash: Hash, partialMessage: Uint8Array): Uint8Array {
    if (this.#hash !== undefined && this.#hash.name !== hash.name) throw new Error("the transcript has another hash");
    const state = this.#state?.clone() ?? hash.start();
    for (const message of this.#pending) state.update(message);
    state.update(partialMessage);
    return state.digest();
  }

  /**
   * Begins after a first ClientHello of which only the hash is known, because the state went to the client in a cookie
   * (RFC 8446 4.2.2).
   */
  resume(hash: Hash, firstHelloHash: Uint8Array): void {
    this.begin(hash);
    this.#state?.update(messageHash(firstHelloHash));
  }

  /** Replaces the first ClientHello by a `message_hash` message (RFC 8446 4.4.1), before HelloRetryRequest is added. */
  replaceByMessageHash(): void {
    if (this.#hash === undefined || this.#state === undefined) throw new Error("the transcript has no hash yet");
    const digest = this.#state.digest();
    this.#state = this.#hash.start();
    this.#state.update(messageHash(digest));
  }

  /** An independent copy. */
  clone(): Transcript {
    const copy = new Transcript();
    copy.#pending = [...this.#pending];
    copy.#hash = this.#hash;
    copy.#state = this.#state?.clone();
    return copy;
  }
}

/** RFC 8446 4.4.1 */
function messageHash(digest: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(HandshakeType.codes.message_hash, 0, 0, digest.length), digest);
}
