/** The key schedule of RFC 8446 7.1 with the values of one handshake, and where each of them comes from. */
import type { CipherSuite } from "../../crypto/provider.ts";
import { deriveSecret, hkdfExtract } from "../../schedule/hkdf.ts";
import { trafficKeys } from "../../schedule/secrets.ts";
import { Transcript } from "../../schedule/transcript.ts";
import type { TraceMessage } from "../trace.ts";

/** A secret that Derive-Secret has given. */
export interface DerivedSecret {
  /** As RFC 8446 7.1 calls it. */
  readonly name: string;
  /** Without its prefix "tls13 ". */
  readonly label: string;
  /** The messages that the transcript hash covers, first and last; none: the hash of nothing. */
  readonly messages: readonly [first: string, last: string] | undefined;
  readonly transcriptHash: Uint8Array;
  readonly value: Uint8Array;
  readonly note: string;
  /** Of traffic secrets (RFC 8446 7.3). */
  readonly keys?: { readonly key: Uint8Array; readonly iv: Uint8Array } | undefined;
}

/** One HKDF-Extract and what is derived from it. */
export interface ScheduleStage {
  readonly name: "Early Secret" | "Handshake Secret" | "Main Secret";
  readonly salt: { readonly name: string; readonly value: Uint8Array };
  readonly input: { readonly name: string; readonly value: Uint8Array };
  readonly value: Uint8Array;
  readonly note: string;
  readonly derived: readonly DerivedSecret[];
}

/** What a key schedule is computed from. */
export interface ScheduleInput {
  readonly suite: CipherSuite;
  /** Offered by the client; used where the ServerHello says so. */
  readonly psk: Uint8Array | undefined;
  /** The outcome of the key exchange, as soon as there is one. */
  readonly sharedSecret: Uint8Array | undefined;
  /** In the order in which this side has seen them. */
  readonly messages: readonly TraceMessage[];
}

/** Where in the handshake a label's transcript ends. */
type Point = "ClientHello" | "ServerHello" | "server Finished" | "client Finished";

interface Row {
  readonly label: string;
  readonly name: string;
  readonly until: Point | undefined;
  readonly note: string;
  readonly traffic?: true;
}

const EARLY: readonly Row[] = [
  {
    label: "res binder",
    name: "binder_key",
    until: undefined,
    note: "makes the binder, the proof that the client knows the PSK",
  },
  {
    label: "c e traffic",
    name: "client_early_traffic_secret",
    until: "ClientHello",
    note: "protects early data",
    traffic: true,
  },
  {
    label: "e exp master",
    name: "early_exporter_secret",
    until: "ClientHello",
    note: "for keys the application derives early",
  },
];
const HANDSHAKE: readonly Row[] = [
  {
    label: "c hs traffic",
    name: "client_handshake_traffic_secret",
    until: "ServerHello",
    note: "protects the client's handshake records, makes its Finished",
    traffic: true,
  },
  {
    label: "s hs traffic",
    name: "server_handshake_traffic_secret",
    until: "ServerHello",
    note: "protects the server's handshake records, makes its Finished",
    traffic: true,
  },
];
const MAIN: readonly Row[] = [
  {
    label: "c ap traffic",
    name: "client_application_traffic_secret_0",
    until: "server Finished",
    note: "protects the client's application data",
    traffic: true,
  },
  {
    label: "s ap traffic",
    name: "server_application_traffic_secret_0",
    until: "server Finished",
    note: "protects the server's application data",
    traffic: true,
  },
  {
    label: "exp master",
    name: "exporter_secret",
    until: "server Finished",
    note: "for keys the application derives (7.5)",
  },
  {
    label: "res master",
    name: "resumption_secret",
    until: "client Finished",
    note: "makes the PSK of each ticket (4.6.1)",
  },
];

