/** Keys, certificates, CAs, CRLs and ticket keys out of files, and contexts that follow what becomes of the files. */
import { readFileSync } from "node:fs";
import { equal } from "../bytes/bytes.ts";
import { nodeProvider } from "../crypto/node.ts";
import {
  type IdentityOptions,
  type Recheck,
  type ReplaceableContext,
  resolveIdentity,
  type SealedTickets,
  sealedTickets,
} from "../engine/index.ts";
import { type CauseCode, fault, TlsError } from "../errors.ts";
import { timeLimit } from "../transport/timers.ts";
import { revocationChecker } from "../x509/revocation.ts";
import { type TrustStore, trustStore } from "../x509/trust.ts";
import { type CertificateVerifier, trustVerifier } from "../x509/verifier.ts";
import { readPrivateKeySync } from "./pkcs12.ts";
import { type FileWatch, type WatchOptions, watchFiles } from "./watch.ts";

/** Paths of files, PEM or DER. */
export interface CredentialFiles {
  /** Chains with their keys; where one file holds both, `cert` alone. */
  readonly identities?: readonly IdentityFiles[] | undefined;
  /** Trust anchors. */
  readonly trust?: string | readonly string[] | undefined;
  /** CRLs, for which `trust` must be given. */
  readonly crls?: string | readonly string[] | undefined;
  /**
   * Ticket keys: 32 bytes each, one after the other, 16 at most; the first seals, and all that are in the file open. A key
   * that is taken out opens nothing any more; to let yesterday's tickets live, put the new key before the old one.
   * `openssl rand 32` makes one.
   */
  readonly ticketKeys?: string | undefined;
  /**
   * Who judges by what is in `trust` and `crls`. Default: every certificate that is not on a CRL of its issuer is refused
   * where there are `crls`, and revocation is not looked at where there are none.
   */
  readonly verifier?: ((trust: TrustStore, crls: readonly Uint8Array[]) => CertificateVerifier) | undefined;
}

/** Paths of one identity. */
export interface IdentityFiles {
  readonly cert: string;
  readonly key?: string | undefined;
  /** Opens an encrypted key. */
  readonly passphrase?: string | undefined;
  /** To staple, DER. */
  readonly ocspResponse?: string | undefined;
}

/** What the files say: options for a context. */
export interface CredentialOptions {
  /** None where no files of any were named. */
  readonly identities: readonly IdentityOptions[];
  readonly trust?: TrustStore;
  readonly verifier?: CertificateVerifier;
  readonly tickets?: { readonly store: SealedTickets };
}

/** What of the files is another. */
export type CredentialPart = "identities" | "trust" | "crls" | "ticketKeys";

/** A change that has come into force. */
export interface CredentialChange {
  readonly changed: readonly CredentialPart[];
  /** Of the context. */
  readonly generation: number;
  /** What became of open connections, where they are judged again. */
  readonly rechecked: Promise<Recheck> | undefined;
}

/** How a context follows its files. What is called must not throw. */
export interface FollowOptions extends WatchOptions {
  readonly onChange?: ((change: CredentialChange) => void) | undefined;
  /** Files that cannot be used: what was in force stays so. Told once for each fault, and tried again. */
  readonly onRefused?: ((error: TlsError) => void) | undefined;
  /** Judges open connections again when CAs or CRLs are others, and ends those that do not hold. Default true. */
  readonly recheck?: boolean | undefined;
}

/** Made by {@link credentialFiles}. */
export interface FileCredentials {
  /** As they were read. */
  readonly options: CredentialOptions;
  /**
   * Has a context follow the files from now on: renamed into place, behind links that are turned, or written in place.
   * All of them are read together and replaced together; what cannot be used, or does not fit together, leaves everything
   * as it was.
   */
  follow(context: ReplaceableContext<Partial<CredentialOptions>>, options?: FollowOptions): FileWatch;
}

/**
 * Reads keys and certificates from files.
 *
 * @throws TlsError `ERR_TLS_PEM`, `ERR_TLS_KEY`, `ERR_TLS_PASSPHRASE`, `CERT_PARSE_ERROR`, `CRL_PARSE_ERROR`,
 * `ERR_OSSL_X509_KEY_VALUES_MISMATCH`, with the file's name; `ERR_TLS_OPTION` for CRLs without CAs.
 * @example
 * ```ts
 * const folder = fs.mkdtempSync("/tmp/example-");
 * fs.writeFileSync(`${folder}/tls.crt`, cert);
 * fs.writeFileSync(`${folder}/tls.key`, key);
 * fs.writeFileSync(`${folder}/ca.crt`, ca);
 * const files = credentialFiles({
 *   identities: [{ cert: `${folder}/tls.crt`, key: `${folder}/tls.key` }],
 *   trust: `${folder}/ca.crt`,
 * });
 * const context = serverContext({ ...files.options, clientAuth: "on" });
 * const following = files.follow(context, {
 *   onChange: ({ changed, generation }) => console.error(changed.join(), generation),
 *   onRefused: (error) => console.error(error.message),
 * });
 * following.close();
 * fs.rmSync(folder, { recursive: true });
 * ```
 */
