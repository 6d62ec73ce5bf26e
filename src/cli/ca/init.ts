/** `mutls ca init`: a new CA. */
import { parseSubject } from "../../pki/names.ts";
import { usage } from "../exit.ts";
import type { Command } from "../flags.ts";
import {
  CONSTRAINT_FLAGS,
  constraintsOf,
  createCa,
  FOLDER_FLAGS,
  folderOf,
  KEY_FLAG,
  keyKind,
  lifetimeOf,
} from "./flags.ts";
import { say, timeText } from "./output.ts";

export const initCommand: Command = {
  name: "ca init",
  synopsis: "",
  summary: "Makes a CA: a root, and an intermediate that issues.",
  description: [
    "The folder holds everything: root.pem, which others must trust, the keys (for their owner's eyes, encrypted with",
    "--pass), every certificate ever issued, and crl.pem. Once it is set up, root.key may be kept elsewhere; it is needed",
    "again for --profile intermediate and to renew the root's own CRL.",
    "",
    "exit status: 0 done, 2 usage, 77 the folder cannot be used",
  ].join("\n"),
  positionals: 0,
  flags: [
    ...FOLDER_FLAGS,
    { name: "name", value: "NAME", help: "CN of the root, or a subject like /O=Example/CN=root; mutls CA by default" },
    KEY_FLAG,
    { name: "days", value: "N", help: "how long the root lives, ten years by default; the intermediate half as long" },
    {
      name: "intermediate",
      value: "YES",
      choices: ["yes", "no"],
      help: "no: the root itself issues",
    },
    ...CONSTRAINT_FLAGS,
    { name: "crl-days", value: "N", help: "how long a CRL is good for; 7 by default" },
    { name: "crl-url", value: "URL", repeat: true, help: "where issuing.crl will be served, for what is issued" },
    { name: "ocsp-url", value: "URL", repeat: true, help: "where mutls ca ocsp will be reached, for what is issued" },
    { name: "issuer-url", value: "URL", repeat: true, help: "where the issuer's certificate will be served" },
  ],
  examples: [
    "mutls ca init --name 'Example root'",
    "mutls ca init --key P-384 --permit dns:example.com --permit ip:10.0.0.0/8 --pass …",
  ],
  run: async (args) => {
    const crlDays = args.number("crl-days", 1, 3650);
    if (args.get("name") === "") throw usage("--name is empty");
    const authority = await createCa(args, {
      name: parseSubject(args.get("name") ?? "mutls CA"),
      key: keyKind(args),
      lifetime: lifetimeOf(args),
      intermediate: args.get("intermediate") !== "no",
      constraints: constraintsOf(args),
      crlLifetime: crlDays === undefined ? undefined : crlDays * 86_400_000,
      crlUrls: args.all("crl-url"),
      ocspUrls: args.all("ocsp-url"),
      issuerUrls: args.all("issuer-url"),
    });
    say(
      ...[...authority.certificates]
        .reverse()
        .map(({ certificate }) => `${certificate.subject.text}, until ${timeText(certificate.notAfter)}`),
      `to be trusted: ${folderOf(args)}/root.pem`,
      `revoked:       ${folderOf(args)}/crl.pem`,
    );
    return 0;
  },
};
