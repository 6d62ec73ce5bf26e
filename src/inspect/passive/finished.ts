/** Whether each Finished is right (RFC 8446 4.4.4): the transcript is kept as both ends keep it. */
import { equal } from "../../bytes/bytes.ts";
import { toHex } from "../../bytes/hex.ts";
import { HANDSHAKE_HEADER_LENGTH, type HandshakeMessage } from "../../codec/messages.ts";
import type { Hash } from "../../crypto/provider.ts";
import type { Side } from "../../errors.ts";
import { finishedVerifyData } from "../../schedule/secrets.ts";
import { Transcript } from "../../schedule/transcript.ts";
import type { WatchedDirection } from "./direction.ts";
import type { WatchedKeys } from "./keys.ts";

/** Requests after the handshake that may be open at once (RFC 8446 4.6.2). */
const MAX_REQUESTS = 64;

/** Tells what was found. */
type Report = (from: Side, verified: boolean, note: string) => void;

export class FinishedCheck {
  readonly #keys: WatchedKeys;
  readonly #report: Report;
  readonly #transcript = new Transcript();
  #hash: Hash | undefined;
  /** Whose messages are missing in part. */
  readonly #incomplete: Record<Side, boolean> = { client: false, server: false };
  #serverDone = false;
  #done = false;
  /** Requests after the handshake by their context. */
  readonly #requests = new Map<string, Transcript>();
  #answer: Transcript | undefined;

  constructor(keys: WatchedKeys, report: Report) {
    this.#keys = keys;
    this.#report = report;
  }

  /** Messages of a side may be missing from here on. */
  lose(from: Side): void {
    if (from === "client") this.#incomplete.client = true;
    // What the server has finished stays so; without a hello of the client's it has no beginning.
    if (from === "server" ? !this.#serverDone : this.#hash === undefined) this.#incomplete.server = true;
  }

  begin(hash: Hash): void {
    // RFC 8446 4.1.4 forbids a suite of another hash after HelloRetryRequest.
    if (this.#hash !== undefined && this.#hash.name !== hash.name) {
      this.lose("server");
      return;
    }
    this.#hash = hash;
    this.#transcript.begin(hash);
  }

  /** RFC 8446 4.4.1 */
  retry(hash: Hash): void {
    this.begin(hash);
    this.#transcript.replaceByMessageHash();
  }

  /** Any message of the handshake but a Finished. */
  add(from: Side, { bytes }: HandshakeMessage): void {
    // What the client answers to a Finished that was not seen has no place in the transcript.
    if (from === "client" && this.#hash !== undefined && !this.#serverDone && bytes[0] !== 1) this.lose(from);
    this.#transcript.add(bytes);
  }

  finished(direction: WatchedDirection, { bytes }: HandshakeMessage): void {
    const { from } = direction;
    if (this.#done && from === "client") {
      this.#late(direction, bytes);
      return;
    }
    const { client, server } = this.#incomplete;
    const whole = !server && (from === "server" || (!client && this.#serverDone));
    this.#check(direction, whole ? this.#transcript : undefined, "handshake", bytes);
    if (from === "server") this.#serverDone = true;
    else this.#done = true;
    this.#transcript.add(bytes);
  }

  /** CertificateRequest after the handshake (RFC 8446 4.6.2). */
  request({ bytes, body }: HandshakeMessage): void {
    const { client, server } = this.#incomplete;
    if (client || server || !this.#done || this.#requests.size >= MAX_REQUESTS) return;
    const transcript = this.#transcript.clone();
    transcript.add(bytes);
    this.#requests.set(contextOf(body), transcript);
  }

  /** The client's Certificate and CertificateVerify after the handshake. */
  answer({ type, bytes, body }: HandshakeMessage): void {
    if (type !== "certificate_verify") {
      // A compressed one does not show its context: it is the only request's, or nobody's.
      const context = type === "certificate" ? contextOf(body) : [...this.#requests.keys()][0];
      this.#answer = context === undefined ? undefined : this.#requests.get(context);
      if (context !== undefined) this.#requests.delete(context);
    }
    this.#answer?.add(bytes);
  }

  #late(direction: WatchedDirection, bytes: Uint8Array): void {
    this.#check(direction, this.#answer, "application", bytes);
    this.#answer = undefined;
  }

  #check(
    direction: WatchedDirection,
    transcript: Transcript | undefined,
    epoch: "handshake" | "application",
    message: Uint8Array,
  ): void {
    const { from } = direction;
    const hash = this.#hash;
    const base = this.#keys.base(direction, epoch);
    if (hash === undefined || transcript === undefined || base === undefined) {
      const why = base === undefined ? "its secret is not known" : "not all of the handshake before it was seen";
      this.#report(from, false, `the ${from}'s Finished could not be checked: ${why}`);
      return;
    }
    const right = equal(
      finishedVerifyData(hash, base, transcript.current()),
      message.subarray(HANDSHAKE_HEADER_LENGTH),
    );
    this.#report(
      from,
      right,
      right
        ? `the ${from}'s Finished is right: the ${from} has seen this very handshake, to the byte`
        : `the ${from}'s Finished is wrong: the ${from} has seen another handshake than this one`,
    );
  }
}

function contextOf(body: Uint8Array): string {
  const length = body[0] ?? 0;
  return toHex(body.subarray(1, 1 + length));
}
