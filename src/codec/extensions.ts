/** One table: extension × messages in which it may appear × schema (RFC 9846 4.3, RFC 8446 4.2). */
import type { Reader } from "../bytes/reader.ts";
import { Reader as BoundedReader } from "../bytes/reader.ts";
import { fault } from "../errors.ts";
import {
  CertificateCompressionAlgorithm,
  CertificateStatusType,
  NamedGroup,
  NameType,
  ProtocolVersion,
  PskKeyExchangeMode,
  type Registry,
  SignatureScheme,
} from "./registry.ts";
import {
  assertBounds,
  boundedLength,
  empty,
  list,
  opaque,
  rest,
  type Schema,
  struct,
  uint,
  type ValueOf,
} from "./schema.ts";

/** The messages that carry extensions, as RFC 8446 4.2 abbreviates them. */
export type ExtensionContext = "CH" | "SH" | "HRR" | "EE" | "CT" | "CR" | "NST";

const uint8 = uint(1);
const uint16 = uint(2);
const group = uint(2, NamedGroup);
const version = uint(2, ProtocolVersion);
const schemes = list(uint(2, SignatureScheme), "scheme", 2, 0xfffe);

const serverNameList = list(
  struct("ServerName", { name_type: uint(1, NameType), host_name: opaque(1, 0xffff, true) }),
  "server_name",
  1,
  0xffff,
);
const protocolNameList = list(opaque(1, 0xff, true), "protocol_name", 2, 0xffff);
/** RFC 8446 4.2.8 */
const KeyShareEntry = /* @__PURE__ */ struct("KeyShareEntry", { group, key_exchange: opaque(1, 0xffff) });
const certificateStatusRequest = struct("CertificateStatusRequest", {
  status_type: uint(1, CertificateStatusType),
  responder_id_list: list(opaque(1, 0xffff), "responder_id", 0, 0xffff),
  request_extensions: opaque(0, 0xffff),
});
const certificateStatus = struct("CertificateStatus", {
  status_type: uint(1, CertificateStatusType),
  response: opaque(1, 0xffffff),
});
/** RFC 8879 3 */
const compressions = list(uint(2, CertificateCompressionAlgorithm), "algorithm", 2, 0xfe);
const offeredPsks = struct("OfferedPsks", {
  identities: list(
    struct("PskIdentity", { identity: opaque(1, 0xffff), obfuscated_ticket_age: uint(4) }),
    "identity",
    7,
    0xffff,
  ),
  binders: list(opaque(32, 255), "binder", 33, 0xffff),
});
/** RFC 8446 4.2.11 */
export type OfferedPsks = ValueOf<typeof offeredPsks>;
const oidFilters = list(
  struct("OIDFilter", { certificate_extension_oid: opaque(1, 0xff), certificate_extension_values: opaque(0, 0xffff) }),
  "filter",
  0,
  0xffff,
);

interface Row {
  readonly code: number;
  readonly in: Readonly<Partial<Record<ExtensionContext, Schema<unknown>>>>;
  /** Of TLS 1.2 and older: elsewhere than in a ClientHello it counts as unknown. */
  readonly legacy?: true;
}

function row<F extends Readonly<Partial<Record<ExtensionContext, unknown>>>>(
  code: number,
  forms: { readonly [K in keyof F]: Schema<F[K]> },
): { readonly code: number; readonly in: { readonly [K in keyof F]: Schema<F[K]> } } {
  return { code, in: forms };
}

function legacy<T>(
  code: number,
  form: Schema<T>,
): { readonly code: number; readonly in: { readonly CH: Schema<T> }; readonly legacy: true } {
  return { code, in: { CH: form }, legacy: true };
}

