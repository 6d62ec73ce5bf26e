/** What a server makes of a client's certificate: at its handshake, and again at every resumption. */
import type { HandshakeMessage } from "../codec/messages.ts";
import { fault, TlsError } from "../errors.ts";
import type { Flow } from "../flow.ts";
import type { Transcript } from "../schedule/transcript.ts";
import type { PeerIdentity } from "../x509/identity.ts";
import { acceptAnyVerifier } from "../x509/verifier.ts";
import { type Asked, certificateMessages, checkCertificateVerify, readCertificate } from "./auth.ts";
import { generationOf, NOBODY, type PeerFacts, type ServerChoice, type ServerConfig } from "./config.ts";
import { receive } from "./io.ts";

/** Rejections that `optional_no_ca` lets pass, as nginx does: the CA is unknown, and nothing else is wrong. */
const UNKNOWN_CA_CODES: readonly string[] = [
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
];

/** What a client is asked for. */
export interface AskedClient extends Asked {
  /** Up to the request. */
  readonly transcript: Transcript;
  /** No certificate is an answer. */
  readonly mayDecline: boolean;
}

/** The client's Certificate and CertificateVerify, RFC 8446 4.4.2.4. `lookup` goes by the context. */
export function* authenticateClient<A extends AskedClient>(
  config: ServerConfig,
  choice: ServerChoice,
  lookup: (context: Uint8Array) => A | undefined,
): Flow<{ readonly asked: A; readonly facts: PeerFacts }> {
  let message: HandshakeMessage = yield* receive("WAIT_CERT", certificateMessages(config));
  const received = yield* readCertificate(config, message, lookup);
  const { asked, peerCertificates, peerOcspResponse, peerScts } = received;
  const { transcript } = asked;
  if (peerCertificates.length === 0) {
    if (!asked.mayDecline) throw fault("ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE");
    transcript.add(message.bytes);
    return { asked, facts: NOBODY };
  }
  const generation = generationOf(config, choice.verifier);
  const peer = yield* verifyClient(config, choice, peerCertificates, peerOcspResponse);
  transcript.add(message.bytes);
  message = yield* receive("WAIT_CV", ["certificate_verify"]);
  const peerSignatureScheme = yield* checkCertificateVerify(config, message, peer, transcript);
  transcript.add(message.bytes);
  return { asked, facts: { generation, peer, peerCertificates, peerSignatureScheme, peerOcspResponse, peerScts } };
}

/** Verifies a client's chain, at the first handshake and at every resumption. */
export function* verifyClient(
  config: ServerConfig,
  choice: ServerChoice,
  certificates: readonly Uint8Array[],
  ocspResponse: Uint8Array | undefined,
): Flow<PeerIdentity> {
  const request = {
    certificates,
    ocspResponse,
    role: "client",
    name: undefined,
    time: config.now(),
    provider: config.provider,
  } as const;
  try {
    return yield* choice.verifier.verify(request);
  } catch (error) {
    const unknownCa = error instanceof TlsError && UNKNOWN_CA_CODES.includes(error.code);
    if (choice.clientAuth !== "optional_no_ca" || !unknownCa) throw error;
    return yield* acceptAnyVerifier().verify(request);
  }
}
