/** What each structure, field, extension, alert, state and secret is for, and where it is specified: for people, never for an engine. */
import type { ExtensionContext } from "../codec/extensions.ts";
import type { AlertName, Side } from "../errors.ts";
import type { HandshakeName, StateName } from "../flow.ts";
import type { Epoch, SecretLabel } from "../handshake/io.ts";
import {
  ALERTS,
  CONTENT_TYPES,
  EXTENSION_NOTES,
  type ExtensionNotes,
  FIELDS,
  GENERIC,
  MESSAGES,
  type Note,
  SECRETS,
  STATES,
} from "./notes.ts";

/** One line of teaching. */
export interface Description {
  /** `RFC 8446 4.1.2` */
  readonly section: string;
  readonly note: string;
}

/**
 * A handshake message.
 *
 * @example
 * ```ts
 * console.log(describeMessage("server_hello").section); // RFC 8446 4.1.3
 * ```
 */
export function describeMessage(name: HandshakeName): Description {
  return description(MESSAGES[name]);
}

/**
 * A field of a structure.
 *
 * @param structure - The RFC's name of the struct that the field stands in (`ClientHello`, `KeyShareEntry`), or of the
 * extension whose data it belongs to.
 * @param field - As in the schema; items of lists go by their own names.
 * @returns `undefined` for a field that does not exist.
 * @example
 * ```ts
 * console.log(describeField("ClientHello", "random")?.section); // RFC 8446 4.1.2
 * ```
 */
export function describeField(structure: string, field: string): Description | undefined {
  const note = own(own(FIELDS, structure) ?? {}, field) ?? own(GENERIC, field);
  return note && description(note);
}

/**
 * An extension.
 *
 * @param context - The message it stands in, where that changes its meaning.
 * @returns A plain sentence for extensions that this library does not know.
 * @example
 * ```ts
 * console.log(describeExtension("key_share").section); // RFC 8446 4.2.8
 * ```
 */
export function describeExtension(name: string, context?: ExtensionContext): Description {
  const notes = own(EXTENSION_NOTES as Readonly<Record<string, ExtensionNotes>>, name);
  if (notes === undefined) return description(["4.2", "not known to this library: ignored, as the RFC demands"]);
  const here = context === undefined ? undefined : own(notes.in ?? {}, context);
  return { section: description(notes.note).section, note: here ?? notes.note[1] };
}

/** True for a struct of the RFC, or one of its extensions, whose fields are described. */
export function isStructure(name: string): boolean {
  return Object.hasOwn(FIELDS, name);
}

/**
 * An alert by its name.
 *
 * @example
 * ```ts
 * console.log(describeAlert("unknown_ca").section); // RFC 8446 6.2
 * ```
 */
export function describeAlert(name: AlertName): Description {
  return description(ALERTS[name]);
}

/**
 * A record's content type by its number.
 *
 * @example
 * ```ts
 * console.log(describeContentType(22).section); // RFC 8446 5.1
 * ```
 */
export function describeContentType(code: number): Description {
  return description(CONTENT_TYPES[code] ?? ["5", "not a content type of TLS 1.3"]);
}

/**
 * A state of RFC 8446 Appendix A, seen from one side.
 *
 * @example
 * ```ts
 * console.log(describeState("WAIT_SH", "client").section); // RFC 8446 A.1
 * ```
 */
export function describeState(state: StateName, side: Side): Description {
  return description([side === "client" ? "A.1" : "A.2", STATES[side][state] ?? "not a state of this side"]);
}

/** A secret of the key schedule, named as SSLKEYLOGFILE names it. */
export interface SecretDescription extends Description {
  /** RFC 8446 7.1 */
  readonly name: string;
}

/**
 * What a secret is for.
 *
 * @example
 * ```ts
 * console.log(describeSecret("EXPORTER_SECRET").section); // RFC 8446 7.1
 * ```
 */
export function describeSecret(label: SecretLabel): SecretDescription {
  const [name, note] = SECRETS[label];
  return { name, section: "RFC 8446 7.1", note };
}

/**
 * Which secret protects a record (RFC 8446 7.1, 7.2).
 *
 * @param from - Who sent it.
 * @param generation - KeyUpdates in that direction before it.
 * @returns `undefined` in the initial epoch: nothing does.
 * @example
 * ```ts
 * console.log(secretInForce("handshake", "server", 0)); // server_handshake_traffic_secret
 * ```
 */
export function secretInForce(epoch: Epoch, from: Side, generation: number): string | undefined {
  switch (epoch) {
    case "initial":
      return undefined;
    case "early":
      return "client_early_traffic_secret";
    case "handshake":
      return `${from}_handshake_traffic_secret`;
    case "application":
      return `${from}_application_traffic_secret_${generation}`;
  }
}

function description([section, note]: Note): Description {
  return { section: section.startsWith("RFC") ? section : `RFC 8446 ${section}`, note };
}

function own<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}
