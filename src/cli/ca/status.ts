/** `mutls ca revoke`, `crl`, `list` and `ocsp`: what became of certificates, and saying so. */
import { existsSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { equal } from "../../bytes/bytes.ts";
import { readPem } from "../../bytes/pem.ts";
import { type IssuedCertificate, ocspResponder, ocspServer } from "../../node/ca/index.ts";
import { NAMES } from "../../node/ca/state.ts";
import { parseCrl, REVOCATION_REASONS, type RevocationReason } from "../../x509/crl.ts";
import { formatTarget } from "../address.ts";
import { ExitStatus, usage } from "../exit.ts";
import type { Command } from "../flags.ts";
import { listen, stopped } from "../serve.ts";
import { FOLDER_FLAGS, folderOf, openCa, passphraseOf } from "./flags.ts";
import { certificateIn, issuedAs } from "./issue.ts";
import { describe, namesText, say, timeText } from "./output.ts";

/** Those that a CA gives; the others take a hold back or are not about keys (RFC 5280 5.3.1). */
const REASONS = REVOCATION_REASONS.filter(
  (reason) => reason !== undefined && reason !== "removeFromCRL" && reason !== "certificateHold",
) as readonly RevocationReason[];

export const revokeCommand: Command = {
  name: "ca revoke",
  synopsis: "FILE.pem|SERIAL",
  summary: "Revokes a certificate, and publishes a CRL that says so.",
  description: [
    "For good: there is no way back. Servers see it in crl.pem, which `mutls serve --crlfile` reads, and in the answers of",
    "`mutls ca ocsp`. SERIAL may be the beginning of one.",
    "",
    "exit status: 0 done, 2 usage, 26 cannot read, 58 the CA's key, 77 the CA's folder",
  ].join("\n"),
  positionals: 1,
  flags: [...FOLDER_FLAGS, { name: "reason", value: "WHY", choices: REASONS, help: "unspecified by default" }],
  examples: ["mutls ca revoke alice.pem --reason keyCompromise", "mutls ca revoke 4f3a"],
  run: async (args) => {
    const what = args.positionals[0] as string;
    const certificate = existsSync(what) ? await certificateIn(what) : undefined;
    const authority = await openCa(args);
    const before =
      certificate === undefined ? await authority.find(what) : await issuedAs(authority, what, certificate);
    const issued = await authority.revoke(before.serial, (args.get("reason") ?? "unspecified") as RevocationReason);
    say(
      describe(issued),
      `${before.revocation === undefined ? "published" : "was revoked before; published"}: ${join(folderOf(args), NAMES.crl)}`,
      ...(await authority.list())
        .filter((other) => isGood(other) && equal(other.certificate.publicKey.spki, issued.certificate.publicKey.spki))
        .map((other) => `of the same key, and still good: ${describe(other)}`),
    );
    return 0;
  },
};

/** What renewal leaves in place is revoked only by name. */
function isGood({ certificate, revocation }: IssuedCertificate): boolean {
  return revocation === undefined && certificate.notAfter > Date.now();
}

export const crlCommand: Command = {
  name: "ca crl",
  synopsis: "",
  summary: "Publishes the CRLs anew, before the old ones run out.",
  description: [
    "crl.pem holds those of all the CA's issuers, for --crlfile; issuing.crl and root.crl hold one each in DER, for a web",
    "server. Every `mutls ca revoke` publishes too.",
    "",
    "exit status: 0 done, 2 usage, 58 the CA's key, 77 the CA's folder",
  ].join("\n"),
  positionals: 0,
  flags: FOLDER_FLAGS,
  examples: ["mutls ca crl"],
  run: async (args) => {
    const crls = readPem(await (await openCa(args)).publishCrl()).map(({ der }) => parseCrl(der));
    say(
      ...crls.map(
        ({ issuer, crlNumber, size, nextUpdate }) =>
          `${issuer.text}: number ${crlNumber}, ${size} revoked, the next by ${timeText(nextUpdate as number)}`,
      ),
      join(folderOf(args), NAMES.crl),
    );
    return 0;
  },
};

export const listCommand: Command = {
  name: "ca list",
  synopsis: "",
  summary: "Lists every certificate that was issued.",
  description: [
    "A line for each, the oldest first: serial number, profile, names, and until when it is valid or since when it is not.",
    "With --json one object on each line.",
    "",
    "exit status: 0 done, 2 usage, 77 the CA's folder",
  ].join("\n"),
  positionals: 0,
  flags: [...FOLDER_FLAGS, { name: "json", help: "JSON lines" }],
  examples: ["mutls ca list", "mutls ca list --json | jq 'select(.revoked)'"],
  run: async (args) => {
    const issued = await (await openCa(args)).list();
    if (!args.has("json")) {
      say(...issued.map(describe));
      return 0;
    }
    for (const { serial, profile, certificate, revocation } of issued) {
      const { subject, subjectAltName, issuer, notBefore, notAfter } = certificate;
      say(
        JSON.stringify({
          serial,
          profile,
          subject: subject.text,
          names: namesText(subjectAltName),
          issuer: issuer.text,
          notBefore: timeText(notBefore),
          notAfter: timeText(notAfter),
          revoked: revocation && { at: timeText(revocation.revokedAt), reason: revocation.reason },
        }),
      );
    }
    return 0;
  },
};

export const ocspCommand: Command = {
  name: "ca ocsp",
  synopsis: "",
  summary: "Answers OCSP requests over HTTP until SIGINT or SIGTERM.",
  description: [
    "One line `listening on HOST:PORT` goes to stdout when it does. Every answer is signed afresh from what the folder says at",
    "that moment: with the key of who has issued, or with --cert and --key, a certificate of the profile ocsp, so that the",
    "CA's own keys can be elsewhere. Certificates that are not in the folder are unknown.",
    "",
    "exit status: 0 stopped, 2 usage, 7 cannot listen, 58 the key, 77 the CA's folder",
  ].join("\n"),
  positionals: 0,
  flags: [
    ...FOLDER_FLAGS,
    { name: "host", value: "HOST", help: "address to listen on; 127.0.0.1 by default" },
    { name: "port", value: "PORT", help: "8080 by default; 0 picks a free one" },
    { name: "cert", value: "FILE", help: "the responder's own certificate, PEM" },
    { name: "key", value: "FILE", help: "its private key, PEM, which --pass opens" },
    { name: "minutes", value: "N", help: "how long an answer is good for; 60 by default" },
  ],
  examples: [
    "mutls ca ocsp --port 8080",
    "mutls ca issue responder --profile ocsp && mutls ca ocsp --cert responder.pem --key responder.key",
  ],
  run: async (args) => {
    const [certFile, keyFile] = [args.get("cert"), args.get("key")];
    if ((certFile === undefined) !== (keyFile === undefined)) throw usage("--cert and --key belong together");
    const minutes = args.number("minutes", 1, 60 * 24 * 30) ?? 60;
    const delegate =
      certFile === undefined || keyFile === undefined
        ? {}
        : { delegate: { certFile, keyFile, passphrase: passphraseOf(args) } };
    const respond = await ocspResponder(await openCa(args), { ...delegate, lifetime: minutes * 60_000 }, (error) => {
      process.stderr.write(`mutls: cannot answer: ${(error as Error).message}\n`);
    });
    const server = ocspServer(respond);
    const sockets = new Set<Socket>();
    server.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    });
    const address = await listen(server, args.get("host") ?? "127.0.0.1", args.number("port", 0, 65_535) ?? 8080);
    const end = stopped(server, sockets);
    say(`listening on ${formatTarget(address.address, address.port)}`);
    await end;
    return ExitStatus.ok;
  },
};
