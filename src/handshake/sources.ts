/**
 * The one seam for all that is not a function of its inputs: randoms, key shares, encapsulations, signatures, cookies.
 * A handshake run from recorded sources gives the same bytes again, with any provider.
 */
import type { SignatureSchemeName } from "../codec/registry.ts";
import type { CryptoProvider, Encapsulation, Group, KeyShare, Signer } from "../crypto/provider.ts";
import type { Awaitable } from "../flow.ts";
import { isPromiseLike } from "../flow.ts";
import type { StoreContext, TicketStore } from "./tickets.ts";

/** What a random value becomes. */
export type RandomPurpose =
  | "client_random"
  | "server_random"
  | "legacy_session_id"
  | "ticket_age_add"
  | "certificate_request_context"
  | "grease";

/** Where a handshake takes its nondeterminism from. */
export interface Sources {
  random(purpose: RandomPurpose, length: number): Uint8Array;
  keyShare(group: Group): Awaitable<KeyShare>;
  encapsulate(group: Group, peerPublicKey: Uint8Array): Awaitable<Encapsulation>;
  sign(signer: Signer, scheme: SignatureSchemeName, message: Uint8Array): Awaitable<Uint8Array>;
  /** A cookie for a HelloRetryRequest, if one is wanted. */
  cookie?(): Uint8Array | undefined;
  ticket(
    store: TicketStore,
    state: Uint8Array,
    expires: number,
    context: StoreContext,
  ): Awaitable<Uint8Array | undefined>;
}

/** Fresh values from the provider: RFC 9846 4.3.8 forbids reusing a key share for another connection. */
export function liveSources(provider: CryptoProvider): Sources {
  return {
    random: (_purpose, length) => provider.random(length),
    keyShare: (group) => group.generate(),
    encapsulate: (group, peerPublicKey) => group.encapsulate(peerPublicKey),
    sign: (signer, scheme, message) => signer.sign(scheme, message),
    ticket: (store, state, expires, context) => store.issue(state, expires, context),
  };
}

/** One recorded value. `secret` is the outcome of a key agreement or encapsulation. */
export interface TapeEntry {
  readonly kind: RandomPurpose | "key_share" | "key_agreement" | "encapsulation" | "sign" | "cookie" | "ticket";
  readonly value: Uint8Array;
  readonly secret?: Uint8Array;
}

/** Passes everything through and appends it to `tape`, secrets included: for tests and teaching only. */
export function recordingSources(sources: Sources, tape: TapeEntry[]): Sources {
  return {
    random(purpose, length) {
      const value = sources.random(purpose, length);
      tape.push({ kind: purpose, value: value.slice() });
      return value;
    },
    keyShare: (group) =>
      then(sources.keyShare(group), (share) => {
        tape.push({ kind: "key_share", value: share.publicKey.slice() });
        return {
          publicKey: share.publicKey,
          agree: (peer) =>
            then(share.agree(peer), (secret) => {
              tape.push({ kind: "key_agreement", value: peer.slice(), secret: secret.slice() });
              return secret;
            }),
        };
      }),
    encapsulate: (group, peer) =>
      then(sources.encapsulate(group, peer), (result) => {
        tape.push({ kind: "encapsulation", value: result.publicKey.slice(), secret: result.sharedSecret.slice() });
        return result;
      }),
    sign: (signer, scheme, message) =>
      then(sources.sign(signer, scheme, message), (signature) => {
        tape.push({ kind: "sign", value: signature.slice() });
        return signature;
      }),
    cookie() {
      const value = sources.cookie?.();
      if (value !== undefined) tape.push({ kind: "cookie", value: value.slice() });
      return value;
    },
    ticket: (store, state, expires, context) =>
      then(sources.ticket(store, state, expires, context), (ticket) => {
        if (ticket !== undefined) tape.push({ kind: "ticket", value: ticket.slice() });
        return ticket;
      }),
  };
}

/** Plays a tape back in its order. Throws when the handshake asks for something else than was recorded. */
export function replayingSources(tape: readonly TapeEntry[]): Sources {
  let position = 0;
  const take = (kind: TapeEntry["kind"]): TapeEntry => {
    const entry = tape[position++];
    if (entry?.kind !== kind) throw new Error(`the tape holds ${entry?.kind ?? "nothing more"}, not ${kind}`);
    return entry;
  };
  const secretOf = (entry: TapeEntry): Uint8Array => {
    if (entry.secret === undefined) throw new Error(`the tape's ${entry.kind} has no secret`);
    return entry.secret.slice();
  };
  return {
    random: (purpose) => take(purpose).value.slice(),
    keyShare: () => ({ publicKey: take("key_share").value.slice(), agree: () => secretOf(take("key_agreement")) }),
    encapsulate: () => {
      const entry = take("encapsulation");
      return { publicKey: entry.value.slice(), sharedSecret: secretOf(entry) };
    },
    sign: () => take("sign").value.slice(),
    cookie: () => (tape[position]?.kind === "cookie" ? take("cookie").value.slice() : undefined),
    ticket: () => (tape[position]?.kind === "ticket" ? take("ticket").value.slice() : undefined),
  };
}

function then<A, B>(value: Awaitable<A>, next: (value: A) => B): Awaitable<B> {
  return isPromiseLike(value) ? value.then((settled) => next(settled as A)) : next(value);
}
