/**
 * A provider whose asymmetric operations and records answer late and out of order, the order being a function of the
 * seed: what a browser's crypto or a KMS does, without clocks.
 */
import type {
  Aead,
  CipherSuite,
  CryptoProvider,
  Group,
  KeyShare,
  LateAead,
  Signer,
} from "../../src/crypto/provider.ts";
import type { Awaitable } from "../../src/flow.ts";

export interface LateOptions {
  /** Chooses how many turns of the event loop each answer takes, and the order within a turn. */
  readonly seed: number;
  /** Which records: large ones of application data, or every one, with nothing that answers at once. Default bulk. */
  readonly records?: "bulk" | "every" | undefined;
}

/** The most turns of the event loop that an answer is late. */
const MOST_TURNS = 4;

/** Bytes from which records are protected late too. */
export const BULK_THRESHOLD = 512;

export function lateProvider(provider: CryptoProvider, { seed, records = "bulk" }: LateOptions): CryptoProvider {
  const late = lateness(seed);
  const lateShare = (share: KeyShare): KeyShare => ({
    publicKey: share.publicKey,
    agree: (peer) => late(() => share.agree(peer)),
  });
  const lateGroup = (group: Group): Group => ({
    name: group.name,
    generate: () => late(async () => lateShare(await group.generate())),
    encapsulate: (peer) => late(() => group.encapsulate(peer)),
  });
  const lateSigner = (signer: Signer): Signer => ({
    schemes: signer.schemes,
    sign: (scheme, message) => late(() => signer.sign(scheme, message)),
  });
  const lateAead = (aead: Aead): Aead => {
    if (aead.late) return aead;
    // The arguments are the caller's again when a call returns.
    const answersLater: LateAead = {
      late: true,
      seal(nonce, additionalData, plaintext) {
        const own = [nonce.slice(), additionalData.slice(), plaintext.slice()] as const;
        return late(() => aead.seal(...own));
      },
      open(nonce, additionalData, ciphertext) {
        const own = [nonce.slice(), additionalData.slice(), ciphertext.slice()] as const;
        return late(() => aead.open(...own));
      },
    };
    return records === "every" ? answersLater : { ...aead, bulk: { ...answersLater, threshold: BULK_THRESHOLD } };
  };
  const lateSuite = (suite: CipherSuite): CipherSuite => ({ ...suite, aead: (key) => lateAead(suite.aead(key)) });
  return {
    ...provider,
    name: records === "every" ? `later ${provider.name}` : `late ${provider.name}`,
    synchronous: false,
    suites: provider.suites.map(lateSuite),
    groups: provider.groups.map(lateGroup),
    verify: (key, algorithm, message, signature) => late(() => provider.verify(key, algorithm, message, signature)),
    usableKey: (key) => late(() => provider.usableKey?.(key) ?? true),
    signer: (pkcs8) => lateSigner(provider.signer(pkcs8)),
  };
}

/** A function that computes `operation` some turns of the event loop later. */
function lateness(seed: number): <T>(operation: () => Awaitable<T>) => Promise<T> {
  const random = mulberry32(seed);
  let waiting: { turns: number; run: () => void }[] = [];
  const turn = () => {
    const due = shuffle(
      waiting.filter((task) => task.turns-- <= 0),
      random,
    );
    waiting = waiting.filter((task) => !due.includes(task));
    for (const task of due) task.run();
    if (waiting.length > 0) setImmediate(turn);
  };
  return (operation) =>
    new Promise((resolve, reject) => {
      const run = () => {
        try {
          resolve(operation());
        } catch (error) {
          reject(error);
        }
      };
      if (waiting.length === 0) setImmediate(turn);
      waiting.push({ turns: Math.floor(random() * MOST_TURNS), run });
    });
}

function shuffle<T>(items: T[], random: () => number): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [items[i], items[j]] = [items[j] as T, items[i] as T];
  }
  return items;
}

/** A small generator with a seed, for tests only. */
function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
