/** What a server's modes of client authentication make of the certificates that a client may present. */
import type { CauseCode } from "../../src/errors.ts";
import type { ClientAuth } from "../../src/handshake/config.ts";
import type { Party } from "./certificates.ts";

/** What the server makes of the client: who it is, whether that is verified, or why it is refused. */
export type Verdict = "verified" | "unverified" | "nobody" | CauseCode;

/** The certificate a client presents. */
export type Presented = keyof Party | "none";

/** A server's mode × the client's certificate. */
export const VERDICTS: Readonly<Record<ClientAuth, Readonly<Record<Presented, Verdict>>>> = {
  off: {
    none: "nobody",
    good: "nobody",
    stranger: "nobody",
    strangerWithRoot: "nobody",
    selfSigned: "nobody",
    withoutIntermediate: "nobody",
    expired: "nobody",
    strangerExpired: "nobody",
    future: "nobody",
    wrongPurpose: "nobody",
    elsewhere: "nobody",
  },
  optional: {
    none: "nobody",
    good: "verified",
    stranger: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    strangerWithRoot: "SELF_SIGNED_CERT_IN_CHAIN",
    selfSigned: "DEPTH_ZERO_SELF_SIGNED_CERT",
    withoutIntermediate: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    expired: "CERT_HAS_EXPIRED",
    strangerExpired: "CERT_HAS_EXPIRED",
    future: "CERT_NOT_YET_VALID",
    wrongPurpose: "INVALID_PURPOSE",
    // A client's names are not compared with anything.
    elsewhere: "verified",
  },
  optional_no_ca: {
    none: "nobody",
    good: "verified",
    stranger: "unverified",
    strangerWithRoot: "unverified",
    selfSigned: "unverified",
    withoutIntermediate: "unverified",
    expired: "CERT_HAS_EXPIRED",
    strangerExpired: "CERT_HAS_EXPIRED",
    future: "CERT_NOT_YET_VALID",
    wrongPurpose: "INVALID_PURPOSE",
    elsewhere: "verified",
  },
  on: {
    none: "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE",
    good: "verified",
    stranger: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    strangerWithRoot: "SELF_SIGNED_CERT_IN_CHAIN",
    selfSigned: "DEPTH_ZERO_SELF_SIGNED_CERT",
    withoutIntermediate: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    expired: "CERT_HAS_EXPIRED",
    strangerExpired: "CERT_HAS_EXPIRED",
    future: "CERT_NOT_YET_VALID",
    wrongPurpose: "INVALID_PURPOSE",
    elsewhere: "verified",
  },
};
