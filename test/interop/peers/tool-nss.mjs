/** NSS's `tstclnt` and `selfserv`. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";

const GROUPS = {
  secp256r1: "P256",
  secp384r1: "P384",
  secp521r1: "P521",
  x25519: "x25519",
  ffdhe2048: "FF2048",
  ffdhe3072: "FF3072",
};

function common({ folder, port, groups, exporter, psk }) {
  const [identity, secret] = psk?.split(":") ?? [];
  return [
    ...["-d", `sql:${folder}`, "-p", port, "-V", "tls1.3:tls1.3"],
    ...(groups ? ["-I", groups.replace(/\w+/g, (name) => GROUPS[name])] : []),
    ...(exporter ? ["-x", `${exporter}:32`] : []),
    ...(psk ? ["-z", `0x${secret}:${identity}`] : []),
  ];
}

export const nss = {
  version: () =>
    `NSS ${execFileSync("dpkg-query", ["-W", "-f", "$" + "{Version}", "libnss3-tools"], { encoding: "utf8" }).replace(/^\d+:|-.*$/g, "")}`,
  /** A key database with the CA and the identity. */
  prepare({ folder, cert, key, ca }) {
    const quiet = { stdio: ["ignore", "ignore", "pipe"] };
    const database = ["-d", `sql:${folder}`];
    execFileSync("certutil", ["-N", ...database, "--empty-password"], quiet);
    execFileSync("certutil", ["-A", ...database, "-n", "ca", "-t", "CT,C,", "-a", "-i", ca], quiet);
    const bundle = join(folder, "own.p12");
    const pack = ["pkcs12", "-export", "-in", cert, "-inkey", key, "-name", "own", "-passout", "pass:", "-out", bundle];
    execFileSync("openssl", pack, quiet);
    execFileSync("pk12util", ["-i", bundle, ...database, "-W", ""], quiet);
  },
  client(options) {
    const { folder, connections, "early-data": early } = options;
    return [
      "tstclnt",
      [
        ...["-h", "localhost", "-4", "-n", "own", "-f", "-A", join(folder, "lines"), ...common(options)],
        ...(connections > 1 ? ["-L", connections] : []),
        ...(early ? ["-Z"] : []),
      ],
    ];
  },
  server(options) {
    const { alpn, "early-data": early } = options;
    return [
      "selfserv",
      [
        ...["-e", "own", "-u", "-v", ...common(options)],
        ...(options.psk ? [] : ["-r", "-r"]),
        ...(alpn ? ["-Q"] : []),
        ...(early ? ["-Z"] : []),
      ],
    ];
  },
  echoes: true,
  reconnects: true,
  /** ms for which a new server, which cannot know what was sent before, refuses early data. */
  quarantine: 10_500,
  /** It takes no end of a pipe for the end. */
  readsFile: true,
  ready: /^/,
  over: /stateless resumes, .*\n/,
  facts(text, { exporter }) {
    const field = (pattern) => pattern.exec(text)?.[1]?.trim();
    return {
      peer: field(/subject DN: CN=(.*)/),
      ...(exporter ? { exporter: field(/Keying Material:\s+((?:[0-9a-f]{2}:?\s*){32})/)?.replace(/[:\s]/g, "") } : {}),
    };
  },
};
