/** `openssl s_client` and `s_server`. */
import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const GROUPS = { secp256r1: "P-256", x25519: "X25519", x448: "X448" };

const EARLY = { client: /^Early data was accepted/m, server: /^Early data received:/m };

function common({ cert, key, ca, groups, exporter, psk, alpn }) {
  const [identity, secret] = psk?.split(":") ?? [];
  return [
    ...["-tls1_3", "-CAfile", ca, "-cert", cert, "-key", key],
    ...(groups ? ["-groups", groups.replace(/\w+/g, (name) => GROUPS[name] ?? name).replace(",", ":")] : []),
    ...(alpn ? ["-alpn", alpn] : []),
    ...(exporter ? ["-keymatexport", exporter, "-keymatexportlen", 32] : []),
    ...(psk ? ["-psk", secret, "-psk_identity", identity] : []),
  ];
}

export const openssl = {
  version: () => execFileSync("openssl", ["version"], { encoding: "utf8" }).split(" ").slice(0, 2).join(" "),
  client(options, connection) {
    const { folder, port, "early-data": early } = options;
    const session = join(folder, "session");
    if (early) writeFileSync(join(folder, "early"), early);
    return [
      "openssl",
      [
        ...["s_client", "-connect", `127.0.0.1:${port}`, "-servername", "localhost", "-verify_hostname", "localhost"],
        ...["-verify_return_error", ...common(options), "-sess_out", session],
        ...(connection > 0 ? ["-sess_in", session] : []),
        ...(connection > 0 && early ? ["-early_data", join(folder, "early")] : []),
      ],
    ];
  },
  server(options) {
    const { port, connections, ca, "early-data": early } = options;
    return [
      "openssl",
      [
        ...["s_server", "-accept", `127.0.0.1:${port}`, "-naccept", connections, "-chainCAfile", ca],
        ...["-Verify", 2, "-verify_return_error"],
        ...common(options),
        ...(early ? ["-early_data"] : []),
      ],
    ];
  },
  updateKeys: { command: "K\n", done: /KEYUPDATE|SSL_do_handshake ->/ },
  ready: /Verify return code|Verify return|read R BLOCK|---\n$/,
  /** A session is written when its ticket has come. */
  async settled(talk, { folder, connections }) {
    if (connections > 1) await talk.until(() => existsSync(join(folder, "session")));
  },
  facts(text, { role, exporter, psk, "early-data": early, connections }) {
    const field = (pattern) => pattern.exec(text)?.[1]?.trim();
    return {
      protocol: field(/^ {4}Protocol {2}: (.*)$/m) ?? field(/(TLSv1\.3), Cipher is/),
      suite: field(/^CIPHER is (.*)$/m) ?? field(/Cipher is (.*)$/m),
      alpn: field(/^ALPN protocols? ?(?:selected)?: (.*)$/m) ?? "",
      ...(connections > 1 ? {} : { peer: field(/^subject=.*CN ?= ?([^,\n]*)$/m) }),
      // An external key counts as a session, too.
      ...(psk ? {} : { resumed: /^Reused/m.test(text) }),
      ...(exporter ? { exporter: field(/Keying material: ([0-9A-F]+)/)?.toLowerCase() } : {}),
      ...(early ? { early: EARLY[role].test(text) && (role === "client" || text.includes(early)) ? early : "" } : {}),
    };
  },
};
