/** `gnutls-cli` and `gnutls-serv`. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const GROUPS = {
  secp256r1: "SECP256R1",
  secp384r1: "SECP384R1",
  secp521r1: "SECP521R1",
  x25519: "X25519",
  x448: "X448",
  ffdhe2048: "FFDHE2048",
  ffdhe3072: "FFDHE3072",
};

function common({ cert, key, ca, groups, exporter, psk, alpn, compress }) {
  const wanted = groups?.split(",").map((name) => `:+GROUP-${GROUPS[name]}`) ?? [];
  const only = wanted.length > 0 ? `:-GROUP-ALL${wanted.join("")}` : "";
  const keys = psk ? ":+DHE-PSK:+PSK" : "";
  return [
    `--priority=NORMAL:-VERS-ALL:+VERS-TLS1.3${only}${keys}`,
    `--x509cafile=${ca}`,
    `--x509certfile=${cert}`,
    `--x509keyfile=${key}`,
    ...(alpn ? [`--alpn=${alpn}`] : []),
    ...(exporter ? [`--keymatexport=${exporter}`, "--keymatexportsize=32"] : []),
    ...(compress ? [`--compress-cert=${compress}`] : []),
  ];
}

export const gnutls = {
  version: () =>
    execFileSync("gnutls-cli", ["--version"], { encoding: "utf8" }).split("\n")[0].replace("gnutls-cli", "GnuTLS"),
  client(options) {
    const { folder, port, connections, psk, "early-data": early } = options;
    if (early) writeFileSync(join(folder, "early"), early);
    const [identity, secret] = psk?.split(":") ?? [];
    return [
      "gnutls-cli",
      [
        ...[...common(options), `--port=${port}`, "--single-key-share"],
        ...(connections > 1 ? ["--resume", "--waitresumption"] : []),
        ...(early ? [`--earlydata=${join(folder, "early")}`] : []),
        ...(options["key-update"] ? ["--inline-commands"] : []),
        ...(psk ? [`--pskusername=${identity}`, `--pskkey=${secret}`] : []),
        "localhost",
      ],
    ];
  },
  server(options) {
    const { folder, port, psk, "early-data": early } = options;
    if (psk) writeFileSync(join(folder, "psk"), `${psk}\n`);
    return [
      "gnutls-serv",
      [
        ...[...common(options), `--port=${port}`, "--echo", "--require-client-cert", "--verify-client-cert"],
        ...(early ? ["--earlydata", "--maxearlydata=16384"] : []),
        ...(psk ? [`--pskpasswd=${join(folder, "psk")}`] : []),
      ],
    ];
  },
  echoes: true,
  reconnects: true,
  updateKeys: { command: "^rekey^\n", done: /rekey/i },
  ready: /- Simple Client Mode:/,
  /** It does not say when a connection is over. */
  over: /received cmd: second/,
  facts(text, { exporter }) {
    // Of several connections the last.
    const last = (pattern) => [...text.matchAll(pattern)].at(-1)?.[1]?.trim();
    return {
      protocol: last(/^- Description: \((TLS1\.3)/gm)?.replace("TLS", "TLSv"),
      alpn: last(/^- Application protocol: (.*)$/gm) ?? "",
      peer: last(/^ - subject `CN=([^']*)'/gm) ?? last(/^\tSubject: CN=(.*)$/gm),
      ...(exporter ? { exporter: last(/^- Key material: ([0-9a-f]+)/gm) } : {}),
    };
  },
};
