/**
 * What the runner may ask of a shim: each flag that this one answers, in one of three tables. Any other flag makes it
 * exit with 89, "unimplemented" (ssl/test/PORTING.md of BoringSSL).
 */

/** How a flag's value is written. */
type Kind = "bool" | "int" | "string" | "base64" | "ints";

/** Of a connection. */
const CONNECTION = {
  port: "int",
  "shim-id": "string",
  ipv6: "bool",
  server: "bool",
  "resume-count": "int",
  "resumption-delay": "int",
  async: "bool",
  "max-version": "int",
  "expect-version": "int",
  "no-tls13": "bool",
  curves: "ints",
  "key-shares": "ints",
  "no-key-shares": "bool",
  "server-supported-groups-hint": "ints",
  "expect-curve-id": "int",
  "expect-cipher": "int",
  "expect-cipher-aes": "int",
  "expect-hrr": "bool",
  "expect-no-hrr": "bool",
  "verify-prefs": "ints",
  "expect-peer-verify-pref": "ints",
  "verify-peer": "bool",
  "verify-fail": "bool",
  "expect-verify-result": "bool",
  "reverify-on-resume": "bool",
  "use-custom-verify-callback": "bool",
  "require-any-client-certificate": "bool",
  "expect-no-peer-cert": "bool",
  "expect-peer-cert-file": "string",
  "expect-peer-signature-algorithm": "int",
  "expect-selected-credential": "int",
  "expect-client-ca-list": "string",
  "use-client-ca-list": "string",
  "host-name": "string",
  "expect-server-name": "string",
  "expect-no-server-name": "bool",
  "advertise-alpn": "string",
  "select-alpn": "string",
  "decline-alpn": "bool",
  "reject-alpn": "bool",
  "expect-alpn": "string",
  "expect-advertised-alpn": "string",
  "shim-writes-first": "bool",
  "shim-initial-write": "string",
  "repeat-shim-initial-write": "int",
  "shim-shuts-down": "bool",
  "check-close-notify": "bool",
  "write-different-record-sizes": "bool",
  "read-with-unfinished-write": "bool",
  "handshake-never-done": "bool",
  "max-send-fragment": "int",
  "max-cert-list": "int",
  "key-update": "bool",
  "key-update-before-read": "bool",
  "export-keying-material": "int",
  "export-label": "string",
  "export-context": "string",
  "export-traffic-secrets": "bool",
  "fail-early-callback": "bool",
  "fail-ddos-callback": "bool",
  "fail-cert-callback": "bool",
  "no-ticket": "bool",
  "skip-ticket": "bool",
  "expect-no-session": "bool",
  "expect-session-miss": "bool",
  "expect-ticket-supports-early-data": "bool",
  "enable-early-data": "bool",
  "expect-accept-early-data": "bool",
  "expect-reject-early-data": "bool",
  "expect-no-offer-early-data": "bool",
  "expect-early-data-reason": "string",
  "enable-ocsp-stapling": "bool",
  "expect-ocsp-response": "base64",
  "use-ocsp-callback": "bool",
  "decline-ocsp-callback": "bool",
  "fail-ocsp-callback": "bool",
  "enable-signed-cert-timestamps": "bool",
  "expect-signed-cert-timestamps": "base64",
  "install-cert-compression-algs": "bool",
  "install-one-cert-compression-alg": "int",
  "enable-grease": "bool",
} as const satisfies Readonly<Record<string, Kind>>;

/** Of the default credential, or of the one that the last `-new-…-credential` has begun. */
const CREDENTIAL = {
  "cert-file": "string",
  "key-file": "string",
  "signing-prefs": "ints",
  "must-match-issuer": "bool",
  "ocsp-response": "base64",
  "signed-cert-timestamps": "base64",
  "psk-importer-key": "base64",
  "psk-importer-identity": "base64",
  "psk-importer-context": "base64",
  "psk-importer-sha256": "bool",
  "psk-importer-sha384": "bool",
} as const satisfies Readonly<Record<string, Kind>>;

const NEW_CREDENTIAL: Readonly<Record<string, Credential["type"]>> = {
  "new-x509-credential": "x509",
  "new-psk-credential": "psk",
};

const ONE_VERSION = "TLS 1.3 is the only version";
const NO_RENEGOTIATION = "TLS 1.3 has no renegotiation";
const NOTHING_TO_REPEAT = "there is no call that could do nothing";
const ONE_WAY = "this library has one way to do it";

