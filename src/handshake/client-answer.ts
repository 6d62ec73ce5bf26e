/** A client's answer to a CertificateRequest after the handshake, RFC 8446 4.6.2. */
import type { HandshakeMessage } from "../codec/messages.ts";
import type { Hash } from "../crypto/provider.ts";
import type { Flow } from "../flow.ts";
import { sendFinished } from "./auth.ts";
import { presentClient, readRequest } from "./client.ts";
import type { ClientConfig, HandshakeResult } from "./config.ts";
import type { HandshakeEvent } from "./io.ts";

/** All but the Finished, which depends on the key in force when the answer leaves. */
export type Answer = Pick<HandshakeResult, "identity" | "signatureScheme"> & {
  /** The messages, which must follow each other. Once only. */
  messages(applicationTrafficSecret: Uint8Array): readonly Uint8Array[];
};

/** Begins to answer; its context tells requests apart. */
export function answerRequest(
  config: ClientConfig,
  { afterwards }: HandshakeResult,
  hash: Hash,
  message: HandshakeMessage,
  emit: (event: HandshakeEvent) => void,
): { readonly context: Uint8Array; readonly flow: Flow<Answer> } {
  const asked = readRequest(message);
  const transcript = (afterwards as NonNullable<typeof afterwards>).transcript.clone();
  transcript.add(message.bytes);
  const messages: Uint8Array[] = [];
  const effects = { send: (_epoch: unknown, sent: Uint8Array) => void messages.push(sent), emit };
  return { context: asked.context, flow: answer() };

  function* answer(): Flow<Answer> {
    const presented = yield* presentClient(config, effects, transcript, asked, "application");
    return {
      ...presented,
      messages: (secret) => {
        sendFinished(effects, transcript, hash, secret, "application");
        return messages;
      },
    };
  }
}
