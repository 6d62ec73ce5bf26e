/** Faults of certificates: each side presents something that the other cannot accept. */
import type { AlertName, CauseCode, Side } from "../../../errors.ts";
import type { IssuedIdentity } from "../../../pki/throwaway.ts";
import type { Cast, Party } from "../cast.ts";
import { type Difference, identityOf } from "../run.ts";
import type { Fault, FaultGroup } from "./fault.ts";

/** The side's identity replaced; a client shows it although the server has named other authorities. */
function presents(side: Side, identity: IssuedIdentity): Difference {
  const identities = [identityOf(identity)];
  return side === "server" ? { server: { identities } } : { client: { identities, ignoreRequestHints: true } };
}

interface Wrong {
  readonly name: string;
  readonly title: string;
  readonly story: string;
  readonly section: string;
  readonly which: (party: Party) => IssuedIdentity;
  readonly code: CauseCode;
  readonly alert: AlertName;
}

/** What can be wrong with the certificate of either side. */
const EITHER: readonly Wrong[] = [
  {
    name: "expired",
    title: "Expired certificate",
    story: "was valid until yesterday",
    section: "RFC 5280 4.1.2.5",
    which: ({ expired }) => expired,
    code: "CERT_HAS_EXPIRED",
    alert: "certificate_expired",
  },
  {
    name: "not-yet-valid",
    title: "Certificate from the future",
    story: "is valid from tomorrow on",
    section: "RFC 5280 4.1.2.5",
    which: ({ future }) => future,
    code: "CERT_NOT_YET_VALID",
    alert: "certificate_expired",
  },
  {
    name: "unknown-ca",
    title: "Unknown CA",
    story: "comes from an authority that the other side does not trust",
    section: "RFC 8446 6.2",
    which: ({ stranger }) => stranger,
    code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    alert: "unknown_ca",
  },
  {
    name: "wrong-purpose",
    title: "Certificate for another purpose",
    story: "is for the other role: its extended key usage lacks the one that is needed",
    section: "RFC 5280 4.2.1.12",
    which: ({ wrongPurpose }) => wrongPurpose,
    code: "INVALID_PURPOSE",
    alert: "unsupported_certificate",
  },
];

const either = (["server", "client"] as const).flatMap((side) =>
  EITHER.map(
    ({ name, title, story, section, which, code, alert }): Fault => ({
      name: `${side}-${name}`,
      title: `${title} (${side})`,
      story: `The ${side}'s certificate ${story}.`,
      section,
      needs: { session: "full", ...(side === "client" && { auth: "mutual" }) },
      difference: (cast: Cast) => presents(side, which(cast[side])),
      by: side === "server" ? "client" : "server",
      stage: "WAIT_CERT",
      code,
      alert,
    }),
  ),
);

export const CERTIFICATE_FAULTS: FaultGroup = {
  title: "Certificates",
  faults: [
    ...either,
    {
      name: "wrong-name",
      title: "Certificate for another host",
      story: "The server's certificate is good, but for elsewhere.example.",
      section: "RFC 9525 6.3",
      needs: { session: "full" },
      difference: (cast) => presents("server", cast.server.elsewhere),
      by: "client",
      stage: "WAIT_CERT",
      code: "ERR_TLS_CERT_ALTNAME_INVALID",
      alert: "bad_certificate",
    },
    {
      name: "no-client-certificate",
      title: "Empty client certificate",
      story: "The server demands a certificate; the client has none and sends an empty list.",
      section: "RFC 8446 4.4.2.4",
      needs: { session: "full", auth: "mutual" },
      difference: () => ({ client: { identities: [] } }),
      by: "server",
      stage: "WAIT_CERT",
      code: "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE",
      alert: "certificate_required",
    },
    {
      name: "not-authorized",
      title: "Authenticated, but not authorized",
      story: "The client proves who it is; the application behind the server turns it down.",
      section: "RFC 8446 6.2",
      needs: { session: "full", auth: "mutual" },
      difference: () => ({ server: { authorize: () => false } }),
      by: "server",
      stage: "WAIT_FINISHED",
      code: "ERR_TLS_ACCESS_DENIED",
      alert: "access_denied",
    },
  ],
};
