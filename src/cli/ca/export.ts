/** `mutls ca export`: certificate, chain and key as one PKCS#12 file, for browsers, Windows and Java. */
import { readPem } from "../../bytes/pem.ts";
import { TlsError } from "../../errors.ts";
import { readPrivateKey } from "../../pki/pkcs8.ts";
import { type Pkcs12Mac, writePkcs12 } from "../../pki/pkcs12.ts";
import { CliError, ExitStatus, usage } from "../exit.ts";
import type { Command } from "../flags.ts";
import { about, checkFree, readText, say, withEnding, writeFiles } from "./output.ts";

const MACS: readonly Pkcs12Mac[] = ["sha256", "sha1", "pbmac1"];

export const exportCommand: Command = {
  name: "ca export",
  synopsis: "FILE.pem",
  summary: "Puts certificate, chain and key into one PKCS#12 file.",
  description: [
    "For what wants its certificates that way: browsers, Windows, Java. FILE.key is the key unless --key names another. No CA",
    "is needed here; --cacert adds the root, for who is to trust it too.",
    "",
    "exit status: 0 done, 2 usage, 23 cannot write, 26 cannot read, 58 the private key",
  ].join("\n"),
  positionals: 1,
  flags: [
    { name: "key", value: "FILE", help: "the private key, PEM" },
    { name: "key-pass", value: "P", help: "pass phrase of the key" },
    {
      name: "pass",
      value: "P",
      help: "pass phrase of the new file; other users see command lines, so MUTLS_CA_PASS may hold it",
    },
    { name: "name", value: "NAME", help: "what people call it" },
    { name: "cacert", value: "FILE", help: "a root to add, PEM" },
    { name: "mac", value: "NAME", choices: MACS, help: "sha256 by default; sha1 for old readers, pbmac1 for new ones" },
    { name: "out", value: "FILE", help: "FILE.p12 by default" },
    { name: "force", help: "write over a file that is there" },
  ],
  examples: [
    "mutls ca export alice.pem --pass …",
    "mutls ca export alice.pem --cacert mutls-ca/root.pem --name 'Alice, work' --pass …",
  ],
  run: async (args) => {
    const file = args.positionals[0] as string;
    const keyFile = args.get("key") ?? withEnding(file, "key");
    const out = args.get("out") ?? withEnding(file, "p12");
    const passphrase = args.get("pass") ?? process.env.MUTLS_CA_PASS;
    if (passphrase === undefined || passphrase === "") throw usage("--pass is missing: a PKCS#12 file needs one");
    checkFree(args, [out]);
    const cert = readText(file, "certificate");
    const key = await about(keyFile, ExitStatus.localCertificate, () =>
      readPrivateKey(readText(keyFile, "private key"), args.get("key-pass")),
    );
    const root = args.get("cacert");
    const certificates = root === undefined ? [] : await about(root, ExitStatus.caFile, async () => rootsIn(root));
    const contents = { identities: [{ cert, key, friendlyName: args.get("name") }], certificates };
    const bytes = await writePkcs12(contents, passphrase, { mac: (args.get("mac") ?? "sha256") as Pkcs12Mac }).catch(
      (error: unknown) => {
        if (!(error instanceof TlsError)) throw error;
        throw new CliError(ExitStatus.localCertificate, `${file}: ${error.detail ?? error.message}`);
      },
    );
    await writeFiles({ [out]: bytes });
    say(out);
    return 0;
  },
};

function rootsIn(file: string): { cert: Uint8Array }[] {
  return readPem(readText(file, "CA file")).flatMap(({ label, der }) =>
    label === "CERTIFICATE" ? [{ cert: der }] : [],
  );
}
