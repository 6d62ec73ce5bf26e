/** Randomness that is remembered, so that a handshake can be run again, broken in one place, and is otherwise the same. */
import { toHex } from "../../bytes/hex.ts";
import type { CryptoProvider, KeyShare, Signer } from "../../crypto/provider.ts";
import type { Awaitable } from "../../flow.ts";
import type { Sources } from "../../handshake/sources.ts";

/** Sources of one side, and what they have last agreed on. */
export interface RememberedSources extends Sources {
  /** Begins another run, which gets the values of the first in the same order. */
  again(): void;
  /** The outcome of the key exchange in this run. */
  readonly sharedSecret: Uint8Array | undefined;
}

/**
 * The same values in every run for the same questions, in the order in which they are asked; what no run has asked before is
 * fresh. A broken handshake asks for other things from some point on, a signature over other messages for example.
 *
 * RFC 9846 4.3.8 forbids key shares that are used twice: what is run from this is shown, and protects nothing.
 *
 * @param provider - One that answers at once.
 */
export function rememberedSources(provider: CryptoProvider): RememberedSources {
  const known = new Map<string, unknown[]>();
  const asked = new Map<string, number>();
  const signers: Signer[] = [];
  /** Which one: whoever signs with another key signs something else. */
  const numberOf = (signer: Signer) => (signers.includes(signer) ? signers.indexOf(signer) : signers.push(signer) - 1);
  let sharedSecret: Uint8Array | undefined;
  const remember = <T>(question: string, answer: () => T): T => {
    const nth = asked.get(question) ?? 0;
    asked.set(question, nth + 1);
    const answers = known.get(question) ?? [];
    known.set(question, answers);
    if (nth >= answers.length) answers.push(answer());
    return answers[nth] as T;
  };
  // The handshake wipes secrets that it is given.
  const agreed = (secret: Awaitable<Uint8Array>): Uint8Array => {
    sharedSecret = now(secret).slice();
    return sharedSecret.slice();
  };
  return {
    again() {
      asked.clear();
      sharedSecret = undefined;
    },
    get sharedSecret() {
      return sharedSecret;
    },
    random: (purpose, length) => remember(`${purpose} ${length}`, () => provider.random(length)).slice(),
    keyShare(group): KeyShare {
      const share = remember(`share ${group.name}`, () => now(group.generate()));
      return { publicKey: share.publicKey.slice(), agree: (peer) => agreed(share.agree(peer)) };
    },
    encapsulate(group, peer) {
      const { publicKey, sharedSecret } = remember(`answer ${group.name} ${toHex(peer)}`, () =>
        now(group.encapsulate(peer)),
      );
      return { publicKey: publicKey.slice(), sharedSecret: agreed(sharedSecret) };
    },
    sign: (signer, scheme, message) =>
      remember(`signature ${numberOf(signer)} ${scheme} ${toHex(message)}`, () =>
        now(signer.sign(scheme, message)),
      ).slice(),
    ticket: (store, state, expires, context) =>
      remember(`ticket ${toHex(state)}`, () => now(store.issue(state, expires, context)))?.slice(),
  };
}

function now<T>(value: Awaitable<T>): T {
  if (typeof (value as PromiseLike<T>)?.then === "function")
    throw new Error("the page needs a provider that answers at once");
  return value as T;
}
