/** What this library and `openssl verify` make of a chain. */
import { execFile } from "node:child_process";
import { writePem } from "../../src/bytes/pem.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import { TlsError } from "../../src/errors.ts";
import { settle } from "../../src/flow.ts";
import { parseAddress } from "../../src/x509/address.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { trustVerifier } from "../../src/x509/verifier.ts";
import type { PemFiles } from "../support/pem-files.ts";
import type { Question } from "./chains.ts";
import { NOW } from "./maker.ts";

/** `ok`, or the code of the error; anything but a TlsError is a fault of ours. */
export function mutlsVerdict({ sent, trusted, name, role }: Question): string {
  try {
    const verifier = trustVerifier({ trust: trustStore(trusted) });
    const wanted = role === "server" ? name : undefined;
    const request = { certificates: sent, role, name: wanted, time: NOW, provider: nodeProvider } as const;
    const identity = settle(verifier.verify(request));
    if (identity instanceof Promise) throw new Error("the node provider is not synchronous");
    return "ok";
  } catch (error) {
    if (error instanceof TlsError) return error.code;
    throw error;
  }
}

/** `ok`, `malformed`, or the first error that OpenSSL finds, in its words. */
export async function opensslVerdict({ sent, trusted, name, role }: Question, files: PemFiles): Promise<string> {
  const file = (certificates: readonly Uint8Array[]) =>
    files.path(certificates.map((der) => writePem("CERTIFICATE", der)).join(""));
  const [leaf, ...others] = sent as [Uint8Array, ...Uint8Array[]];
  const address = parseAddress(name) !== undefined;
  const host = role === "server" ? [address ? "-verify_ip" : "-verify_hostname", name] : [];
  const said = await run([
    "verify",
    ...["-attime", String(NOW / 1000)],
    ...["-purpose", role === "server" ? "sslserver" : "sslclient"],
    // Level 2: 112 bits of security, as is the default here.
    ...["-auth_level", "2"],
    // Any policy will do, as with us where none is asked for.
    ...["-policy", "anyPolicy"],
    ...host,
    ...["-no-CApath", "-no-CAstore", "-CAfile", file(trusted)],
    ...(others.length === 0 ? [] : ["-untrusted", file(others)]),
    file([leaf]),
  ]);
  if (/: OK$/m.test(said)) return "ok";
  const error = /^error \d+ at \d+ depth lookup: (.*)$/m.exec(said)?.[1];
  if (error !== undefined) return error;
  if (/unable to load|could not (read|find)|error loading/i.test(said)) return "malformed";
  throw new Error(`openssl said what is not understood: ${said}`);
}

/** Both outputs. That it ends with an error is an answer too. */
function run(options: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile("openssl", options, { encoding: "utf8" }, (_, stdout, stderr) => resolve(stdout + stderr));
  });
}
