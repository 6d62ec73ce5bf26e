/** `--psk` and `--psk-modes`. */
import { fromHex } from "../bytes/hex.ts";
import type { PskOptions } from "../engine/index.ts";
import type { PskMode } from "../handshake/psk.ts";
import { usage } from "./exit.ts";
import type { Arguments } from "./flags.ts";

/** Read from its end, since names may hold colons. */
const PSK = /^(?<identity>[\s\S]+?):(?<key>(?:[0-9a-f]{2})+)(?::(?<hash>sha256|sha384))?$/i;

/** The keys of `--psk ID:HEX[:sha384]`. */
export function psks(args: Arguments): readonly PskOptions[] {
  const found = args.all("psk").map((text) => {
    const { identity, key, hash } = PSK.exec(text)?.groups ?? {};
    // The text itself may hold a key: it is not repeated.
    if (identity === undefined || key === undefined) {
      throw usage(
        "--psk: not NAME:KEY or NAME:KEY:sha384, with the key in hexadecimal",
        "such as --psk bob:$(openssl rand -hex 32)",
      );
    }
    if (key.length < 32) {
      throw usage(`--psk: the key of ${identity} has ${key.length / 2} bytes, and 16 is the least (RFC 9257 4.2)`);
    }
    return { identity, key: fromHex(key), hash: hash?.toLowerCase() as PskOptions["hash"] };
  });
  const names = found.map(({ identity }) => identity);
  const twice = names.find((name, index) => names.indexOf(name) < index);
  if (twice !== undefined) throw usage(`--psk: ${twice} is given twice`);
  return found;
}

const MODES: ReadonlyMap<string, PskMode> = new Map([
  ["dhe", "psk_dhe_ke"],
  ["ke", "psk_ke"],
]);

/** The modes of `--psk-modes`. */
export function pskModes(args: Arguments): readonly PskMode[] | undefined {
  const modes = args.list("psk-modes")?.map((name) => {
    const mode = MODES.get(name);
    if (mode === undefined) throw usage(`--psk-modes: ${name} is not ${[...MODES.keys()].join(" or ")}`);
    return mode;
  });
  return modes && [...new Set(modes)];
}