/** Those that change nothing here, each with the reason. */
const IMMATERIAL: Readonly<Record<string, readonly [Kind, string]>> = {
  "trust-cert": ["string", "chains are judged as -verify-fail says, whoever issued them"],
  "min-version": ["int", ONE_VERSION],
  "no-tls12": ["bool", ONE_VERSION],
  "no-tls11": ["bool", ONE_VERSION],
  "no-tls1": ["bool", ONE_VERSION],
  "expect-extended-master-secret": ["bool", "TLS 1.3 always binds the handshake"],
  "expect-secure-renegotiation": ["bool", NO_RENEGOTIATION],
  "no-legacy-server-connect": ["bool", NO_RENEGOTIATION],
  "renegotiate-freely": ["bool", NO_RENEGOTIATION],
  "renegotiate-ignore": ["bool", NO_RENEGOTIATION],
  "renegotiate-once": ["bool", NO_RENEGOTIATION],
  "false-start": ["bool", "TLS 1.3 has no False Start"],
  "expect-no-session-id": ["bool", "TLS 1.3 has no session IDs to cache"],
  "expect-ticket-renewal": ["bool", "the original checks it in TLS 1.2 only"],
  "expect-cipher-no-aes": ["int", "AES is taken to be fast"],
  "quic-use-legacy-codepoint": ["int", "it is for QUIC"],
  "renew-ticket": ["bool", "every handshake brings new tickets"],
  "use-ticket-callback": ["bool", ONE_WAY],
  "use-ticket-aead-callback": ["bool", ONE_WAY],
  "use-early-callback": ["bool", ONE_WAY],
  "install-ddos-callback": ["bool", ONE_WAY],
  "use-old-client-cert-callback": ["bool", ONE_WAY],
  "set-ocsp-in-callback": ["bool", ONE_WAY],
  "implicit-handshake": ["bool", "the engine takes data at any time"],
  "partial-write": ["bool", "the engine says how much it takes"],
  "read-size": ["int", "plaintext comes as it is"],
  "peek-then-read": ["bool", "plaintext is handed over once"],
  "no-op-extra-handshake": ["bool", NOTHING_TO_REPEAT],
  "handshake-twice": ["bool", NOTHING_TO_REPEAT],
  "use-export-context": ["bool", "in TLS 1.3 no context is the same as an empty one (RFC 8446 7.5)"],
  "server-preference": ["bool", "the server's preference always counts"],
};

type Camel<S extends string> = S extends `${infer Head}-${infer Rest}` ? `${Head}${Capitalize<Camel<Rest>>}` : S;

interface Values {
  readonly bool: boolean;
  readonly int: number;
  readonly string: string;
  readonly base64: Uint8Array;
  readonly ints: readonly number[];
}

type Read<Table extends Readonly<Record<string, Kind>>> = {
  readonly [Name in keyof Table & string as Camel<Name>]?: Values[Table[Name]];
};

/** A certificate with its key, or a pre-shared key. */
export type Credential = Read<typeof CREDENTIAL> & { readonly type: "x509" | "psk" };

/** What one connection is to be; each flag's name in camel case. */
export type Settings = Read<typeof CONNECTION> & {
  readonly standard: Credential;
  readonly credentials: readonly Credential[];
};

/** Thrown for what this shim does not do: the flag, or what of its value. */
export class Unimplemented extends Error {}

/** The settings of the first connection, of resumptions, and of a client's second try after rejected early data. */
export interface AllSettings {
  readonly initial: Settings;
  readonly resume: Settings;
  readonly retry: Settings;
}

type Draft = Record<string, unknown>;

interface DraftSettings extends Draft {
  readonly standard: Draft;
  readonly credentials: Draft[];
}

/**
 * Reads the runner's arguments.
 *
 * @throws Unimplemented for a flag in none of the tables.
 */
export function parseFlags(argv: readonly string[]): AllSettings {
  const draft = (): DraftSettings => ({ standard: { type: "x509" }, credentials: [] });
  const all = { initial: draft(), resume: draft(), retry: draft() };
  const rest = [...argv];
  for (let flag = rest.shift(); flag !== undefined; flag = rest.shift()) {
    const [, scope, name = ""] = /^-(?:on-shim-)?(?:on-(initial|resume|retry)-)?(.+)$/.exec(flag) ?? [];
    const targets = scope === undefined ? Object.values(all) : [all[scope as keyof AllSettings]];
    const type = NEW_CREDENTIAL[name];
    if (type !== undefined) {
      for (const { credentials } of targets) credentials.push({ type });
      continue;
    }
    const kind = kindOf(name);
    if (kind === undefined) throw new Unimplemented(`-${name}`);
    const text = kind === "bool" ? "" : (rest.shift() as string);
    if (IMMATERIAL[name] !== undefined) continue;
    for (const target of targets) {
      const holder = name in CREDENTIAL ? (target.credentials.at(-1) ?? target.standard) : target;
      const key = name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
      holder[key] = read(kind, text, holder[key]);
    }
  }
  return all as unknown as AllSettings;
}

function kindOf(name: string): Kind | undefined {
  const tables: Readonly<Record<string, Kind>> = { ...CONNECTION, ...CREDENTIAL };
  return Object.hasOwn(tables, name) ? tables[name] : IMMATERIAL[name]?.[0];
}

function read(kind: Kind, text: string, before: unknown): unknown {
  switch (kind) {
    case "bool":
      return true;
    case "int":
      return Number(text);
    case "ints":
      return [...((before as number[] | undefined) ?? []), Number(text)];
    case "base64":
      return new Uint8Array(Buffer.from(text, "base64"));
    case "string":
      return text;
  }
}
