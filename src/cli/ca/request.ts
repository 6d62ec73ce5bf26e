/** `mutls ca csr` and `mutls ca sign`: a request by whoever holds the key, and the certificate for it. */
import { privateKeyPem, readSubjectKey } from "../../node/ca/index.ts";
import { createCertificationRequest } from "../../pki/csr.ts";
import { readCertificationRequest } from "../../pki/csr-read.ts";
import { generateKeyPair } from "../../pki/keys.ts";
import { alternativeNamesOf, countNames, parseSubject, subjectOf } from "../../pki/names.ts";
import { ExitStatus, usage } from "../exit.ts";
import type { Command } from "../flags.ts";
import {
  CONSTRAINT_FLAGS,
  constraintsOf,
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
import {
  about,
  chainOf,
  checkFree,
  describe,
  fileName,
  readBytes,
  readText,
  say,
  withEnding,
  writeFiles,
} from "./output.ts";

export const csrCommand: Command = {
  name: "ca csr",
  synopsis: "NAME",
  summary: "Makes a key and a request for a certificate.",
  description: [
    "NAME becomes the CN. NAME.key stays where it is; NAME.csr goes to the CA. No CA is needed here.",
    "",
    "exit status: 0 done, 2 usage, 23 cannot write, 26 cannot read, 58 the private key",
  ].join("\n"),
  positionals: 1,
  flags: [
    KEY_FLAG,
    { name: "private-key", value: "FILE", help: "a private key that is there already, PEM" },
    { name: "pass", value: "P", help: "pass phrase of the private key; other users see command lines" },
    ...NAME_FLAGS,
    ...OUTPUT_FLAGS,
  ],
  examples: ["mutls ca csr www --dns www.example.com", "mutls ca csr alice --key Ed25519 --email alice@example.com"],
  run: async (args) => {
    const name = args.positionals[0] as string;
    const out = args.get("out") ?? fileName(name);
    const given = args.get("private-key");
    if (given !== undefined && args.has("key"))
      throw usage("--key is for a new key, --private-key names one that is there");
    if (args.get("pass") === "") throw usage("the pass phrase is empty");
    checkFree(args, given === undefined ? [`${out}.key`, `${out}.csr`] : [`${out}.csr`]);
    const key =
      given === undefined
        ? await generateKeyPair(keyKind(args))
        : await about(given, ExitStatus.localCertificate, () =>
            readSubjectKey(readText(given, "private key"), args.get("pass")),
          );
    const subject = parseSubject(args.get("subject") ?? name);
    const request = await createCertificationRequest({ subject, ...namesOf(args) }, key);
    const own = given === undefined ? { [`${out}.key`]: await privateKeyPem(key.pkcs8, args.get("pass")) } : {};
    await writeFiles({ ...own, [`${out}.csr`]: request });
    say(`${out}.csr: to be signed, with \`mutls ca sign\` or by any CA`);
    return 0;
  },
};

export const signCommand: Command = {
  name: "ca sign",
  synopsis: "FILE.csr",
  summary: "Issues the certificate that a request asks for.",
  description: [
    "The request must be signed with the key that it is for. Its subject and its names are taken over unless they are given",
    "here; what the certificate may be used for is the profile's to say, whatever else is asked.",
    "",
    "exit status: 0 done, 2 usage, 23 cannot write, 26 the request cannot be read, 58 the CA's key, 77 the CA's folder",
  ].join("\n"),
  positionals: 1,
  flags: [...FOLDER_FLAGS, PROFILE_FLAG, ...NAME_FLAGS, ...LIFETIME_FLAGS, ...CONSTRAINT_FLAGS, ...OUTPUT_FLAGS],
  examples: [
    "mutls ca sign www.csr --profile server",
    "mutls ca sign branch.csr --profile intermediate --permit dns:branch.example.com",
  ],
  run: async (args) => {
    const file = args.positionals[0] as string;
    const out = args.has("out") ? `${args.get("out")}.pem` : withEnding(file, "pem");
    const profile = profileOf(args);
    checkFree(args, [out]);
    const bytes = readBytes(file, "request");
    const request = await about(file, ExitStatus.read, () => readCertificationRequest(new Uint8Array(bytes)));
    const authority = await openCa(args);
    const given = namesOf(args);
    const subject = args.get("subject");
    const issued = await authority.issue({
      profile,
      spki: request.publicKey.spki,
      subject: subject === undefined ? subjectOf(request.subject) : parseSubject(subject),
      ...(countNames(given) > 0 ? given : alternativeNamesOf(request.subjectAltName)),
      notAfter: endOf(args),
      constraints: constraintsOf(args),
    });
    await writeFiles({ [out]: chainOf(authority, issued) });
    say(describe(issued), out);
    return 0;
  },
};
