/** Walks through a trace of RFC 8448 and computes every printed value again from the private keys and the messages. */
import { expect } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { toHex } from "../../src/bytes/hex.ts";
import {
  Alert,
  BODIES,
  Certificate,
  CertificateVerify,
  encodeMessage,
  type HandshakeMessage,
  NewSessionTicket,
  Record as PlaintextRecord,
} from "../../src/codec/messages.ts";
import { ContentType, SignatureScheme, type SignatureSchemeName } from "../../src/codec/registry.ts";
import { decode, encode, type Schema } from "../../src/codec/schema.ts";
import type { CipherSuite, CryptoProvider, PublicKey } from "../../src/crypto/provider.ts";
import { verifyScheme } from "../../src/crypto/signatures.ts";
import { HandshakeReader, RecordReader } from "../../src/record/framing.ts";
import { openedRecord, RecordOpener, RecordSealer } from "../../src/record/protection.ts";
import { deriveSecret, HkdfLabel, hkdfExpandLabel, hkdfExtract } from "../../src/schedule/hkdf.ts";
import {
  EarlySecret,
  finishedVerifyData,
  type HandshakeSecret,
  type MainSecret,
  trafficKeys,
} from "../../src/schedule/secrets.ts";
import { Transcript } from "../../src/schedule/transcript.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import type { Actor, Step, Trace } from "../../vectors/rfc8448/load.ts";
import { type KeyPair, keyPairs } from "./key-pairs.ts";

const NONE = new Uint8Array(0);
const peerOf = (actor: Actor): Actor => (actor === "client" ? "server" : "client");

/** Which application data the text sends. */
const APPLICATION_DATA: readonly Uint8Array[] = [utf8("ABCDEF"), Uint8Array.from({ length: 50 }, (_, i) => i)];

type Stage = "early" | "handshake" | "master";

/** The stage whose secret is the PRK of each label, and the Transcript-Hash it takes: of nothing, or of all so far. */
const LABELS: Readonly<Record<string, { readonly stage: Stage; readonly overNothing?: true }>> = {
  "for handshake derived": { stage: "early", overNothing: true },
  "for master derived": { stage: "handshake", overNothing: true },
  "c e traffic": { stage: "early" },
  "e exp master": { stage: "early" },
  "c hs traffic": { stage: "handshake" },
  "s hs traffic": { stage: "handshake" },
  "c ap traffic": { stage: "master" },
  "s ap traffic": { stage: "master" },
  "exp master": { stage: "master" },
  "res master": { stage: "master" },
};

/** The label of the traffic secret that protects what `writer` sends in an epoch. */
function trafficLabel(writer: Actor, epoch: string): string {
  if (epoch === "early application data") return "c e traffic";
  return `${writer[0]} ${epoch === "handshake data" ? "hs" : "ap"} traffic`;
}

/** What a walk has compared, as `step name`, for counting. */
export type Checked = ReadonlySet<string>;

/** @param psk - The resumption secret of the earlier trace. */
export async function recompute(trace: Trace, provider: CryptoProvider, psk?: Uint8Array): Promise<Checked> {
  const walk = new Walk(trace, provider, psk);
  for (const step of trace.steps) await walk.take(step);
  return walk.checked;
}

class Walk {
  readonly checked = new Set<string>();
  readonly #trace: Trace;
  readonly #provider: CryptoProvider;
  readonly #suite: CipherSuite;
  readonly #psk: Uint8Array | undefined;
  readonly #transcript = new Transcript();
  readonly #secrets = new Map<string, Uint8Array>();
  #stage:
    | { readonly early: EarlySecret }
    | { readonly handshake: HandshakeSecret }
    | { readonly master: MainSecret }
    | undefined;
  readonly #pairs = new Map<Actor, readonly KeyPair[]>();
  readonly #shares = new Map<Actor, Uint8Array>();
  readonly #certificates = new Map<Actor, PublicKey>();
  readonly #pending = new Map<Actor, Uint8Array[]>();
  readonly #sealers = new Map<Actor, RecordSealer>();
  readonly #openers = new Map<Actor, RecordOpener>();
  readonly #verifyData = new Map<Actor, Uint8Array>();

  constructor(trace: Trace, provider: CryptoProvider, psk: Uint8Array | undefined) {
    this.#trace = trace;
    this.#provider = provider;
    this.#psk = psk;
    const suite = provider.suites.find(({ name }) => name === "TLS_AES_128_GCM_SHA256");
    if (suite === undefined) throw new Error(`${provider.name} lacks the suite of the traces`);
    this.#suite = suite;
    this.#transcript.begin(suite.hash);
  }

