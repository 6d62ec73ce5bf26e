/** What a chain is, what is to come of it, and the parts that the tables of chains have in common. */
import { derEncode, Tag } from "../../src/bytes/der.ts";
import type { RejectionCode } from "../../src/causes.ts";
import type { AlertName } from "../../src/errors.ts";
import { extension, generalName } from "../../src/pki/encode.ts";
import { KeyPurpose } from "../../src/x509/certificate.ts";
import type { TrustVerifierOptions } from "../../src/x509/verifier.ts";
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

export const localhost = generalName.dns("localhost");
