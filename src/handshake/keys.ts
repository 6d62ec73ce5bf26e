/** The two steps of the key schedule that a handshake takes, the same on both sides (RFC 8446 7.1), told to the observer. */
import { wipe } from "../bytes/bytes.ts";
import type { Hash } from "../crypto/provider.ts";
import type { Flow } from "../flow.ts";
import type { EarlySecret, HandshakeSecret, Held, MainSecret } from "../schedule/secrets.ts";
import type { Transcript } from "../schedule/transcript.ts";
import type { HandshakeEffects } from "./io.ts";

const NOTHING = new Uint8Array(0);

/** Where the secrets come from and who is told. */
export interface KeyContext {
  readonly hash: Hash;
  readonly transcript: Transcript;
  readonly effects: HandshakeEffects;
  readonly clientRandom: Uint8Array;
  /** Gets everything made here, to be wiped when the handshake ends. */
  readonly held: Held;
}

/** After a ClientHello that offers early data: the traffic secret that protects it, and the exporter's. */
export function earlyKeys(
  { transcript, hash, effects, clientRandom, held }: KeyContext,
  early: EarlySecret,
): ReturnType<EarlySecret["traffic"]> {
  const { client, exporter } = early.traffic(transcript.through(hash, NOTHING));
  held.push({ wipe: () => wipe(client, exporter) });
  effects.reveal("CLIENT_EARLY_TRAFFIC_SECRET", clientRandom, client);
  effects.reveal("EARLY_EXPORTER_SECRET", clientRandom, exporter);
  return { client, exporter };
}

/** After ServerHello. `sharedSecret` is wiped, and `early` left behind. */
export function handshakeKeys(
  { transcript, effects, clientRandom, held }: KeyContext,
  early: EarlySecret,
  sharedSecret: Uint8Array,
): { readonly secret: HandshakeSecret; readonly traffic: ReturnType<HandshakeSecret["traffic"]> } {
  const secret = early.handshake(sharedSecret);
  const traffic = secret.traffic(transcript.current());
  held.push(secret, { wipe: () => wipe(traffic.client, traffic.server) });
  effects.reveal("CLIENT_HANDSHAKE_TRAFFIC_SECRET", clientRandom, traffic.client);
  effects.reveal("SERVER_HANDSHAKE_TRAFFIC_SECRET", clientRandom, traffic.server);
  return { secret, traffic };
}

/** After the server's Finished. The Handshake Secret is left behind. */
export function applicationKeys(
  { transcript, effects, clientRandom, held }: KeyContext,
  handshakeSecret: HandshakeSecret,
): { readonly secret: MainSecret; readonly traffic: ReturnType<MainSecret["traffic"]> } {
  const secret = handshakeSecret.main();
  const traffic = secret.traffic(transcript.current());
  held.push(secret, { wipe: () => wipe(traffic.client, traffic.server, traffic.exporter) });
  effects.reveal("CLIENT_TRAFFIC_SECRET_0", clientRandom, traffic.client);
  effects.reveal("SERVER_TRAFFIC_SECRET_0", clientRandom, traffic.server);
  effects.reveal("EXPORTER_SECRET", clientRandom, traffic.exporter);
  return { secret, traffic };
}

/** Runs a handshake and wipes what it held, however it ends: by a result, an error, or because nobody waits for it. */
export function* holding<T>(run: (held: Held) => Flow<T>): Flow<T> {
  const held: Held = [];
  try {
    return yield* run(held);
  } finally {
    for (const secret of held) secret.wipe();
  }
}