export function credentialFiles(files: CredentialFiles): FileCredentials {
  if (files.crls !== undefined && files.trust === undefined) {
    throw fault("ERR_TLS_OPTION", "CRLs without the CAs whose they are");
  }
  const first = read(files);
  const store = first.ticketKeys.length === 0 ? undefined : sealedTickets({ keys: first.ticketKeys });
  return {
    options: { identities: [], ...optionsOf(files, first, PARTS), ...(store && { tickets: { store } }) },
    follow(context, options = {}) {
      let current = first;
      let refusal: string | undefined;
      const refused = (error: unknown) => {
        if (!(error instanceof TlsError)) throw error;
        if (error.message !== refusal) options.onRefused?.(error);
        refusal = error.message;
        return false;
      };
      const changed = () => {
        let next: Contents;
        let parts: readonly CredentialPart[];
        try {
          next = read(files);
          parts = PARTS.filter((part) => !same(next[part].flat(), current[part].flat()));
          if (parts.length > 0) context.replace(optionsOf(files, next, parts));
        } catch (error) {
          return refused(error);
        }
        refusal = undefined;
        if (parts.length === 0) return true;
        if (parts.includes("ticketKeys")) store?.setKeys(next.ticketKeys);
        current = next;
        const judges = parts.includes("trust") || parts.includes("crls");
        const rechecked = judges && options.recheck !== false ? context.recheck(turn, timeLimit()) : undefined;
        options.onChange?.({ changed: parts, generation: context.generation, rechecked });
        return true;
      };
      const watch = watchFiles(pathsOf(files), changed, options);
      // They may have changed since they were read.
      watch.reload();
      return watch;
    },
  };
}

const PARTS: readonly CredentialPart[] = ["identities", "trust", "crls", "ticketKeys"];

/** The files' bytes, which can be used. */
interface Contents {
  /** Certificate, key and staple of each. */
  readonly identities: readonly (readonly Uint8Array[])[];
  readonly trust: readonly Uint8Array[];
  readonly crls: readonly Uint8Array[];
  readonly ticketKeys: readonly Uint8Array[];
}

function read(files: CredentialFiles): Contents {
  return {
    identities: (files.identities ?? []).map(readIdentity),
    trust: list(files.trust).map((file) => checked(file, trustStore)),
    crls: list(files.crls).map((file) => checked(file, (crls) => revocationChecker({ mode: "soft-fail", crls }))),
    ticketKeys: files.ticketKeys === undefined ? [] : readTicketKeys(files.ticketKeys),
  };
}

function optionsOf(
  { verifier, crls, identities, trust }: CredentialFiles,
  contents: Contents,
  parts: readonly CredentialPart[],
): Partial<CredentialOptions> {
  const judges = trust !== undefined && (parts.includes("trust") || parts.includes("crls"));
  return {
    ...(identities && parts.includes("identities") && { identities: contents.identities.map(asOptions) }),
    ...(judges && (verifier ?? crls) !== undefined && { verifier: (verifier ?? strict)(...judgedBy(contents)) }),
    ...(judges && (verifier ?? crls) === undefined && { trust: trustStore(contents.trust) }),
  };
}

function judgedBy({ trust, crls }: Contents): [TrustStore, readonly Uint8Array[]] {
  return [trustStore(trust), crls];
}

function strict(trust: TrustStore, crls: readonly Uint8Array[]): CertificateVerifier {
  return trustVerifier({ trust, revocation: revocationChecker({ mode: "hard-fail", crls }) });
}

function asOptions([cert, key, ocspResponse]: readonly Uint8Array[]): IdentityOptions {
  return { cert: cert as Uint8Array, key: key as Uint8Array, ocspResponse };
}

function readIdentity({ cert, key = cert, passphrase, ocspResponse }: IdentityFiles): readonly Uint8Array[] {
  const paths = [cert, key, ...(ocspResponse === undefined ? [] : [ocspResponse])];
  const [chain, locked, ...staple] = paths.map((path) => checked(path, () => {})) as [Uint8Array, Uint8Array];
  const unlocked = passphrase === undefined ? locked : named(key, () => readPrivateKeySync(locked, passphrase));
  const contents = [chain, unlocked, ...staple];
  const names = [...new Set(paths)].join(", ");
  named(names, () => resolveIdentity(asOptions(contents), nodeProvider));
  return contents;
}

const KEY_LENGTH = 32;
const MAX_KEYS = 16;

function readTicketKeys(file: string): readonly Uint8Array[] {
  const bytes = checked(file, ({ length }) => {
    if (length === 0 || length % KEY_LENGTH !== 0 || length > MAX_KEYS * KEY_LENGTH) {
      throw fault("ERR_TLS_KEY", `${length} bytes, not 1 to ${MAX_KEYS} ticket keys of ${KEY_LENGTH}`);
    }
  });
  return Array.from({ length: bytes.length / KEY_LENGTH }, (_, index) =>
    bytes.subarray(index * KEY_LENGTH, (index + 1) * KEY_LENGTH),
  );
}

/** A file's bytes, which `check` accepts. */
function checked(file: string, check: (bytes: Uint8Array) => unknown): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = new Uint8Array(readFileSync(file));
  } catch (cause) {
    throw fault("ERR_TLS_PEM", `${file}: ${(cause as Error).message}`, { cause });
  }
  named(file, () => check(bytes));
  return bytes;
}

/** An error that says in which file. */
function named<T>(file: string, use: () => T): T {
  try {
    return use();
  } catch (cause) {
    if (!(cause instanceof TlsError)) throw cause;
    throw fault(cause.code as CauseCode, `${file}: ${cause.detail ?? ""}`, { cause });
  }
}

function pathsOf({ identities = [], trust, crls, ticketKeys }: CredentialFiles): readonly string[] {
  const own = identities.flatMap(({ cert, key, ocspResponse }) => [cert, key ?? cert, ocspResponse ?? cert]);
  return [...new Set([...own, ...list(trust), ...list(crls), ...list(ticketKeys)])];
}

function list(files: string | readonly string[] | undefined): readonly string[] {
  return typeof files === "string" ? [files] : (files ?? []);
}

function same(one: readonly Uint8Array[], other: readonly Uint8Array[]): boolean {
  return one.length === other.length && one.every((bytes, index) => equal(bytes, other[index] as Uint8Array));
}

/** Lets others have their turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
