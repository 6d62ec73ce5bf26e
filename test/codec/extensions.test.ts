import { describe, expect, it } from "vitest";
import { concat } from "../../src/bytes/bytes.ts";
import { EXTENSIONS, type ExtensionContext, type ExtensionName, extensions } from "../../src/codec/extensions.ts";
import { decode, encode } from "../../src/codec/schema.ts";
import { TlsError } from "../../src/errors.ts";
import { codeOf } from "../support/errors.ts";

const CONTEXTS: readonly ExtensionContext[] = ["CH", "SH", "HRR", "EE", "CT", "CR", "NST"];
const LEGACY: readonly string[] = [
  "ec_point_formats",
  "encrypt_then_mac",
  "extended_master_secret",
  "session_ticket",
  "renegotiation_info",
];

/** RFC 8446 4.2's table, and those of the RFCs that add to it, written out once more. */
const LEGAL: Readonly<Record<string, string>> = {
  server_name: "CH EE CR",
  max_fragment_length: "CH EE",
  status_request: "CH CR CT",
  supported_groups: "CH EE",
  signature_algorithms: "CH CR",
  use_srtp: "CH EE",
  heartbeat: "CH EE",
  application_layer_protocol_negotiation: "CH EE",
  signed_certificate_timestamp: "CH CR CT",
  client_certificate_type: "CH EE",
  server_certificate_type: "CH EE",
  padding: "CH",
  compress_certificate: "CH CR",
  record_size_limit: "CH EE",
  tls_cert_with_extern_psk: "CH SH",
  delegated_credential: "CH CR CT",
  pre_shared_key: "CH SH",
  early_data: "CH EE NST",
  supported_versions: "CH SH HRR",
  cookie: "CH HRR",
  psk_key_exchange_modes: "CH",
  certificate_authorities: "CH CR",
  oid_filters: "CR",
  post_handshake_auth: "CH",
  signature_algorithms_cert: "CH CR",
  key_share: "CH SH HRR",
  transparency_info: "CH CR CT",
  quic_transport_parameters: "CH EE",
  ticket_request: "CH EE",
  ech_outer_extensions: "CH",
  encrypted_client_hello: "CH HRR EE",
};

const entry = (code: number, ...data: number[]) =>
  Uint8Array.of(code >> 8, code & 0xff, data.length >> 8, data.length & 0xff, ...data);
const block = (...entries: Uint8Array[]) => {
  const body = concat(...entries);
  return concat(Uint8Array.of(body.length >> 8, body.length & 0xff), body);
};

/** What decoding a block with one extension of this code does, whatever its content. */
function legality(context: ExtensionContext, code: number): "known" | "raw" | "illegal" {
  try {
    const [found] = decode(extensions(context), block(entry(code)));
    return found?.name === undefined ? "raw" : "known";
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    return error.code === "ERR_TLS_DECODE_ERROR" ? "known" : "illegal";
  }
}

describe("extensions (RFC 8446 4.2)", () => {
  for (const name of Object.keys(EXTENSIONS) as ExtensionName[]) {
    it(`${name} belongs in ${LEGAL[name] ?? "CH alone, and elsewhere counts as unknown"}`, () => {
      const { code } = EXTENSIONS[name];
      for (const context of CONTEXTS) {
        const legal = LEGACY.includes(name) ? context === "CH" : LEGAL[name]?.split(" ").includes(context);
        const otherwise = LEGACY.includes(name) ? "raw" : "illegal";
        expect([context, legality(context, code)]).toEqual([context, legal ? "known" : otherwise]);
      }
    });
  }

  for (const context of CONTEXTS) {
    it(`are refused when repeated in ${context}, known and unknown alike`, () => {
      for (const code of [0x0a0a, 0xff01, 0xfff0]) {
        const data = code === 0xff01 && context === "CH" ? [0] : [];
        const twice = block(entry(code, ...data), entry(0xfffe), entry(code, ...data));
        expect(codeOf(() => decode(extensions(context), twice))).toBe("ERR_TLS_ILLEGAL_PARAMETER");
      }
    });

    it(`are kept raw in ${context} when they are not known`, () => {
      const unknown = decode(extensions(context), block(entry(0x0a0a, 1, 2, 3), entry(0xfffe)));
      expect(unknown).toEqual([
        { name: undefined, code: 0x0a0a, value: Uint8Array.of(1, 2, 3) },
        { name: undefined, code: 0xfffe, value: new Uint8Array(0) },
      ]);
    });

    it(`may not reach beyond their block in ${context}, nor leave bytes in it`, () => {
      for (const bytes of [
        Uint8Array.of(0, 3, 0x0a, 0x0a, 0),
        Uint8Array.of(0, 4, 0x0a, 0x0a, 0, 1),
        Uint8Array.of(0, 5, 0x0a, 0x0a, 0, 0, 0),
      ]) {
        expect(codeOf(() => decode(extensions(context), bytes))).toBe("ERR_TLS_DECODE_ERROR");
      }
    });
  }

  it("are not written where they do not belong", () => {
    const misplaced = { name: "cookie", code: EXTENSIONS.cookie.code, value: Uint8Array.of(1) };
    expect(() => encode(extensions("SH"), [misplaced as never])).toThrow(RangeError);
    expect(() => encode(extensions("CH"), [misplaced as never])).not.toThrow();
  });

  it("each end where their data ends", () => {
    const versions = entry(EXTENSIONS.supported_versions.code, 2, 3, 4, 0);
    expect(codeOf(() => decode(extensions("CH"), block(versions)))).toBe("ERR_TLS_DECODE_ERROR");
    const empty = entry(EXTENSIONS.post_handshake_auth.code, 0);
    expect(codeOf(() => decode(extensions("CH"), block(empty)))).toBe("ERR_TLS_DECODE_ERROR");
  });

  it("end with pre_shared_key in a ClientHello (4.2.11)", () => {
    const identity = [0, 7, 0, 1, 0x61, 0, 0, 0, 0];
    const psk = entry(EXTENSIONS.pre_shared_key.code, ...identity, 0, 33, 32, ...new Uint8Array(32));
    expect(codeOf(() => decode(extensions("CH"), block(entry(0x0a0a), psk)))).toBeUndefined();
    expect(codeOf(() => decode(extensions("CH"), block(psk, entry(0x0a0a))))).toBe("ERR_TLS_ILLEGAL_PARAMETER");
  });
});