  async take(step: Step): Promise<void> {
    for (const [pattern, handle] of this.#rules) {
      const match = pattern.exec(step.action);
      if (match !== null) return handle(step, match[1] ?? "", match[2] ?? "");
    }
    throw new Error(`no rule for "${step.action}"`);
  }

  readonly #rules: readonly (readonly [RegExp, (step: Step, a: string, b: string) => void | Promise<void>])[] = [
    [/^create an ephemeral (x25519|P-256) key pair$/, (step, curve) => this.#keyPair(step, curve)],
    [/^construct an? (\w+) handshake message$/, (step, name) => this.#message(step, name)],
    [/^calculate PSK binder$/, (step) => this.#binder(step)],
    [/^extract secret "(\w+)"$/, (step, stage) => this.#extract(step, stage as Stage)],
    [/^derive secret (?:(for \w+) )?"tls13 ([\w ]+)"$/, (step, purpose, label) => this.#derive(step, purpose, label)],
    [/^derive (read|write) traffic keys for ([\w ]+)$/, (step, direction, epoch) => this.#keys(step, direction, epoch)],
    [/^calculate finished "tls13 finished"$/, (step) => this.#finished(step)],
    [/^generate resumption secret "tls13 resumption"$/, (step) => this.#resumption(step)],
    [/^send (\w+) record$/, (step, type) => this.#send(step, type)],
  ];

  #check(step: Step, name: string, actual: Uint8Array): void {
    const where = `section ${this.#trace.section}, ${step.actor}: ${step.action}: ${name}`;
    expect(toHex(actual), where).toBe(toHex(step.bytes(name)));
    this.#done(step, name);
  }

  #done(step: Step, name: string): void {
    this.checked.add(`${this.#trace.steps.indexOf(step)} ${name}`);
  }

  #secret(label: string): Uint8Array {
    const secret = this.#secrets.get(label);
    if (secret === undefined) throw new Error(`${label} is not there yet`);
    return secret;
  }

  #keyPair(step: Step, curve: string): void {
    const pairs = keyPairs(curve, step.bytes("private key"));
    for (const { publicKey } of pairs) this.#check(step, "public key", publicKey);
    // An input: what can be checked is that it gives the public key and the shared secret.
    this.#done(step, "private key");
    this.#pairs.set(step.actor, pairs);
    this.#shares.set(step.actor, step.bytes("public key"));
  }

  async #message(step: Step, name: string): Promise<void> {
    const { actor } = step;
    const printed = step.bytes(name);
    const whole = this.#withBinder(printed);
    const message = parse(whole);
    const schema = BODIES[message.type] as Schema<unknown>;
    const encoded = encodeMessage(message.type, schema, decode(schema, message.body));
    this.#check(step, name, encoded.subarray(0, printed.length));

    if (message.type === "client_hello" || message.type === "server_hello") {
      expect(toHex(printed)).toContain(toHex(this.#shares.get(actor) ?? NONE));
    }
    if (message.type === "hello_retry_request") this.#transcript.replaceByMessageHash();
    if (message.type === "finished") expect(toHex(message.body)).toBe(toHex(this.#verifyData.get(actor) ?? NONE));
    if (message.type === "certificate") {
      const [entry] = decode(Certificate, message.body).certificate_list;
      this.#certificates.set(actor, parseCertificate(entry?.cert_data ?? NONE).publicKey);
    }
    if (message.type === "certificate_verify") await this.#signature(actor, message.body);
    if (message.type === "new_session_ticket") {
      const { ticket_nonce } = decode(NewSessionTicket, message.body);
      const secret = hkdfExpandLabel(this.#suite.hash, this.#secret("res master"), "resumption", ticket_nonce, 32);
      expect(toHex(secret)).toBe(toHex(this.#secret("resumption")));
    }
    // With a PSK the message is complete only once its binder is calculated.
    if (whole.length === printed.length) this.#sends(actor, whole);
  }

  /** Section 4 prints the ClientHello without its binders, which the record then has. */
  #withBinder(printed: Uint8Array): Uint8Array {
    const declared = 4 + (new DataView(printed.buffer).getUint32(0) % 0x1000000);
    if (declared === printed.length) return printed;
    const whole = this.#trace.records[0]?.payload ?? NONE;
    expect(declared).toBe(whole.length);
    return whole;
  }

  #sends(actor: Actor, message: Uint8Array): void {
    this.#transcript.add(message);
    this.#pending.set(actor, [...(this.#pending.get(actor) ?? []), message]);
  }

  /** RFC 8446 4.4.3 */
  async #signature(actor: Actor, body: Uint8Array): Promise<void> {
    const { algorithm, signature } = decode(CertificateVerify, body);
    const content = concat(
      new Uint8Array(64).fill(0x20),
      utf8(`TLS 1.3, ${actor} CertificateVerify\0`),
      this.#transcript.current(),
    );
    const scheme = SignatureScheme.name(algorithm) as SignatureSchemeName;
    const key = this.#certificates.get(actor) as PublicKey;
    expect(await verifyScheme(this.#provider, scheme, key, content, signature), `${actor}'s signature`).toBe(true);
    content[70] = (content[70] as number) ^ 1;
    expect(await verifyScheme(this.#provider, scheme, key, content, signature), "over something else").toBe(false);
  }

  /** RFC 8446 4.2.11.2 */
  #binder(step: Step): void {
    if (step.sameAs !== undefined) return;
    const { hash } = this.#suite;
    const prefix = step.bytes("ClientHello prefix");
    const binderHash = hash.digest(prefix);
    const base = deriveSecret(hash, this.#secret("early"), "res binder", hash.digest(NONE));
    const verifyData = finishedVerifyData(hash, base, binderHash);
    this.#check(
      step,
      "ClientHello prefix",
      this.#trace.find(step.actor, "construct a ClientHello").bytes("ClientHello"),
    );
    this.#check(step, "binder hash", binderHash);
    this.#finishedKey(step, base);
    this.#check(step, "finished", verifyData);
    this.#sends(step.actor, concat(prefix, Uint8Array.of(0, verifyData.length + 1, verifyData.length), verifyData));
  }

  #extract(step: Step, stage: Stage): void {
    if (step.sameAs !== undefined) return;
    const { hash } = this.#suite;
    const zeros = new Uint8Array(hash.length);
    const input = {
      early: () => ({ salt: zeros, ikm: this.#psk ?? zeros }),
      handshake: () => ({ salt: this.#secret("for handshake derived"), ikm: this.#sharedSecret() }),
      master: () => ({ salt: this.#secret("for master derived"), ikm: zeros }),
    }[stage]();
    this.#check(step, "salt", input.salt);
    this.#check(step, "IKM", input.ikm);
    const secret = hkdfExtract(hash, input.salt, input.ikm);
    this.#check(step, "secret", secret);
    this.#secrets.set(stage, secret);
    this.#advance(stage, input.ikm);
  }

  /** Takes the typed stages along; what they derive is compared when the text prints it. */
  #advance(to: Stage, ikm: Uint8Array): void {
    const stage = this.#stage;
    if (to === "early") this.#stage = { early: new EarlySecret(this.#suite.hash, ikm) };
    else if (to === "handshake" && stage !== undefined && "early" in stage) {
      this.#stage = { handshake: stage.early.handshake(ikm.slice()) };
    } else if (to === "master" && stage !== undefined && "handshake" in stage) {
      this.#stage = { master: stage.handshake.main() };
    } else throw new Error(`${to} secret out of turn`);
  }

  #sharedSecret(): Uint8Array {
    const secrets = (["client", "server"] as const).flatMap((actor) => {
      const share = this.#shares.get(peerOf(actor)) ?? NONE;
      return (this.#pairs.get(actor) ?? []).map((pair) => pair.agree(share));
    });
    expect(secrets).toHaveLength(4);
    expect(new Set(secrets.map(toHex)).size).toBe(1);
    return secrets[0] ?? NONE;
  }

  #derive(step: Step, purpose: string, label: string): void {
    if (step.sameAs !== undefined) return;
    const { hash } = this.#suite;
    const name = purpose === "" ? label : `${purpose} ${label}`;
    const rule = LABELS[name];
    if (rule === undefined) throw new Error(`no stage for ${name}`);
    const secret = this.#secret(rule.stage);
    const context = rule.overNothing ? hash.digest(NONE) : this.#transcript.current();
    const expanded = deriveSecret(hash, secret, label, context);
    this.#check(step, "PRK", secret);
    this.#check(step, "hash", context);
    this.#check(step, "info", info(hash.length, label, context));
    this.#check(step, "expanded", expanded);
    this.#secrets.set(name, expanded);
    const staged = this.#fromStage(label, context);
    if (staged !== undefined) expect(toHex(staged), `typed stage, ${label}`).toBe(toHex(expanded));
  }

  #fromStage(label: string, context: Uint8Array): Uint8Array | undefined {
    const stage = this.#stage;
    const [side, epoch] = label.split(" ");
    if (stage === undefined) return undefined;
    if ("handshake" in stage && epoch === "hs") {
      return stage.handshake.traffic(context)[side === "c" ? "client" : "server"];
    }
    if ("master" in stage && epoch === "ap") return stage.master.traffic(context)[side === "c" ? "client" : "server"];
    if ("master" in stage && label === "exp master") return stage.master.traffic(context).exporter;
    if ("master" in stage && label === "res master") return stage.master.resumption(context);
    return undefined;
  }

  #keys(step: Step, direction: string, epoch: string): void {
    const writer = direction === "write" ? step.actor : peerOf(step.actor);
    const secret = this.#secret(trafficLabel(writer, epoch));
    if (direction === "write") this.#sealers.set(writer, new RecordSealer(this.#suite, secret));
    if (direction === "write") this.#openers.set(writer, new RecordOpener(this.#suite, secret));
    if (step.sameAs !== undefined) return;
    const { key, iv } = trafficKeys(this.#suite, secret);
    this.#check(step, "PRK", secret);
    this.#check(step, "key info", info(key.length, "key", NONE));
    this.#check(step, "key expanded", key);
    this.#check(step, "iv info", info(iv.length, "iv", NONE));
    this.#check(step, "iv expanded", iv);
  }

  #finished(step: Step): void {
    if (step.sameAs !== undefined) return;
    const base = this.#secret(trafficLabel(step.actor, "handshake data"));
    const verifyData = finishedVerifyData(this.#suite.hash, base, this.#transcript.current());
    this.#finishedKey(step, base);
    this.#check(step, "finished", verifyData);
    this.#verifyData.set(step.actor, verifyData);
  }

  #finishedKey(step: Step, base: Uint8Array): void {
    const { hash } = this.#suite;
    this.#check(step, "PRK", base);
    this.#check(step, "hash", NONE);
    this.#check(step, "info", info(hash.length, "finished", NONE));
    this.#check(step, "expanded", hkdfExpandLabel(hash, base, "finished", NONE, hash.length));
  }

  /** RFC 8446 4.6.1; the `hash` printed is the ticket's nonce, which the ticket itself confirms afterwards. */
  #resumption(step: Step): void {
    if (step.sameAs !== undefined) return;
    const { hash } = this.#suite;
    const base = this.#secret("res master");
    const nonce = Uint8Array.of(0, 0);
    const expanded = hkdfExpandLabel(hash, base, "resumption", nonce, hash.length);
    this.#check(step, "PRK", base);
    this.#check(step, "hash", nonce);
    this.#check(step, "info", info(hash.length, "resumption", nonce));
    this.#check(step, "expanded", expanded);
    this.#secrets.set("resumption", expanded);
  }

  #send(step: Step, type: string): void {
    const payload = this.#content(step, type);
    const code = ContentType.codes[type as keyof typeof ContentType.codes];
    this.#check(step, "payload", payload);
    const sealer = type === "change_cipher_spec" ? undefined : this.#sealers.get(step.actor);
    const record = sealer?.seal(code, payload) ?? this.#plaintext(step, code, payload);
    this.#check(step, "complete record", record);

    const reader = new RecordReader();
    reader.push(step.bytes("complete record"));
    const wire = reader.next(sealer !== undefined);
    if (wire === undefined) throw new Error("not a whole record");
    expect(reader.buffered).toBe(0);
    if (sealer === undefined) {
      expect([wire.type, toHex(wire.fragment)]).toEqual([code, toHex(payload)]);
    } else {
      const inner = this.#openers.get(step.actor)?.unprotect(wire);
      expect(openedRecord(inner)).toEqual({ type: code, content: payload, padding: 0 });
    }
  }

  /** RFC 8446 5.1: the first ClientHello alone may say 0x0301. */
  #plaintext(step: Step, type: number, fragment: Uint8Array): Uint8Array {
    const first = this.#trace.records[0]?.bytes;
    const isFirst = first !== undefined && toHex(first) === toHex(step.bytes("complete record"));
    return encode(PlaintextRecord, { type, legacy_record_version: isFirst ? 0x0301 : 0x0303, fragment });
  }

  #content(step: Step, type: string): Uint8Array {
    const printed = step.bytes("payload");
    if (type === "change_cipher_spec") return Uint8Array.of(1);
    if (type === "alert") return encode(Alert, { level: 1, description: 0 });
    if (type === "application_data") return APPLICATION_DATA.find(({ length }) => length === printed.length) ?? NONE;
    const messages = this.#pending.get(step.actor) ?? [];
    this.#pending.delete(step.actor);
    return concat(...messages);
  }
}

/** The `info` of HKDF-Expand-Label, RFC 8446 7.1. */
function info(length: number, label: string, context: Uint8Array): Uint8Array {
  return encode(HkdfLabel, { length, label: utf8(`tls13 ${label}`), context });
}

/** The single handshake message that `bytes` holds. */
function parse(bytes: Uint8Array): HandshakeMessage {
  const reader = new HandshakeReader(0x10000);
  reader.push(bytes);
  const message = reader.next();
  if (message === undefined || reader.buffered > 0) throw new Error("not one whole message");
  return message;
}
