/** A capture and its key log in one file. */
import { concat } from "../../bytes/bytes.ts";
import { KeyLogSecrets } from "../passive/key-log.ts";
import { decryptionSecrets, enhancedPacket, interfaceDescription, sectionHeader } from "./blocks.ts";
import { clientRandoms } from "./inspect.ts";
import { readPackets } from "./packets.ts";

/**
 * The same packets as pcapng, with the secrets of its own connections inside: whoever has the file can read everything in it. Of what else a
 * capture may hold (comments, names, statistics) nothing is kept.
 *
 * @param file - pcap or pcapng.
 * @param keyLog - SSLKEYLOGFILE lines; those about other connections are left out.
 * @param write - Gets the file piece by piece.
 * @returns How many connections the secrets are for.
 * @throws TlsError `ERR_TLS_CAPTURE` when the capture cannot be read or is beyond a limit; by then nothing is written.
 * @example
 * ```ts
 * const chunks: Uint8Array[] = [];
 * createCaptureWriter({ write: (bytes) => chunks.push(bytes) }).connection({ side: "client" }).end();
 * const parts: Uint8Array[] = [];
 * console.log(embedKeyLog(concat(...chunks), "", (bytes) => parts.push(bytes))); // 0
 * ```
 */
export function embedKeyLog(file: Uint8Array, keyLog: string, write: (bytes: Uint8Array) => void): number {
  const secrets = new KeyLogSecrets();
  secrets.add(keyLog);
  // A first time for the secrets, wherever in the file they stand, and for what is wrong with it.
  readPackets(file, { packet: () => {}, keyLog: (text) => secrets.add(text), note: () => {} });
  const lines = clientRandoms(file)
    .map((random) => secrets.lines(random))
    .filter((text) => text !== "");
  write(lines.length === 0 ? sectionHeader() : concat(sectionHeader(), decryptionSecrets(lines.join(""))));
  const interfaces = new Map<number, number>();
  let last = 0n;
  readPackets(file, {
    keyLog: () => {},
    note: () => {},
    packet: ({ linkType, time = last, bytes, length }) => {
      last = time;
      let number = interfaces.get(linkType);
      if (number === undefined) {
        number = interfaces.size;
        interfaces.set(linkType, number);
        write(interfaceDescription(linkType));
      }
      write(enhancedPacket(number, time, bytes, length));
    },
  });
  return lines.length;
}
