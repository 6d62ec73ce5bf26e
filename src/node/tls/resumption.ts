/** Resumption in node:tls's shape: sessions as Buffers that the application keeps, and ticket keys that servers share. */
import { hkdfSync, randomBytes } from "node:crypto";
import { concat, equal } from "../../bytes/bytes.ts";
import { nodeProvider } from "../../crypto/node.ts";
import { type SealedTickets, sealedTickets } from "../../engine/resumption.ts";
import { TlsError } from "../../errors.ts";
import type { Identity } from "../../handshake/identity.ts";
import { decodeSession, encodeSession, type Session } from "../../handshake/session.ts";
import { argumentError } from "./errors.ts";

const TICKET_KEYS_LENGTH = 48;

/** A server's keys for stateless tickets. */
export class TicketKeys {
  readonly store: SealedTickets;
  #bytes: Buffer | undefined;

  /** @param bytes - 48, shared by servers that resume each other's sessions. Left out: keys of this context, which rotate. */
  constructor(bytes: unknown) {
    this.store = sealedTickets();
    if (bytes !== undefined && bytes !== null) this.bytes = bytes as Buffer;
  }

  /** Asked for where none were given, they are made, and what was issued before is not resumed. */
  get bytes(): Buffer {
    if (this.#bytes === undefined) this.bytes = randomBytes(TICKET_KEYS_LENGTH);
    return Buffer.from(this.#bytes as Buffer);
  }

  set bytes(value: Buffer) {
    if (!ArrayBuffer.isView(value)) throw argumentError("ERR_INVALID_ARG_TYPE", "ticket keys are bytes");
    if (value.byteLength !== TICKET_KEYS_LENGTH) {
      throw argumentError("ERR_INVALID_ARG_VALUE", "Session ticket keys must be a 48-byte buffer");
    }
    const bytes = Buffer.from(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
    this.store.setKeys([new Uint8Array(hkdfSync("sha256", bytes, "", "mutls ticketKeys", 32))]);
    this.#bytes = bytes;
  }
}

/** What an application gets to keep: which certificates this side had, and the session. Holds a secret. */
export function sessionBytes(session: Session, identities: readonly Identity[]): Buffer<ArrayBuffer> {
  return Buffer.from(concat(fingerprint(identities), encodeSession(session)));
}

/**
 * The session that an application gives back; `undefined` for one that this side's other certificates began, so that it
 * never speaks in their name, and for bytes that are none, which node:tls does not resume either.
 */
export function sessionOf(bytes: unknown, identities: readonly Identity[]): Session | undefined {
  const all = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
  if (!ArrayBuffer.isView(all)) throw argumentError("ERR_INVALID_ARG_TYPE", "a session is a Buffer");
  const view = new Uint8Array(all.buffer, all.byteOffset, all.byteLength);
  const own = fingerprint(identities);
  if (!equal(view.subarray(0, own.length), own)) return undefined;
  try {
    return decodeSession(view.subarray(own.length));
  } catch (error) {
    if (error instanceof TlsError && error.code === "ERR_TLS_DECODE_ERROR") return undefined;
    throw error;
  }
}

function fingerprint(identities: readonly Identity[]): Uint8Array {
  const { sha256 } = nodeProvider.hashes;
  return sha256.digest(concat(...identities.map(({ certificates }) => sha256.digest(concat(...certificates)))));
}
