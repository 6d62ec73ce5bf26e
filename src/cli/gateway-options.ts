/** What the flags of `mutls gateway` mean to a gateway. */
import { readFileSync } from "node:fs";
import { readPem } from "../bytes/pem.ts";
import { TlsError } from "../errors.ts";
import {
  compilePolicy,
  type Expiries,
  type IdentityFieldOptions,
  type Policy,
  type UpstreamOptions,
} from "../gateway/index.ts";
import type { Identity, IdentityOptions } from "../node/index.ts";
import { parseCrl } from "../x509/crl.ts";
import { CliError, ExitStatus, usage } from "./exit.ts";
import { loadIdentities, loadTrust } from "./files.ts";
import { Arguments } from "./flags.ts";
import { negotiationOptions } from "./tls-flags.ts";

/** `HOST:PORT`, with port 0 for a free one. */
export function listenAddress(text: string, flag: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:[\]/]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 0xffff) throw usage(`--${flag}: "${text}" is not HOST:PORT`);
  return { host, port };
}

/** The policy of `--policy`. */
export function loadPolicy(args: Arguments): Policy {
  const file = args.get("policy") ?? "";
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new CliError(ExitStatus.read, `cannot read the policy: ${(error as Error).message}`);
  }
  try {
    return compilePolicy(text);
  } catch (error) {
    if (error instanceof TlsError) throw usage(`${file}: ${error.detail ?? error.message}`);
    throw error;
  }
}

/** The server behind of `--upstream` and its flags. */
export async function upstreamOption(args: Arguments): Promise<UpstreamOptions> {
  const text = args.get("upstream") ?? "";
  const own = ["upstream-cacert", "upstream-cert", "upstream-key", "upstream-servername"].find((flag) =>
    args.has(flag),
  );
  const [, scheme = "", path = ""] = /^(unix|https?):(.+)$/.exec(text) ?? [];
  if (own !== undefined && scheme !== "https") throw usage(`--${own} without an https --upstream`);
  if (scheme === "unix") return { socketPath: path };
  const match = /^\/\/(?:\[([^\]]+)\]|([^:[\]/@]+))(?::(\d{1,5}))?\/?$/.exec(path);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined) {
    const hint = "such as http://127.0.0.1:3000, unix:/run/app.sock or https://app.internal:8443, without a path";
    throw usage(`--upstream: "${text}" is no server`, hint);
  }
  const port = Number(match?.[3] ?? (scheme === "https" ? 443 : 80));
  if (scheme === "http") return { host, port };
  if (!args.has("upstream-cacert"))
    throw usage("an https --upstream needs --upstream-cacert: the CAs that issue for it");
  const behind = new Arguments(
    new Map([
      ["cert", args.all("upstream-cert")],
      ["key", args.all("upstream-key")],
      ["cacert", args.all("upstream-cacert")],
    ]),
    [],
  );
  const { provider } = negotiationOptions(args);
  const tls = {
    provider,
    trust: loadTrust(behind),
    identities: await loadIdentities(behind, provider),
    serverName: args.get("upstream-servername") ?? host,
  };
  return { host, port, tls };
}

/** Words of `--identity`, and what they mean; with a field's name behind `=` where there is one. */
const IDENTITY_WORDS: Readonly<Record<string, keyof IdentityFieldOptions>> = {
  "client-cert": "clientCert",
  "client-cert-chain": "clientCertChain",
  xfcc: "xfcc",
  subject: "subject",
  spiffe: "spiffeId",
  roles: "roles",
};
const NAMED = ["subject", "spiffe", "roles"];

/** The fields of `--identity`. */
export function identityOption(args: Arguments): IdentityFieldOptions | undefined {
  const list = args.list("identity", /,/);
  if (list === undefined) return undefined;
  if (list.length === 1 && list[0] === "none") return { clientCert: false };
  const options: Record<string, string | boolean> = { clientCert: false };
  for (const entry of list) {
    const [word = "", field] = entry.split("=", 2);
    const name = Object.hasOwn(IDENTITY_WORDS, word) ? IDENTITY_WORDS[word] : undefined;
    if (name === undefined || NAMED.includes(word) !== (field !== undefined)) {
      const words = Object.keys(IDENTITY_WORDS).map((known) => (NAMED.includes(known) ? `${known}=FIELD` : known));
      throw usage(`--identity: "${entry}" is none of ${words.join(", ")}`);
    }
    options[name] = field ?? true;
  }
  return options;
}

/** When the certificates and CRLs of the files end. */
export function expiriesOf(args: Arguments, identities: readonly (Identity | IdentityOptions)[]): Expiries {
  const leaves = identities.flatMap((identity) => ("parsed" in identity ? identity.parsed.slice(0, 1) : []));
  const crls = args.all("crlfile").flatMap((file) => {
    const content = new Uint8Array(readFileSync(file));
    const ders = content[0] === 0x30 ? [content] : readPem(content).map(({ der }) => der);
    return ders.flatMap((der) => parseCrl(der).nextUpdate ?? []);
  });
  return {
    certificates: leaves.map(({ subject, subjectAltName, notAfter }) => ({
      name: subjectAltName?.dns[0] ?? (subject.text || "(no name)"),
      notAfter,
    })),
    crls: crls.map((nextUpdate) => ({ nextUpdate })),
  };
}