/** The stages that the handshake has reached, from Early Secret on. */
export function keySchedule({ suite, psk, sharedSecret, messages }: ScheduleInput): readonly ScheduleStage[] {
  const { hash } = suite;
  const zeros = new Uint8Array(hash.length);
  const points = transcriptPoints(suite, messages);
  const hello = messages.find(({ type }) => type === "client_hello");
  if (hello === undefined) return [];
  const serverHello = messages.find(({ type }) => type === "server_hello");
  const usesPsk = psk !== undefined && (serverHello === undefined || hasExtension(serverHello, "pre_shared_key"));
  const empty = hash.digest(new Uint8Array(0));

  const derive = (secret: Uint8Array, rows: readonly Row[]): DerivedSecret[] =>
    rows.flatMap(({ label, name, until, note, traffic }) => {
      const point = until === undefined ? { hash: empty, first: undefined } : points.get(until);
      if (point === undefined) return [];
      const value = deriveSecret(hash, secret, label, point.hash);
      const covered = until === undefined || point.first === undefined ? undefined : ([point.first, until] as const);
      const keys = traffic && trafficKeys(suite, value);
      return [{ name, label, messages: covered, transcriptHash: point.hash, value, note, keys }];
    });

  const early = hkdfExtract(hash, zeros, psk !== undefined && usesPsk ? psk : zeros);
  const earlyRows = EARLY.filter(({ label }) =>
    label === "res binder" ? usesPsk : usesPsk && hasExtension(hello, "early_data"),
  );
  const stages: ScheduleStage[] = [
    {
      name: "Early Secret",
      salt: { name: "0", value: zeros },
      input: usesPsk && psk !== undefined ? { name: "PSK", value: psk } : { name: "0, there is no PSK", value: zeros },
      value: early,
      note: usesPsk ? "stands on the pre-shared key" : "the same for everybody, as long as there is no pre-shared key",
      derived: derive(early, earlyRows),
    },
  ];
  if (sharedSecret === undefined || serverHello === undefined) return stages;

  const handshakeSalt = deriveSecret(hash, early, "derived", empty);
  const handshake = hkdfExtract(hash, handshakeSalt, sharedSecret);
  const mainSalt = deriveSecret(hash, handshake, "derived", empty);
  const main = hkdfExtract(hash, mainSalt, zeros);
  return [
    ...stages,
    {
      name: "Handshake Secret",
      salt: { name: 'Derive-Secret(Early Secret, "derived", "")', value: handshakeSalt },
      input: { name: "(EC)DHE", value: sharedSecret },
      value: handshake,
      note: "stands on the key exchange: whoever has only watched cannot compute it",
      derived: derive(handshake, HANDSHAKE),
    },
    {
      name: "Main Secret",
      salt: { name: 'Derive-Secret(Handshake Secret, "derived", "")', value: mainSalt },
      input: { name: "0", value: zeros },
      value: main,
      note: '"Master Secret" in RFC 8446, "Main Secret" in RFC 9846',
      derived: derive(main, MAIN),
    },
  ];
}

/** The transcript hash at each point that was reached, and the message it begins with. */
function transcriptPoints(suite: CipherSuite, messages: readonly TraceMessage[]) {
  const points = new Map<Point, { readonly hash: Uint8Array; readonly first: string }>();
  const transcript = new Transcript();
  transcript.begin(suite.hash);
  let begin = "ClientHello";
  const end = (point: Point) => points.set(point, { hash: transcript.current(), first: begin });
  for (const { type, from, bytes } of messages) {
    if (points.has("client Finished")) break;
    if (type === "hello_retry_request") {
      transcript.replaceByMessageHash();
      begin = "message_hash(ClientHello1)";
    }
    transcript.add(bytes);
    // Early data goes with the first ClientHello.
    if (type === "client_hello" && !points.has("ClientHello")) end("ClientHello");
    if (type === "server_hello") end("ServerHello");
    if (type === "finished") end(`${from} Finished`);
  }
  return points;
}

/** The names of a message's extensions, in order. */
export function extensionsOf({ fields }: TraceMessage): readonly string[] {
  return (
    fields
      .find(({ name }) => name === "extensions")
      ?.children.slice(1)
      .map(({ name }) => name) ?? []
  );
}

function hasExtension(message: TraceMessage, name: string): boolean {
  return extensionsOf(message).includes(name);
}

/** What HKDF-Expand hashes, for those who want to follow: the label with its prefix. */
export function labelText({ label, messages }: DerivedSecret): string {
  const covered = messages === undefined ? '""' : [...new Set(messages)].join("…");
  return `Derive-Secret(., "${label}", ${covered})`;
}
