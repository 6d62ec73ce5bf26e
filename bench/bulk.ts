/**
 * Application data in records of 16 KiB from one engine to the other over memory, against the AEAD alone: encryption and
 * decryption of the same bytes, nothing else.
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { measure, type Subject } from "../src/bench/measure.ts";
import { nobleProvider } from "../src/crypto/noble.ts";
import { createNodeProvider } from "../src/crypto/node.ts";
import { createWebCryptoProvider } from "../src/crypto/webcrypto.ts";
import type { TlsEngine } from "../src/engine/index.ts";
import { createMaterial, enginePairs, shakeHands } from "./material.ts";
import { printTable, type Row, row } from "./rows.ts";

const RECORD = 0x4000;
/** Records in flight at once with WebCrypto, on both sides of the comparison. */
const IN_FLIGHT = 8;
/** Records a run. */
const RECORDS = 16;

/** Runs the scenario and prints its table. Ratios are of throughput: above 1 is faster than the AEAD alone. */
export async function bulk(quick: boolean): Promise<Row[]> {
  const material = await createMaterial();
  const pairs = {
    node: enginePairs(createNodeProvider(), material)(),
    webcrypto: enginePairs(createWebCryptoProvider({ fallback: nobleProvider }), material)(),
    noble: enginePairs(nobleProvider, material, "TLS_CHACHA20_POLY1305_SHA256")(),
  };
  for (const pair of Object.values(pairs)) await shakeHands(...pair);
  const groups: readonly (readonly [Subject, Subject, number])[] = [
    [engines("bulk-node", ...pairs.node), rawNode(), 4],
    [engines("bulk-webcrypto", ...pairs.webcrypto), await rawWebCrypto(), 4],
    [engines("bulk-noble-chacha", ...pairs.noble), rawNoble(), 1],
  ];
  const rows: Row[] = [];
  for (const [subject, raw, runsPerRound] of groups) {
    const measured = await measure([subject, raw], { rounds: quick ? 60 : 300, runsPerRound, warmupRounds: 40 });
    const [ours, theirs] = measured;
    if (ours === undefined || theirs === undefined) continue;
    // Throughput is the inverse of time, and so is its ratio.
    const throughput = { ...row(theirs, subject.name), name: subject.name, against: raw.name };
    const rate = (RECORD * RECORDS) / 1000 / ours.time.median;
    printTable(`16 KiB records, encrypted and decrypted: ${subject.name}, ${rate.toFixed(0)} MB/s`, measured, [
      throughput,
    ]);
    rows.push(throughput);
  }
  return rows;
}

const data = new Uint8Array(RECORD).fill(7);

function engines(name: string, from: TlsEngine, to: TlsEngine): Subject {
  return {
    name,
    run() {
      let left = RECORDS * RECORD;
      const sent = { left };
      let held: Uint8Array[] = [];
      const pump = (): boolean => {
        for (;;) {
          while (sent.left > 0 && from.writable >= RECORD) sent.left -= from.write(data);
          if (held.length === 0) held = from.takeOutputs();
          let taken = 0;
          for (let record = held[0]; record !== undefined; record = held[0]) {
            const count = to.receive(record);
            taken += count;
            if (count < record.length) {
              held[0] = record.subarray(count);
              break;
            }
            held.shift();
          }
          let read = 0;
          for (let chunk = to.read(); chunk !== undefined; chunk = to.read()) read += chunk.length;
          left -= read;
          if (left === 0 || (taken === 0 && read === 0)) return left === 0;
        }
      };
      if (pump()) return;
      return new Promise<void>((resolve) => {
        let pumping = false;
        const progress = () => {
          if (pumping) return;
          pumping = true;
          const done = pump();
          pumping = false;
          if (!done) return;
          from.listen(() => {});
          to.listen(() => {});
          resolve();
        };
        from.listen(() => {}, progress);
        to.listen(() => {}, progress);
        progress();
      });
    },
  };
}

const nonce = new Uint8Array(12);
const header = new Uint8Array(5);

function rawNode(): Subject {
  const key = new Uint8Array(16);
  const options = { authTagLength: 16 };
  return {
    name: "raw",
    run() {
      for (let i = 0; i < RECORDS; i++) {
        const cipher = createCipheriv("aes-128-gcm", key, nonce, options);
        cipher.setAAD(header);
        const ciphertext = cipher.update(data);
        cipher.final();
        const decipher = createDecipheriv("aes-128-gcm", key, nonce, options);
        decipher.setAAD(header);
        decipher.setAuthTag(cipher.getAuthTag());
        decipher.update(ciphertext);
        decipher.final();
      }
    },
  };
}

async function rawWebCrypto(): Promise<Subject> {
  const { subtle } = globalThis.crypto;
  const key = await subtle.importKey("raw", new Uint8Array(16), "AES-GCM", false, ["encrypt", "decrypt"]);
  const algorithm = { name: "AES-GCM", iv: nonce, additionalData: header };
  const one = async () => subtle.decrypt(algorithm, key, await subtle.encrypt(algorithm, key, data));
  return {
    name: "raw",
    async run() {
      for (let i = 0; i < RECORDS; i += IN_FLIGHT) await Promise.all(Array.from({ length: IN_FLIGHT }, one));
    },
  };
}

function rawNoble(): Subject {
  const key = new Uint8Array(32);
  return {
    name: "raw",
    run() {
      for (let i = 0; i < RECORDS; i++) {
        const ciphertext = chacha20poly1305(key, nonce, header).encrypt(data);
        chacha20poly1305(key, nonce, header).decrypt(ciphertext);
      }
    },
  };
}