/** The table. `rest` marks content that is carried but not looked into here. */
export const EXTENSIONS = {
  server_name: row(0, { CH: serverNameList, EE: empty, CR: rest }),
  max_fragment_length: row(1, { CH: uint8, EE: uint8 }),
  status_request: row(5, { CH: certificateStatusRequest, CR: empty, CT: certificateStatus }),
  supported_groups: row(10, { CH: list(group, "group", 2, 0xffff), EE: list(group, "group", 2, 0xffff) }),
  ec_point_formats: legacy(11, opaque(1, 0xff)),
  signature_algorithms: row(13, { CH: schemes, CR: schemes }),
  use_srtp: row(14, { CH: rest, EE: rest }),
  heartbeat: row(15, { CH: uint8, EE: uint8 }),
  application_layer_protocol_negotiation: row(16, { CH: protocolNameList, EE: protocolNameList }),
  signed_certificate_timestamp: row(18, { CH: empty, CR: empty, CT: list(opaque(1, 0xffff), "sct", 1, 0xffff) }),
  client_certificate_type: row(19, { CH: list(uint8, "type", 1, 0xff), EE: uint8 }),
  server_certificate_type: row(20, { CH: list(uint8, "type", 1, 0xff), EE: uint8 }),
  padding: row(21, { CH: rest }),
  encrypt_then_mac: legacy(22, rest),
  extended_master_secret: legacy(23, rest),
  compress_certificate: row(27, { CH: compressions, CR: compressions }),
  record_size_limit: row(28, { CH: uint16, EE: uint16 }),
  tls_cert_with_extern_psk: row(33, { CH: empty, SH: empty }),
  delegated_credential: row(34, { CH: schemes, CR: schemes, CT: rest }),
  session_ticket: legacy(35, rest),
  pre_shared_key: row(41, { CH: offeredPsks, SH: uint16 }),
  early_data: row(42, { CH: empty, EE: empty, NST: uint(4) }),
  supported_versions: row(43, { CH: list(version, "version", 2, 254), SH: version, HRR: version }),
  cookie: row(44, { CH: opaque(1, 0xffff), HRR: opaque(1, 0xffff) }),
  psk_key_exchange_modes: row(45, { CH: list(uint(1, PskKeyExchangeMode), "mode", 1, 255) }),
  certificate_authorities: row(47, {
    CH: list(opaque(1, 0xffff), "distinguished_name", 3, 0xffff),
    CR: list(opaque(1, 0xffff), "distinguished_name", 3, 0xffff),
  }),
  oid_filters: row(48, { CR: oidFilters }),
  post_handshake_auth: row(49, { CH: empty }),
  signature_algorithms_cert: row(50, { CH: schemes, CR: schemes }),
  key_share: row(51, { CH: list(KeyShareEntry, "client_share", 0, 0xffff), SH: KeyShareEntry, HRR: group }),
  transparency_info: row(52, { CH: rest, CR: rest, CT: rest }),
  quic_transport_parameters: row(57, { CH: rest, EE: rest }),
  ticket_request: row(58, { CH: rest, EE: rest }),
  ech_outer_extensions: row(64768, { CH: rest }),
  encrypted_client_hello: row(65037, { CH: rest, HRR: rest, EE: rest }),
  renegotiation_info: legacy(65281, opaque(0, 0xff)),
} as const;

export type ExtensionName = keyof typeof EXTENSIONS;
type Forms<N extends ExtensionName> = (typeof EXTENSIONS)[N]["in"];
type NamesIn<M extends ExtensionContext> = {
  [N in ExtensionName]: M extends keyof Forms<N> ? N : never;
}[ExtensionName];
type ExtensionValue<N extends ExtensionName, M extends ExtensionContext> = M extends keyof Forms<N>
  ? ValueOf<Forms<N>[M]>
  : never;

/** One extension of a block; `name` is `undefined` and the value raw where this library does not know the code. */
export type Extension<M extends ExtensionContext> =
  | { [N in NamesIn<M>]: { readonly name: N; readonly code: number; readonly value: ExtensionValue<N, M> } }[NamesIn<M>]
  | { readonly name: undefined; readonly code: number; readonly value: Uint8Array };

