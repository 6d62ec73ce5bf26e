/** Certificate, CertificateVerify and Finished, RFC 8446 4.4: written once, for both roles and directions. */
import { concat, equalConstantTime, utf8, wipe } from "../bytes/bytes.ts";
import { type Extension, extension, find } from "../codec/extensions.ts";
import {
  Certificate,
  CertificateVerify,
  decodeBody,
  encodeMessage,
  Finished,
  type HandshakeMessage,
} from "../codec/messages.ts";
import { CertificateStatusType, SignatureScheme, type SignatureSchemeName } from "../codec/registry.ts";
import { decode } from "../codec/schema.ts";
import type { Hash } from "../crypto/provider.ts";
import { schemeFits, verifyScheme } from "../crypto/signatures.ts";
import { fault, type Side } from "../errors.ts";
import { type Flow, wait } from "../flow.ts";
import { finishedVerifyData } from "../schedule/secrets.ts";
import type { Transcript } from "../schedule/transcript.ts";
import { KeyUsage } from "../x509/certificate.ts";
import type { PeerIdentity } from "../x509/identity.ts";
import type { CommonConfig, PeerFacts } from "./config.ts";
import type { Identity } from "./identity.ts";
import { call, type Epoch, type HandshakeEffects } from "./io.ts";
import { checkResponses } from "./negotiate.ts";

/** What a CertificateVerify signs, RFC 8446 4.4.3. */
export function signedContent(side: Side, transcriptHash: Uint8Array): Uint8Array {
  return concat(utf8(`${" ".repeat(64)}TLS 1.3, ${side} CertificateVerify\0`), transcriptHash);
}

/** What a peer's Certificate message brings: certificates, possibly none, and what is stapled to the first. */
export type ReceivedCertificate = Pick<PeerFacts, "peerCertificates" | "peerOcspResponse" | "peerScts">;

/** The messages that may bring a certificate, where compression was offered (RFC 8879 4). */
export function certificateMessages({
  compression,
}: CommonConfig): readonly ("certificate" | "compressed_certificate")[] {
  return compression?.accepted.length ? ["certificate", "compressed_certificate"] : ["certificate"];
}

/** What a Certificate answers. */
export interface Asked {
  /** Extensions of the request that the entries may answer, RFC 8446 4.4.2. */
  readonly requested: readonly { readonly code: number }[];
}

/** During the handshake certificate_request_context is empty. */
export function inHandshake<A extends Asked>(asked: A): (context: Uint8Array) => A | undefined {
  return (context) => (context.length === 0 ? asked : undefined);
}

/**
 * The peer's chain out of its Certificate message, compressed or not.
 *
 * @param lookup - What was asked for by this certificate_request_context.
 */
export function* readCertificate<A extends Asked>(
  config: CommonConfig,
  message: HandshakeMessage,
  lookup: (context: Uint8Array) => A | undefined,
): Flow<ReceivedCertificate & { readonly asked: A }> {
  const { compression } = config;
  const body =
    message.type === "compressed_certificate" && compression !== undefined
      ? decode(Certificate, yield* compression.decompress(message), "the decompressed certificate")
      : decodeBody(Certificate, message);
  const asked = lookup(body.certificate_request_context);
  if (asked === undefined) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", "certificate_request_context is not the request's (RFC 8446 4.4.2)");
  }
  if (body.certificate_list.length > config.maxCertificates) {
    throw fault(
      "CERT_CHAIN_TOO_LONG",
      `${body.certificate_list.length} certificates, at most ${config.maxCertificates}`,
    );
  }
  for (const entry of body.certificate_list) checkResponses(entry.extensions, asked.requested);
  for (const { extensions } of body.certificate_list) {
    const type = find(extensions, "status_request")?.status_type ?? CertificateStatusType.codes.ocsp;
    if (type !== CertificateStatusType.codes.ocsp) {
      throw fault("ERR_TLS_ILLEGAL_PARAMETER", `certificate status of type ${type} was not asked for`);
    }
  }
  const block = body.certificate_list[0]?.extensions ?? [];
  const status = find(block, "status_request");
  return {
    asked,
    peerCertificates: body.certificate_list.map(({ cert_data }) => cert_data),
    peerOcspResponse: status?.response,
    peerScts: find(block, "signed_certificate_timestamp") ?? [],
  };
}

/** What the other side wants to see beside a certificate. */
export interface Wishes {
  readonly ocspResponse: boolean;
  readonly scts: boolean;
  readonly compressions: readonly number[];
}

/** By its ClientHello or CertificateRequest. */
export function wishesOf<M extends "CH" | "CR">(block: readonly Extension<M>[]): Wishes {
  const value = (name: string) => block.find((entry) => entry.name === name)?.value;
  const status = value("status_request") as { readonly status_type: number } | true | undefined;
  return {
    // RFC 6066 8: a kind of status that is not known here is not one. A CertificateRequest names none.
    ocspResponse: status === true || status?.status_type === CertificateStatusType.codes.ocsp,
    scts: value("signed_certificate_timestamp") !== undefined,
    compressions: (value("compress_certificate") as readonly number[] | undefined) ?? [],
  };
}

