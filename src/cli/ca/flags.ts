/** The flags that the commands of `mutls ca` share, and what they mean. */
import { type CertificateAuthority, createAuthority, openAuthority } from "../../node/ca/index.ts";
import type { ConstraintsInput } from "../../pki/extensions.ts";
import type { KeyKind } from "../../pki/keys.ts";
import type { AlternativeNames } from "../../pki/names.ts";
import { PROFILES, type ProfileName } from "../../pki/profiles.ts";
import { usage } from "../exit.ts";
import type { Arguments, Flag } from "../flags.ts";

/** Where the CA is, and what opens its keys. */
export const FOLDER_FLAGS: readonly Flag[] = [
  { name: "dir", value: "DIR", help: "the CA's folder; mutls-ca by default" },
  {
    name: "pass",
    value: "P",
    help: "pass phrase of the CA's keys; other users see command lines, so MUTLS_CA_PASS may hold it instead",
  },
];

/** What the kinds of key are called here. */
const KEY_KINDS: Readonly<Record<string, KeyKind>> = {
  "P-256": "P-256",
  "P-384": "P-384",
  Ed25519: "Ed25519",
  "RSA-2048": "RSA",
  "RSA-3072": "RSA-3072",
  "RSA-4096": "RSA-4096",
};

export const KEY_FLAG: Flag = {
  name: "key",
  value: "KIND",
  choices: Object.keys(KEY_KINDS),
  help: "kind of the new keys, P-256 by default",
};

export const NAME_FLAGS: readonly Flag[] = [
  { name: "subject", value: "/O=…/CN=…", help: "the whole subject, as openssl writes it" },
  { name: "dns", value: "NAME", repeat: true, help: "a host name that it is for" },
  { name: "ip", value: "ADDRESS", repeat: true, help: "an IP address that it is for" },
  { name: "email", value: "ADDRESS", repeat: true, help: "a mail address that it is for" },
  { name: "uri", value: "URI", repeat: true, help: "a URI that it is for, such as spiffe://example.org/web" },
];

export const PROFILE_FLAG: Flag = {
  name: "profile",
  value: "NAME",
  choices: Object.keys(PROFILES),
  help: "what it is for",
};

export const LIFETIME_FLAGS: readonly Flag[] = [
  { name: "hours", value: "N", help: "how long it lives; 24 hours by default, CAs five years" },
  { name: "days", value: "N", help: "the same in days" },
];

export const OUTPUT_FLAGS: readonly Flag[] = [
  { name: "out", value: "PREFIX", help: "write PREFIX.pem, PREFIX.key and the like; NAME by default" },
  { name: "force", help: "write over files that are there" },
];

/** For intermediates and whole CAs. */
export const CONSTRAINT_FLAGS: readonly Flag[] = [
  {
    name: "permit",
    value: "TYPE:BASE",
    repeat: true,
    help: "only names like dns:example.com, ip:10.0.0.0/8, email:example.com, uri:example.org",
  },
  { name: "exclude", value: "TYPE:BASE", repeat: true, help: "no such names" },
];

/** The folder. */
export function folderOf(args: Arguments): string {
  return args.get("dir") ?? "mutls-ca";
}

/** The pass phrase of the CA's keys. An empty one, such as a variable that was never filled, protects nothing. */
export function passphraseOf(args: Arguments): string | undefined {
  const passphrase = args.get("pass") ?? process.env.MUTLS_CA_PASS;
  if (passphrase === "") throw usage("the pass phrase is empty");
  return passphrase;
}

/** The CA. */
export function openCa(args: Arguments): Promise<CertificateAuthority> {
  return openAuthority(folderOf(args), passphraseOf(args));
}

/** A new one. */
export function createCa(args: Arguments, options: Parameters<typeof createAuthority>[1]) {
  return createAuthority(folderOf(args), { ...options, passphrase: passphraseOf(args) });
}

export function keyKind(args: Arguments): KeyKind {
  return KEY_KINDS[args.get("key") ?? "P-256"] as KeyKind;
}

export function profileOf(args: Arguments): ProfileName {
  const name = args.get("profile");
  if (name === undefined) throw usage(`--profile is missing: ${Object.keys(PROFILES).join(", ")}`);
  return name as ProfileName;
}

export function namesOf(args: Arguments): AlternativeNames {
  return {
    dnsNames: args.all("dns"),
    ipAddresses: args.all("ip"),
    emails: args.all("email"),
    uris: args.all("uri"),
  };
}

const HOUR = 3_600_000;

/** ms; `undefined` without a flag. */
export function lifetimeOf(args: Arguments): number | undefined {
  const hours = args.number("hours", 1, 24 * 36_500);
  const days = args.number("days", 1, 36_500);
  if (hours !== undefined && days !== undefined) throw usage("--hours and --days say the same: give one");
  return hours !== undefined ? hours * HOUR : days === undefined ? undefined : days * 24 * HOUR;
}

/** When what begins now ends: ms since the epoch; `undefined` without a flag. */
export function endOf(args: Arguments): number | undefined {
  const lifetime = lifetimeOf(args);
  return lifetime === undefined ? undefined : Date.now() + lifetime;
}

const CONSTRAINTS = { dns: "dnsNames", ip: "ipAddresses", email: "emails", uri: "uris" } as const;

export function constraintsOf(args: Arguments): ConstraintsInput {
  return { permitted: subtreesOf(args, "permit"), excluded: subtreesOf(args, "exclude") };
}

function subtreesOf(args: Arguments, flag: string): AlternativeNames {
  const names: { -readonly [Name in keyof AlternativeNames]: string[] } = {};
  for (const text of args.all(flag)) {
    const [, type, base] = /^(\w+):(.+)$/.exec(text) ?? [];
    if (type === undefined || !Object.hasOwn(CONSTRAINTS, type)) {
      throw usage(`--${flag}: "${text}" is not dns:…, ip:…, email:… or uri:…`);
    }
    const list = CONSTRAINTS[type as keyof typeof CONSTRAINTS];
    names[list] = [...(names[list] ?? []), base as string];
  }
  return names;
}