const BY_CODE: ReadonlyMap<number, ExtensionName> = /* @__PURE__ */ new Map(
  (Object.keys(EXTENSIONS) as ExtensionName[]).map((name) => [EXTENSIONS[name].code, name]),
);

/** Extension codes by name and back, for traces. */
const ExtensionType: Registry<ExtensionName> = {
  codes: /* @__PURE__ */ Object.fromEntries(
    (Object.keys(EXTENSIONS) as ExtensionName[]).map((name) => [name, EXTENSIONS[name].code]),
  ) as Record<ExtensionName, number>,
  name: (code) => BY_CODE.get(code),
};

/** An extension to send. */
export function extension<M extends ExtensionContext, N extends NamesIn<M>>(
  name: N,
  value: ExtensionValue<N, M>,
): Extension<M> {
  return { name, code: EXTENSIONS[name].code, value } as unknown as Extension<M>;
}

/** The value of the extension called `name` in a block, if it is there. */
export function find<M extends ExtensionContext, N extends NamesIn<M>>(
  block: readonly Extension<M>[],
  name: N,
): ExtensionValue<N, M> | undefined {
  return block.find((entry) => entry.name === name)?.value as ExtensionValue<N, M> | undefined;
}

/** `Extension extensions<min..2^16-1>` of one message. */
export function extensions<M extends ExtensionContext>(context: M, min = 0): Schema<readonly Extension<M>[]> {
  const max = 0xffff;
  const form = (code: number): Schema<unknown> | undefined => {
    const name = BY_CODE.get(code);
    return name === undefined ? undefined : (EXTENSIONS[name] as Row).in[context];
  };
  return {
    shape: {
      kind: "tagged",
      width: 2,
      min,
      max,
      form,
      codes: [...BY_CODE]
        .filter(([, name]) => (EXTENSIONS[name] as Row).in[context] !== undefined)
        .map(([code]) => code),
      registry: ExtensionType,
    },
    read: (reader) => {
      const inner = reader.nested(boundedLength(reader, 2, min, max));
      const block: Extension<M>[] = [];
      const seen = new Set<number>();
      while (inner.remaining > 0) block.push(readExtension(inner, context, form, seen));
      return block;
    },
    write: (writer, block) => {
      const length = writer.block(2, () => {
        for (const entry of block) {
          writer.uint(2, entry.code);
          writer.block(2, () => {
            const schema = entry.name === undefined ? rest : form(entry.code);
            if (schema === undefined) throw new RangeError(`${entry.name} does not belong in ${context}`);
            (schema as Schema<unknown>).write(writer, entry.value);
          });
        }
      });
      assertBounds(length, min, max);
    },
  };
}

function readExtension<M extends ExtensionContext>(
  inner: Reader,
  context: M,
  form: (code: number) => Schema<unknown> | undefined,
  seen: Set<number>,
): Extension<M> {
  const code = inner.uint(2);
  const length = inner.uint(2);
  const start = inner.position;
  const data = inner.take(length);
  const name = BY_CODE.get(code);
  if (seen.has(code))
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", `extension ${name ?? code} appears twice (RFC 8446 4.2)`);
  // RFC 8446 4.2.11
  if (context === "CH" && seen.has(EXTENSIONS.pre_shared_key.code)) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", "pre_shared_key is not the last extension");
  }
  seen.add(code);
  const schema = form(code);
  if (schema === undefined) {
    if (name !== undefined && !(EXTENSIONS[name] as Row).legacy) {
      throw fault("ERR_TLS_ILLEGAL_PARAMETER", `extension ${name} does not belong in this message (RFC 8446 4.2)`);
    }
    return { name: undefined, code, value: data };
  }
  const body = new BoundedReader(inner.bytes, start, start + length);
  const value = schema.read(body);
  body.finish(`extension ${name}`);
  return { name, code, value } as unknown as Extension<M>;
}
