/** What a chain is, what is to come of it, and the parts that the tables of chains have in common. */

import { utf8 } from "../../src/bytes/bytes.ts";
import { contextConstructed, derEncode, Tag } from "../../src/bytes/der.ts";
import type { RejectionCode } from "../../src/causes.ts";
import type { AlertName } from "../../src/errors.ts";
import { KeyPurpose } from "../../src/x509/certificate.ts";
import type { TrustVerifierOptions } from "../../src/x509/verifier.ts";
import { encodeOid, extension, generalName } from "../support/der.ts";
import { makeAuthority, makeCertificate, type TestCertificate, type TestCertificateOptions } from "../support/pki.ts";

/** Whose certificate is judged. */
export type Role = "server" | "client";

export interface Chain {
  /** As sent, end entity first. */
  readonly sent: readonly TestCertificate[];
  readonly trusted: readonly TestCertificate[];
  readonly options?: Omit<TrustVerifierOptions, "trust">;
  /** `localhost` where left out. */
  readonly name?: string;
  /** OCSPResponse that comes with the end entity's certificate. */
  readonly staple?: Uint8Array;
  /** CRLs that node:tls is given, DER. */
  readonly crls?: readonly Uint8Array[];
  /** As pinnedVerifier takes them. */
  readonly pins?: string;
}

export interface Case {
  readonly title: string;
  readonly make: (role: Role) => Promise<Chain>;
  /** What node:tls says where it says something else, and why that is; `null`: node:tls cannot be asked. */
  readonly node?: { readonly code: string | undefined; readonly why: string } | null;
}

/** A chain that is refused. */
export interface Rejected extends Case {
  readonly code: RejectionCode;
  readonly alert: AlertName;
  /** The explanation. */
  readonly reason: RegExp;
}

export const other = { server: KeyPurpose.clientAuth, client: KeyPurpose.serverAuth } as const;
export const criticalUnknown = { oid: "1.3.6.1.4.1.55738.666.1", critical: true, value: derEncode(Tag.null) };
export const unspecified = (why: string) => ({ code: "UNSPECIFIED", why });

export const root = await makeAuthority({ subject: "test root" });
export const middle = await makeAuthority({ subject: "test intermediate", issuer: root });

/** A leaf under the root. */
export async function leaf(options: TestCertificateOptions = {}): Promise<Chain> {
  return { sent: [await makeCertificate({ issuer: root, ...options })], trusted: [root] };
}

/** A leaf under an intermediate made to order. */
export async function under(options: TestCertificateOptions, leafOptions: TestCertificateOptions = {}): Promise<Chain> {
  const issuer = await makeAuthority({ subject: "odd intermediate", issuer: root, ...options });
  return { sent: [await makeCertificate({ issuer, ...leafOptions }), issuer], trusted: [root] };
}

/** A leaf with these names under an intermediate with these constraints. */
export function constrained(
  permitted: readonly Uint8Array[],
  excluded: readonly Uint8Array[],
  names: readonly Uint8Array[],
  subject: TestCertificateOptions["subject"] = "test leaf",
): Promise<Chain> {
  return under({ extensions: [extension.nameConstraints(permitted, excluded)] }, { names, subject });
}

/** iPAddress of a constraint: address and mask. */
export const range = (...bytes: number[]) => derEncode(0x87, Uint8Array.from(bytes));

/** SmtpUTF8Mailbox (RFC 9598 3): text, or the contents of its UTF8String. */
export function utf8Mailbox(mailbox: string | Uint8Array): Uint8Array {
  const content = typeof mailbox === "string" ? utf8(mailbox) : mailbox;
  const value = derEncode(contextConstructed(0), derEncode(Tag.utf8String, content));
  return derEncode(contextConstructed(0), encodeOid("1.3.6.1.5.5.7.8.9"), value);
}

export const localhost = generalName.dns("localhost");
