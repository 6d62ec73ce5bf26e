/** Faults of what proves something: signatures, Finished, binders, and the transcript that they stand on. */
import { extension } from "../../../codec/extensions.ts";
import { nobleProvider } from "../../../crypto/noble.ts";
import type { Side } from "../../../errors.ts";
import type { HandshakeName } from "../../../flow.ts";
import type { Difference } from "../run.ts";
import { edited, flip, inMessage } from "../tamper.ts";
import type { Fault, FaultGroup } from "./fault.ts";

const SIDES = ["server", "client"] as const;
const other = (side: Side): Side => (side === "server" ? "client" : "server");

const changedLast = (from: Side, message: HandshakeName): Difference => ({
  tampering: inMessage(from, message, (bytes) => flip(bytes, -1)),
});

const finished = SIDES.map(
  (side): Fault => ({
    name: `wrong-finished-${side}`,
    title: `Wrong Finished (${side})`,
    story: `One bit of the ${side}'s verify_data is flipped on its way.`,
    section: "RFC 8446 4.4.4",
    difference: () => changedLast(side, "finished"),
    by: other(side),
    stage: "WAIT_FINISHED",
    code: "ERR_SSL_DIGEST_CHECK_FAILED",
    alert: "decrypt_error",
  }),
);

const signatures = SIDES.map(
  (side): Fault => ({
    name: `wrong-signature-${side}`,
    title: `Broken signature (${side})`,
    story: `One bit of the signature in the ${side}'s CertificateVerify is flipped on its way.`,
    section: "RFC 8446 4.4.3",
    needs: { session: "full", ...(side === "client" && { auth: "mutual" }) },
    difference: () => changedLast(side, "certificate_verify"),
    by: other(side),
    stage: "WAIT_CV",
    code: "ERR_SSL_BAD_SIGNATURE",
    alert: "decrypt_error",
  }),
);

const impostors = SIDES.map(
  (side): Fault => ({
    name: `stolen-certificate-${side}`,
    title: `Somebody else's certificate (${side})`,
    story: `The ${side} shows a good certificate that is not its own, and signs with another key.`,
    section: "RFC 8446 4.4.3",
    needs: { session: "full", ...(side === "client" && { auth: "mutual" }) },
    difference: ({ [side]: { good, stranger } }) => ({
      [side]: { identities: [{ cert: good.certificates, key: nobleProvider.signer(stranger.privateKey) }] },
    }),
    by: other(side),
    stage: "WAIT_CV",
    code: "ERR_SSL_BAD_SIGNATURE",
    alert: "decrypt_error",
  }),
);

const supportedGroups = extension<"EE", "supported_groups">("supported_groups", [29]);

export const PROOF_FAULTS: FaultGroup = {
  title: "Signatures, Finished, binders",
  faults: [
    ...finished,
    ...signatures,
    ...impostors,
    {
      name: "other-transcript",
      title: "Signature over another transcript",
      story:
        "A harmless extension (supported_groups) is added to EncryptedExtensions on its way. It is legal, but the server has signed a handshake without it.",
      section: "RFC 8446 4.4.1",
      needs: { session: "full" },
      difference: () => ({
        tampering: inMessage(
          "server",
          "encrypted_extensions",
          edited("encrypted_extensions", ({ extensions }) => ({ extensions: [...extensions, supportedGroups] })),
        ),
      }),
      by: "client",
      stage: "WAIT_CV",
      code: "ERR_SSL_BAD_SIGNATURE",
      alert: "decrypt_error",
    },
    {
      name: "other-random",
      title: "A bit of the ClientHello's random",
      story:
        "One bit of the random is flipped. Nothing forbids the new value, but both sides hash different ClientHellos, derive different keys, and cannot read each other, alerts included.",
      section: "RFC 8446 7.1",
      difference: () => ({ tampering: inMessage("client", "client_hello", (bytes) => flip(bytes, 6)) }),
      needs: { session: "full", retry: "no" },
      by: "client",
      stage: "WAIT_EE",
      code: "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
      alert: "bad_record_mac",
      heard: false,
    },
    {
      name: "wrong-binder",
      title: "Wrong PSK binder",
      story: "One bit of the binder is flipped: it no longer proves that the client knows the pre-shared key.",
      section: "RFC 8446 4.2.11.2",
      needs: { session: "resumed", retry: "no" },
      difference: () => changedLast("client", "client_hello"),
      by: "server",
      stage: "RECVD_CH",
      code: "ERR_SSL_BINDER_DOES_NOT_VERIFY",
      alert: "decrypt_error",
    },
    {
      name: "byte-under-binder",
      title: "A byte that the binder covers",
      story: "One bit of a resuming ClientHello's random is flipped: the binder is a MAC over everything before it.",
      section: "RFC 8446 4.2.11.2",
      needs: { session: "resumed", retry: "no" },
      difference: () => ({ tampering: inMessage("client", "client_hello", (bytes) => flip(bytes, 6)) }),
      by: "server",
      stage: "RECVD_CH",
      code: "ERR_SSL_BINDER_DOES_NOT_VERIFY",
      alert: "decrypt_error",
    },
  ],
};
