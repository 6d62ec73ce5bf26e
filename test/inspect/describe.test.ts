import { describe, expect, it } from "vitest";
import { EXTENSIONS } from "../../src/codec/extensions.ts";
import { Alert, BODIES, LegacyServerHello, Record } from "../../src/codec/messages.ts";
import { AlertDescription, ContentType } from "../../src/codec/registry.ts";
import type { Schema } from "../../src/codec/schema.ts";
import type { HandshakeName, StateName } from "../../src/flow.ts";
import {
  type Description,
  describeAlert,
  describeContentType,
  describeExtension,
  describeField,
  describeMessage,
  describeSecret,
  describeState,
  secretInForce,
} from "../../src/inspect/index.ts";
import { FIELDS, GENERIC, SECRETS } from "../../src/inspect/notes.ts";

/** Every `structure.field` that a schema can put into a trace. */
function fieldsOf(schema: Schema<unknown>, structure: string): string[] {
  const { shape } = schema;
  switch (shape.kind) {
    case "struct":
      return shape.fields.flatMap(([name, field]) => [`${shape.name}.${name}`, ...fieldsOf(field, shape.name)]);
    case "list":
      return [`${structure}.length`, `${structure}.${shape.itemName}`, ...fieldsOf(shape.item, structure)];
    case "optional":
      return fieldsOf(shape.body, structure);
    case "opaque":
      return [`${structure}.length`, `${structure}.data`];
    case "tagged":
      return [
        `${structure}.length`,
        `${structure}.extension_type`,
        ...shape.codes.flatMap((code) => {
          const name = shape.registry.name(code) as string;
          const form = shape.form(code) as Schema<unknown>;
          return [`extension ${name}`, `${name}.extension_data`, ...fieldsOf(form, name)];
        }),
      ];
    default:
      return [];
  }
}

const every = [...Object.values(BODIES), Alert, Record, LegacyServerHello].flatMap((schema) =>
  fieldsOf(schema as Schema<unknown>, "none"),
);

function complete({ section, note }: Description): boolean {
  return /^RFC \d{4} (\d+|[A-E])(\.\d+)*$/.test(section) && note.length > 10;
}

describe("descriptions", () => {
  it("cover every field of every structure", () => {
    expect(every.length).toBeGreaterThan(150);
    const missing = [...new Set(every)].filter((path) => {
      if (path.startsWith("extension ")) return !complete(describeExtension(path.slice(10)));
      const [structure, field] = path.split(".") as [string, string];
      const found = describeField(structure, field);
      return found === undefined || !/^RFC \d{4} [\dA-E.]+$/.test(found.section) || found.note === "";
    });
    expect(missing).toEqual([]);
  });

  it("say nothing of fields that do not exist", () => {
    const known = new Set(every);
    // The record layer's and the message header's own, which no schema declares.
    const own = ["TLSCiphertext", "Handshake", "ChangeCipherSpec"];
    const superfluous = Object.entries(FIELDS)
      .filter(([structure]) => !own.includes(structure))
      .flatMap(([structure, fields]) => Object.keys(fields).map((field) => `${structure}.${field}`))
      .filter((path) => !known.has(path));
    expect(superfluous).toEqual([]);
    expect(describeField("ClientHello", "toString")).toBeUndefined();
    expect(describeField("constructor", "name")).toBeUndefined();
    expect(Object.keys(GENERIC)).toContain("length");
  });

  it("cover every message, extension, content type and alert", () => {
    const found = [
      ...(Object.keys(BODIES) as HandshakeName[]).map(describeMessage),
      ...Object.keys(EXTENSIONS).map((name) => describeExtension(name)),
      ...Object.values(AlertDescription.codes).map((code) =>
        describeAlert(AlertDescription.name(code) as NonNullable<ReturnType<typeof AlertDescription.name>>),
      ),
    ];
    expect(found.filter((description) => !complete(description))).toEqual([]);
    for (const code of Object.values(ContentType.codes))
      expect(describeContentType(code).section).toMatch(/^RFC 8446 [56]/);
    expect(describeContentType(99).note).toContain("not a content type");
    expect(describeExtension("made_up").note).toContain("not known");
  });

  it("tell what an extension means in the message at hand", () => {
    expect(describeExtension("supported_versions", "CH").note).toContain("speaks");
    expect(describeExtension("supported_versions", "SH").note).toContain("chosen");
    expect(describeExtension("early_data", "NST").note).toContain("bytes");
  });

  it("cover the states that each side enters", () => {
    const client: StateName[] = [
      "START",
      "WAIT_SH",
      "WAIT_EE",
      "WAIT_CERT_CR",
      "WAIT_CERT",
      "WAIT_CV",
      "WAIT_FINISHED",
    ];
    const server: StateName[] = ["START", "RECVD_CH", "NEGOTIATED", "WAIT_CERT", "WAIT_CV", "WAIT_FINISHED"];
    for (const state of [...client, "CONNECTED"] as const)
      expect(describeState(state, "client").note).not.toContain("not a");
    for (const state of [...server, "CONNECTED"] as const)
      expect(describeState(state, "server").note).not.toContain("not a");
    expect(describeState("WAIT_SH", "client").section).toBe("RFC 8446 A.1");
    expect(describeState("WAIT_SH", "server").note).toContain("not a state");
  });

  it("name the secret that protects a record", () => {
    expect(secretInForce("initial", "client", 0)).toBeUndefined();
    expect(secretInForce("early", "client", 0)).toBe("client_early_traffic_secret");
    expect(secretInForce("handshake", "server", 0)).toBe("server_handshake_traffic_secret");
    expect(secretInForce("application", "client", 0)).toBe("client_application_traffic_secret_0");
    expect(secretInForce("application", "server", 3)).toBe("server_application_traffic_secret_3");
    for (const label of Object.keys(SECRETS) as (keyof typeof SECRETS)[])
      expect(describeSecret(label).name).toMatch(/_secret(_0)?$/);
  });
});
