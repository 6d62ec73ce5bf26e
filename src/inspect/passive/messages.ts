/** What each handshake message changes for whoever watches: suites, epochs, keys, the transcript. */
import { find } from "../../codec/extensions.ts";
import {
  ClientHello,
  decodeBody,
  EncryptedExtensions,
  type HandshakeMessage,
  HelloRetryRequest,
  ServerHello,
} from "../../codec/messages.ts";
import type { Side } from "../../errors.ts";
import type { HandshakeName } from "../../flow.ts";
import type { Epoch, SecretLabel } from "../../handshake/io.ts";
import type { WatchedDirection } from "./direction.ts";
import type { FinishedCheck } from "./finished.ts";
import type { WatchedKeys } from "./keys.ts";

/** It is always the same (RFC 8446 4.5). */
const END_OF_EARLY_DATA: HandshakeMessage = {
  type: "end_of_early_data",
  bytes: Uint8Array.of(5, 0, 0, 0),
  body: new Uint8Array(0),
};

/** Follows the messages of both directions. */
export class WatchedMessages {
  readonly #directions: Readonly<Record<Side, WatchedDirection>>;
  readonly #keys: WatchedKeys;
  readonly #check: FinishedCheck;
  readonly #onSecret: (label: SecretLabel, secret: Uint8Array) => void;
  helloSeen = false;
  /** A ServerHello has been seen. */
  chosen = false;
  /** EndOfEarlyData will come, or was hidden among early data that could not be opened. */
  #endOfEarlyDataDue = false;

  constructor(
    directions: Readonly<Record<Side, WatchedDirection>>,
    keys: WatchedKeys,
    check: FinishedCheck,
    onSecret: (label: SecretLabel, secret: Uint8Array) => void,
  ) {
    this.#directions = directions;
    this.#keys = keys;
    this.#check = check;
    this.#onSecret = onSecret;
  }

  /** Nothing of this side can be read any more. */
  broken(from: Side): void {
    this.#check.lose(from);
    if (from === "client") this.helloSeen = true;
  }

  /** A protected record stays closed. Where it may hold handshake messages, these are missing. */
  unopened(from: Side, epochs: readonly Epoch[]): void {
    if (epochs.includes("handshake")) this.#check.lose(from);
  }

  message(direction: WatchedDirection, message: HandshakeMessage, epoch: Epoch): void {
    if (epoch === "application") this.#afterHandshake(direction, message);
    else this.#inHandshake(direction, message, epoch);
  }

  #inHandshake(direction: WatchedDirection, message: HandshakeMessage, epoch: Epoch): void {
    if (direction.from === "client" && epoch === "handshake" && this.#endOfEarlyDataDue) {
      this.#endOfEarlyDataDue = false;
      this.#check.add("client", END_OF_EARLY_DATA);
    }
    const handle = this.#handlers[`${direction.from} ${message.type}`];
    if (handle !== undefined) handle(message, direction);
    else this.#check.add(direction.from, message);
  }

  readonly #handlers: Readonly<
    Partial<Record<`${Side} ${HandshakeName}`, (message: HandshakeMessage, direction: WatchedDirection) => void>>
  > = {
    "client client_hello": (message, direction) => this.#clientHello(message, direction),
    "server hello_retry_request": (message) => this.#retry(message),
    "server server_hello": (message, direction) => this.#serverHello(message, direction),
    "server encrypted_extensions": (message) => {
      this.#check.add("server", message);
      const { extensions } = decodeBody(EncryptedExtensions, message);
      this.#endOfEarlyDataDue = find(extensions, "early_data") !== undefined;
    },
    "server finished": (message, direction) => {
      this.#check.finished(direction, message);
      direction.enter("application");
      this.#tell("CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0", "EXPORTER_SECRET");
    },
    "client end_of_early_data": (message, direction) => {
      this.#endOfEarlyDataDue = false;
      this.#check.add("client", message);
      direction.enter("handshake");
    },
    "client finished": (message, direction) => {
      this.#check.finished(direction, message);
      direction.enter("application");
    },
  };

  #clientHello(message: HandshakeMessage, direction: WatchedDirection): void {
    this.#check.add("client", message);
    const { random, cipher_suites, extensions = [] } = decodeBody(ClientHello, message);
    // RFC 8446 4.1.2: after a HelloRetryRequest there is no early data.
    const early = !this.helloSeen && find(extensions, "early_data") !== undefined;
    this.helloSeen = true;
    this.#keys.hello(random, cipher_suites, find(extensions, "encrypted_client_hello") !== undefined);
    direction.epochs = early ? ["early", "handshake", "application"] : ["handshake", "application"];
    this.#directions.server.epochs = ["handshake", "application"];
    if (early) this.#tell("CLIENT_EARLY_TRAFFIC_SECRET", "EARLY_EXPORTER_SECRET");
  }

  #retry(message: HandshakeMessage): void {
    this.#keys.choose(decodeBody(HelloRetryRequest, message).cipher_suite);
    const { suite } = this.#keys;
    if (suite === undefined) this.#check.lose("server");
    else this.#check.retry(suite.hash);
    this.#check.add("server", message);
  }

  #serverHello(message: HandshakeMessage, { epochs }: WatchedDirection): void {
    const { cipher_suite } = decodeBody(ServerHello, message);
    this.chosen = true;
    this.#keys.choose(cipher_suite);
    const { suite } = this.#keys;
    if (suite === undefined || epochs.length === 0) this.#check.lose("server");
    else this.#check.begin(suite.hash);
    this.#check.add("server", message);
    this.#tell("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET");
  }

  #afterHandshake(direction: WatchedDirection, message: HandshakeMessage): void {
    const { from } = direction;
    if (message.type === "key_update") this.#keys.update(direction);
    else if (from === "server" && message.type === "certificate_request") this.#check.request(message);
    else if (from === "client" && message.type === "finished") this.#check.finished(direction, message);
    else if (from === "client") this.#check.answer(message);
  }

  #tell(...labels: readonly SecretLabel[]): void {
    for (const label of labels) {
      const secret = this.#keys.secret(label);
      if (secret !== undefined) this.#onSecret(label, secret);
    }
  }
}
