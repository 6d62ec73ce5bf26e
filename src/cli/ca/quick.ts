/** `mutls ca quick`: a CA, a server and a client for this machine, and the two lines that use them. */
import { join } from "node:path";
import type { Command } from "../flags.ts";
import { createCa, FOLDER_FLAGS, folderOf, KEY_FLAG, keyKind } from "./flags.ts";
import { issueFiles } from "./issue.ts";
import { checkFree, describe, say } from "./output.ts";

export const quickCommand: Command = {
  name: "ca quick",
  synopsis: "",
  summary: "Makes a working set for localhost: CA, server, client.",
  description: [
    "All of it in the CA's folder, which must not hold one yet. What it says last can be pasted.",
    "",
    "exit status: 0 done, 2 usage, 23 cannot write, 77 the folder cannot be used",
  ].join("\n"),
  positionals: 0,
  flags: [...FOLDER_FLAGS, KEY_FLAG, { name: "client", value: "NAME", help: "the client's name; alice by default" }],
  examples: ["mutls ca quick", "mutls ca quick --dir /tmp/pki --client bob"],
  run: async (args) => {
    const dir = folderOf(args);
    const name = args.get("client") ?? "alice";
    const files = ["server.key", "server.pem", "client.key", "client.pem"].map((file) => join(dir, file));
    checkFree(args, files, "--dir names another folder");
    const authority = await createCa(args, { key: keyKind(args) });
    const issue = (input: Parameters<typeof issueFiles>[1], file: string) =>
      issueFiles(authority, input, keyKind(args), join(dir, file));
    const hosts = { dnsNames: ["localhost"], ipAddresses: ["127.0.0.1", "::1"] };
    const server = await issue({ profile: "server", subject: "localhost", ...hosts }, "server");
    const client = await issue({ profile: "client", subject: name }, "client");
    const file = (one: string) => quoted(join(dir, one));
    // As it was called itself.
    const mutls = process.env.npm_command === "exec" ? "npx mutls" : "mutls";
    const trust = `--cacert ${file("root.pem")}`;
    say(
      describe(server),
      describe(client),
      "",
      "in one terminal, and in another:",
      `${mutls} serve --port 8443 --cert ${file("server.pem")} --key ${file("server.key")} ${trust} --crlfile ${file("crl.pem")} --client-auth on`,
      `echo 'GET / HTTP/1.0' | ${mutls} connect localhost:8443 ${trust} --cert ${file("client.pem")} --key ${file("client.key")}`,
    );
    return 0;
  },
};

/** As a shell takes it for one word. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
