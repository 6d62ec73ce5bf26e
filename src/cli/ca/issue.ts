/** `mutls ca issue` and `mutls ca renew`: key and certificate in one step, and the next one. */
import { resolve } from "node:path";
import { equal } from "../../bytes/bytes.ts";
import { readPem } from "../../bytes/pem.ts";
import {
  type CertificateAuthority,
  type IssuedCertificate,
  type IssueInput,
  privateKeyPem,
} from "../../node/ca/index.ts";
import { serialOf } from "../../node/ca/state.ts";
import { generateKeyPair, type KeyKind } from "../../pki/keys.ts";
import { type AlternativeNames, countNames, parseSubject } from "../../pki/names.ts";
import { parseAddress } from "../../x509/address.ts";
import type { Certificate } from "../../x509/certificate.ts";
import { isDomainName } from "../../x509/names.ts";
import { parseCertificate } from "../../x509/parse.ts";
import { CliError, ExitStatus, usage } from "../exit.ts";
import type { Command } from "../flags.ts";
import {
  endOf,
  FOLDER_FLAGS,
  KEY_FLAG,
  keyKind,
  LIFETIME_FLAGS,
  NAME_FLAGS,
  namesOf,
  OUTPUT_FLAGS,
  openCa,
  PROFILE_FLAG,
  profileOf,
} from "./flags.ts";
import { about, chainOf, checkForeign, checkFree, describe, fileName, readText, say, writeFiles } from "./output.ts";

export const issueCommand: Command = {
  name: "ca issue",
  synopsis: "NAME",
  summary: "Makes a key and its certificate.",
  description: [
    "NAME becomes the CN, and for the profiles server and both the host name or address as well where none is given. Writes",
    "NAME.pem, the certificate with its chain, and NAME.key.",
    "",
    "exit status: 0 done, 2 usage, 23 cannot write, 58 the CA's key, 77 the CA's folder",
  ].join("\n"),
  positionals: 1,
  flags: [...FOLDER_FLAGS, PROFILE_FLAG, ...NAME_FLAGS, KEY_FLAG, ...LIFETIME_FLAGS, ...OUTPUT_FLAGS],
  examples: [
    "mutls ca issue localhost --profile server --ip 127.0.0.1",
    "mutls ca issue alice --profile client --days 7",
    "mutls ca issue web --profile spiffe --uri spiffe://example.org/web",
  ],
  run: async (args) => {
    const name = args.positionals[0] as string;
    const out = args.get("out") ?? fileName(name);
    const profile = profileOf(args);
    if (profile === "intermediate")
      throw usage("a CA below makes its own key", "mutls ca csr there, mutls ca sign here");
    checkFree(args, [`${out}.pem`, `${out}.key`]);
    const given = namesOf(args);
    const names = countNames(given) === 0 && (profile === "server" || profile === "both") ? hostNames(name) : given;
    const authority = await openCa(args);
    const input = { profile, subject: parseSubject(args.get("subject") ?? name), ...names, notAfter: endOf(args) };
    const issued = await issueFiles(authority, input, keyKind(args), out);
    say(describe(issued), `--cert ${out}.pem --key ${out}.key`);
    return 0;
  },
};

/** A key and its certificate as PREFIX.key and PREFIX.pem: the key first, which alone harms nobody. */
export async function issueFiles(
  authority: CertificateAuthority,
  input: Omit<IssueInput, "spki">,
  kind: KeyKind,
  out: string,
) {
  const key = await generateKeyPair(kind);
  const issued = await authority.issue({ ...input, spki: key.spki });
  await writeFiles({ [`${out}.key`]: await privateKeyPem(key.pkcs8), [`${out}.pem`]: chainOf(authority, issued) });
  return issued;
}

/** Where NAME is a host itself. */
function hostNames(name: string): AlternativeNames {
  if (parseAddress(name) !== undefined) return { ipAddresses: [name] };
  return isDomainName(name.replace(/^\*\./, "").toLowerCase()) ? { dnsNames: [name] } : {};
}

export const renewCommand: Command = {
  name: "ca renew",
  synopsis: "FILE.pem",
  summary: "Issues a certificate like the one in a file, and puts it in its place.",
  description: [
    "Same names, same profile, same key, as long again as the one before. The file is replaced in one step, so that a server",
    "that reads it never sees half of it.",
    "",
    "exit status: 0 done, 2 usage, 23 cannot write, 26 cannot read, 58 the CA's key, 77 the CA's folder",
  ].join("\n"),
  positionals: 1,
  flags: [
    ...FOLDER_FLAGS,
    { name: "rekey", value: "FILE.key", help: "make a new key of the --key kind as well, and write it there" },
    KEY_FLAG,
    ...LIFETIME_FLAGS,
  ],
  examples: ["mutls ca renew www.pem", "mutls ca renew www.pem --rekey www.key --days 30"],
  run: async (args) => {
    const file = args.positionals[0] as string;
    const keyFile = args.get("rekey");
    if (keyFile === undefined && args.has("key")) throw usage("--key needs --rekey: the file for the new key");
    if (keyFile !== undefined && resolve(keyFile) === resolve(file))
      throw usage("--rekey names the certificate's file");
    checkForeign([file, ...(keyFile === undefined ? [] : [keyFile])]);
    const certificate = await certificateIn(file);
    if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(readText(file, "certificate"))) {
      throw usage(`${file} holds a private key too, which would be lost`, "renew a file with the certificate alone");
    }
    const authority = await openCa(args);
    const { serial } = await issuedAs(authority, file, certificate);
    const key = keyFile === undefined ? undefined : await generateKeyPair(keyKind(args));
    const issued = await authority.renew(serial, { spki: key?.spki, notAfter: endOf(args) });
    const own = keyFile === undefined || key === undefined ? {} : { [keyFile]: await privateKeyPem(key.pkcs8) };
    await writeFiles({ ...own, [file]: chainOf(authority, issued) });
    say(describe(issued), file);
    return 0;
  },
};

/** The first certificate in a file. */
export async function certificateIn(file: string): Promise<Certificate> {
  return about(file, ExitStatus.read, async () => {
    const block = readPem(readText(file, "certificate")).find(({ label }) => label === "CERTIFICATE");
    if (block === undefined) throw new CliError(ExitStatus.read, `${file} holds no certificate`);
    return parseCertificate(block.der);
  });
}

/** What the CA knows of a certificate in a file. Others may have chosen the same serial number for theirs. */
export async function issuedAs(
  authority: CertificateAuthority,
  file: string,
  certificate: Certificate,
): Promise<IssuedCertificate> {
  const issued = await authority.find(serialOf(certificate));
  if (!equal(issued.certificate.der, certificate.der)) throw usage(`${file} is not a certificate of this CA's`);
  return issued;
}
