/** A provider whose records are protected when a test says so, and in the order in which it does. */
import type { CryptoProvider, LateAead } from "../../src/crypto/provider.ts";
import type { Awaitable } from "../../src/flow.ts";

/** One record whose protection has not come. */
export interface HeldRecord {
  readonly operation: "seal" | "open";
  /** Gives what it would have given, and everyone who waits for that their turn. */
  settle(): Promise<void>;
  fail(error: unknown): Promise<void>;
}

export interface HeldRecords {
  readonly provider: CryptoProvider;
  /** In the order of the calls. */
  readonly waiting: HeldRecord[];
}

export function heldRecords(of: CryptoProvider): HeldRecords {
  const waiting: HeldRecord[] = [];
  const hold = <T>(operation: HeldRecord["operation"], work: () => Awaitable<T>) =>
    new Promise<T>((resolve, reject) => {
      const leave = async (how: () => void) => {
        waiting.splice(waiting.indexOf(held), 1);
        how();
        await new Promise((done) => setImmediate(done));
      };
      const held: HeldRecord = {
        operation,
        settle: () => leave(() => resolve(work())),
        fail: (error) => leave(() => reject(error)),
      };
      waiting.push(held);
    });
  const suites = of.suites.map((suite) => ({
    ...suite,
    aead(key: Uint8Array): LateAead {
      const aead = suite.aead(key);
      return {
        late: true,
        seal(nonce, additionalData, plaintext) {
          const own = [nonce.slice(), additionalData.slice(), plaintext.slice()] as const;
          return hold("seal", () => aead.seal(...own));
        },
        open(nonce, additionalData, ciphertext) {
          const own = [nonce.slice(), additionalData.slice(), ciphertext.slice()] as const;
          return hold("open", () => aead.open(...own));
        },
      };
    },
  }));
  return { provider: { ...of, name: `held ${of.name}`, suites }, waiting };
}