/** Checks the proof of possession that follows a non-empty Certificate. The transcript ends before `message`. */
export function* checkCertificateVerify(
  config: CommonConfig,
  message: HandshakeMessage,
  peer: PeerIdentity,
  transcript: Transcript,
): Flow<SignatureSchemeName> {
  const { algorithm, signature } = decodeBody(CertificateVerify, message);
  const scheme = config.signatureSchemes.find((name) => SignatureScheme.codes[name] === algorithm);
  if (scheme === undefined) {
    throw fault(
      "ERR_TLS_ILLEGAL_PARAMETER",
      `signature scheme ${SignatureScheme.name(algorithm) ?? algorithm} was not offered`,
    );
  }
  const key = peer.certificate.publicKey;
  if (!schemeFits(scheme, key.algorithm)) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", `${scheme} does not fit the certificate's key (RFC 8446 4.4.3)`);
  }
  // RFC 8446 4.4.2.2 and 4.4.2.3, whoever judged the chain.
  if (((peer.certificate.keyUsage ?? KeyUsage.digitalSignature) & KeyUsage.digitalSignature) === 0) {
    throw fault("INVALID_PURPOSE", "the certificate's keyUsage has no digitalSignature");
  }
  const content = signedContent(peer.role, transcript.current());
  const valid = yield* wait("verify_signature", verifyScheme(config.provider, scheme, key, content, signature));
  if (!valid) throw fault("ERR_SSL_BAD_SIGNATURE", scheme);
  return scheme;
}

/** Sends Certificate and, unless there is nothing to prove, CertificateVerify. */
export function* presentIdentity(
  config: CommonConfig,
  effects: Pick<HandshakeEffects, "send">,
  transcript: Transcript,
  presented: {
    readonly side: Side;
    readonly context: Uint8Array;
    readonly identity: Identity | undefined;
    readonly scheme: SignatureSchemeName | undefined;
    readonly wishes: Wishes;
    readonly epoch?: Epoch;
  },
): Flow<void> {
  const { side, context, identity, scheme, wishes } = presented;
  const epoch = presented.epoch ?? "handshake";
  const plain = encodeMessage("certificate", Certificate, {
    certificate_request_context: context,
    certificate_list: (identity?.certificates ?? []).map((cert_data, index) => ({
      cert_data,
      extensions: index === 0 && identity !== undefined ? entryExtensions(identity, wishes) : [],
    })),
  });
  const { compression } = config;
  const certificate = compression === undefined ? plain : yield* compression.compress(plain, wishes.compressions);
  transcript.add(certificate);
  effects.send(epoch, certificate);
  if (identity === undefined || scheme === undefined) return;
  const content = signedContent(side, transcript.current());
  const signature = yield* call("sign", "ERR_TLS_SIGNING_FAILED", () =>
    config.sources.sign(identity.signer, scheme, content),
  );
  const algorithm = SignatureScheme.codes[scheme];
  const verify = encodeMessage("certificate_verify", CertificateVerify, { algorithm, signature });
  transcript.add(verify);
  effects.send(epoch, verify);
}

/** RFC 8446 4.4.2.1 and RFC 6962 3.3.1: to those who asked. */
function entryExtensions({ ocspResponse, scts }: Identity, wishes: Wishes): readonly Extension<"CT">[] {
  const block: Extension<"CT">[] = [];
  if (wishes.ocspResponse && ocspResponse !== undefined) {
    block.push(extension("status_request", { status_type: CertificateStatusType.codes.ocsp, response: ocspResponse }));
  }
  if (wishes.scts && scts.length > 0) block.push(extension("signed_certificate_timestamp", scts));
  return block;
}

/** Sends Finished, RFC 8446 4.4.4. `baseKey` is this side's traffic secret of the epoch. */
export function sendFinished(
  effects: Pick<HandshakeEffects, "send">,
  transcript: Transcript,
  hash: Hash,
  baseKey: Uint8Array,
  epoch: Epoch = "handshake",
): void {
  const verify_data = finishedVerifyData(hash, baseKey, transcript.current());
  const message = encodeMessage("finished", Finished, { verify_data });
  transcript.add(message);
  effects.send(epoch, message);
}

/** Holds the peer's Finished against the transcript, which ends before it and then takes it in. */
export function checkFinished(
  message: HandshakeMessage,
  transcript: Transcript,
  hash: Hash,
  baseKey: Uint8Array,
): void {
  const { verify_data } = decodeBody(Finished, message);
  const expected = finishedVerifyData(hash, baseKey, transcript.current());
  const valid = equalConstantTime(verify_data, expected);
  wipe(expected);
  if (!valid) throw fault("ERR_SSL_DIGEST_CHECK_FAILED");
  transcript.add(message.bytes);
}
