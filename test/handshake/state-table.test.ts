/** Every state in which a message is awaited × every message, and what else may come: RFC 8446 Appendix A. */
import { beforeAll, describe, expect, it } from "vitest";
import { KeyUpdate, messageName, NewSessionTicket } from "../../src/codec/messages.ts";
import { encode } from "../../src/codec/schema.ts";
import { type ClientOptions, type ServerOptions, sealedTickets } from "../../src/engine/index.ts";
import type { Side } from "../../src/errors.ts";
import type { StateName } from "../../src/flow.ts";
import type { Session } from "../../src/handshake/session.ts";
import { zlibCompression } from "../../src/node/index.ts";
import { type End, exchange, failure, failures } from "../support/pair.ts";
import { expectFailed, verdict } from "../support/refusal.ts";
import { confront, type OutgoingRecord, type Rogue, type RogueOptions } from "../support/rogue.ts";
import { createWorld, rawMessage, type World } from "../support/world.ts";

/** A message by what it is called here; several types have no name in TLS 1.3. */
const TYPES = {
  hello_request: 0,
  client_hello: 1,
  server_hello: 2,
  hello_verify_request: 3,
  new_session_ticket: 4,
  end_of_early_data: 5,
  "hello_retry_request's reserved number": 6,
  encrypted_extensions: 8,
  certificate: 11,
  server_key_exchange: 12,
  certificate_request: 13,
  server_hello_done: 14,
  certificate_verify: 15,
  client_key_exchange: 16,
  finished: 20,
  certificate_status: 22,
  key_update: 24,
  compressed_certificate: 25,
  next_proto: 67,
  message_hash: 254,
  unknown: 99,
  hello_retry_request: 2,
} as const;
type MessageName = keyof typeof TYPES;

type Opening = "resumed" | "external key" | "early data" | "rejected early data";

interface Row {
  readonly title: string;
  readonly victim: Side;
  readonly state: StateName;
  /** The rogue's message that the intruder stands in place of, and which of its kind; none: all have passed. */
  readonly inPlaceOf: MessageName | undefined;
  readonly nth?: number;
  readonly retry?: boolean;
  readonly clientAuth?: "off" | "on";
  /** The victim takes compressed certificates. */
  readonly compression?: true;
  /** What the client offers beside a full handshake, and what becomes of it. */
  readonly opening?: Opening;
  /** Client authentication after the handshake is on; a server has asked. */
  readonly postHandshake?: true;
  readonly legal: readonly MessageName[];
  /** change_cipher_spec is dropped here; elsewhere it is an error (RFC 8446 5). */
  readonly dropsChangeCipherSpec: boolean;
}

const client = (
  state: StateName,
  inPlaceOf: MessageName,
  legal: readonly MessageName[],
  more: Partial<Row> = {},
): Row => ({
  title: state,
  victim: "client",
  state,
  inPlaceOf,
  legal,
  dropsChangeCipherSpec: true,
  ...more,
});
const server = (
  state: StateName,
  inPlaceOf: MessageName,
  legal: readonly MessageName[],
  more: Partial<Row> = {},
): Row => ({
  ...client(state, inPlaceOf, legal, more),
  victim: "server",
});

const ROWS: readonly Row[] = [
  client("WAIT_SH", "server_hello", ["server_hello", "hello_retry_request"]),
  client("WAIT_SH", "server_hello", ["server_hello"], { title: "WAIT_SH after a retry", retry: true }),
  client("WAIT_EE", "encrypted_extensions", ["encrypted_extensions"]),
  client("WAIT_CERT_CR", "certificate_request", ["certificate_request", "certificate"]),
  client("WAIT_CERT_CR", "certificate", ["certificate_request", "certificate"], {
    title: "WAIT_CERT_CR, no request coming",
    clientAuth: "off",
  }),
  client("WAIT_CERT", "certificate", ["certificate"]),
  client("WAIT_CERT_CR", "certificate_request", ["certificate_request", "certificate", "compressed_certificate"], {
    title: "WAIT_CERT_CR with compression",
    compression: true,
  }),
  client("WAIT_CERT", "compressed_certificate", ["certificate", "compressed_certificate"], {
    title: "WAIT_CERT with compression",
    compression: true,
  }),
  client("WAIT_CV", "certificate_verify", ["certificate_verify"], {
    title: "WAIT_CV after a compressed certificate",
    compression: true,
  }),
  client("WAIT_CV", "certificate_verify", ["certificate_verify"]),
  client("WAIT_FINISHED", "finished", ["finished"]),
  {
    ...client("CONNECTED", "finished", ["new_session_ticket", "key_update"]),
    inPlaceOf: undefined,
    dropsChangeCipherSpec: false,
  },
  ...(["resumed", "external key", "early data", "rejected early data"] as const).flatMap((opening) => [
    client("WAIT_FINISHED", "finished", ["finished"], { title: `WAIT_FINISHED, ${opening}`, opening }),
    client("CONNECTED", "finished", ["new_session_ticket", "key_update"], {
      title: `CONNECTED, ${opening}`,
      inPlaceOf: undefined,
      dropsChangeCipherSpec: false,
      opening,
    }),
    server("START", "client_hello", ["client_hello"], {
      title: `START, ${opening}`,
      dropsChangeCipherSpec: false,
      opening,
    }),
    server("WAIT_FINISHED", "finished", ["finished"], { title: `WAIT_FINISHED, ${opening}`, opening }),
    server("CONNECTED", "finished", ["key_update"], {
      title: `CONNECTED, ${opening}`,
      inPlaceOf: undefined,
      dropsChangeCipherSpec: false,
      opening,
    }),
  ]),
  // A client learns of the rejection from EncryptedExtensions, and until then is in the states of early data.
  ...(["resumed", "external key", "early data"] as const).flatMap((opening) => [
    client("WAIT_SH", "server_hello", ["server_hello", "hello_retry_request"], {
      title: `WAIT_SH, ${opening}`,
      opening,
    }),
    client("WAIT_EE", "encrypted_extensions", ["encrypted_extensions"], { title: `WAIT_EE, ${opening}`, opening }),
  ]),
  client("CONNECTED", "finished", ["new_session_ticket", "key_update", "certificate_request"], {
    title: "CONNECTED, to be asked for a certificate",
    inPlaceOf: undefined,
    dropsChangeCipherSpec: false,
    postHandshake: true,
  }),
  server("CONNECTED", "finished", ["key_update", "certificate"], {
    title: "CONNECTED, having asked for a certificate",
    inPlaceOf: undefined,
    dropsChangeCipherSpec: false,
    postHandshake: true,
  }),
  server("WAIT_EOED", "end_of_early_data", ["end_of_early_data"], { opening: "early data" }),
  server("START", "client_hello", ["client_hello"], { dropsChangeCipherSpec: false }),
  server("START", "client_hello", ["client_hello"], { title: "START after a retry", retry: true, nth: 2 }),
  server("WAIT_CERT", "certificate", ["certificate"]),
  server("WAIT_CERT", "compressed_certificate", ["certificate", "compressed_certificate"], {
    title: "WAIT_CERT with compression",
    compression: true,
  }),
  server("WAIT_CV", "certificate_verify", ["certificate_verify"], {
    title: "WAIT_CV after a compressed certificate",
    compression: true,
  }),
  server("WAIT_CV", "certificate_verify", ["certificate_verify"]),
  server("WAIT_FINISHED", "finished", ["finished"]),
  server("WAIT_FINISHED", "finished", ["finished"], {
    title: "WAIT_FINISHED of an anonymous client",
    clientAuth: "off",
  }),
  {
    ...server("CONNECTED", "finished", ["key_update"]),
    inPlaceOf: undefined,
    dropsChangeCipherSpec: false,
  },
];

let world: World;
let session: Session;
const tickets = { store: sealedTickets() };
const sessions = {
  take: () => session,
  put: () => {},
};
const psks = [{ identity: "a key", key: new Uint8Array(32).fill(7) }];
const early = { sessions, offerEarlyData: true };
const taking = (allowed: boolean) => ({ tickets, acceptEarlyData: { antiReplay: { claim: () => allowed } } });
const OPENINGS: Readonly<Record<Opening, readonly [Partial<ClientOptions>, Partial<ServerOptions>]>> = {
  resumed: [{ sessions }, { tickets }],
  "external key": [{ psks }, { psks, clientAuth: "off" }],
  "early data": [early, taking(true)],
  "rejected early data": [early, taking(false)],
};

/** Early data that nobody wants is dropped until something opens with the right key (RFC 8446 4.2.10). */
function skips(row: Row): boolean {
  return row.victim === "server" && row.state === "WAIT_FINISHED" && row.opening === "rejected early data";
}

/** Well-formed messages, out of a handshake with everything in it. */
const samples = new Map<MessageName, Uint8Array>();

beforeAll(async () => {
  world = await createWorld(2);
  const put = (_scope: string, kept: Session) => {
    session = kept;
  };
  exchange(world.honestClient({ sessions: { take: () => undefined, put } }), world.honestServer(taking(true)));
  expect(session.maxEarlyData).toBeGreaterThan(0);
  const tamper = (message: Uint8Array, name: string) => {
    samples.set(name as MessageName, message);
    return undefined;
  };
  confront(world.honestClient(), world.rogueServer({ tamper }, { groups: ["secp256r1"] }));
  confront(world.honestServer(), world.rogueClient({ tamper }));
  const compressing = { certificateCompression: [zlibCompression()] };
  const keep = (message: Uint8Array, name: string) => {
    if (name === "compressed_certificate") samples.set(name, message);
    return undefined;
  };
  confront(world.honestClient(compressing), world.rogueServer({ tamper: keep }, compressing));
  samples.set("key_update", rawMessage(24, encode(KeyUpdate, { request_update: 0 })));
  const ticket = { ticket_lifetime: 1, ticket_age_add: 2, ticket_nonce: Uint8Array.of(3), ticket: Uint8Array.of(4) };
  samples.set("new_session_ticket", rawMessage(4, encode(NewSessionTicket, { ...ticket, extensions: [] })));
});

function sample(name: MessageName): Uint8Array {
  return samples.get(name) ?? rawMessage(TYPES[name], Uint8Array.of());
}

/** Brings a victim into the row's state and gives it `intruders` there. */
function meet(row: Row, ...intruders: readonly OutgoingRecord[]): [End, Rogue] {
  let seen = 0;
  let stopped = false;
  const records: RogueOptions["records"] = (record) => {
    if (stopped) return [];
    const expected = row.inPlaceOf !== undefined && record.content[0] === TYPES[row.inPlaceOf] && !isRetry(record);
    if (!expected || ++seen < (row.nth ?? 1)) return [record];
    stopped = true;
    return intruders;
  };
  const groups = row.retry ? (["secp256r1"] as const) : undefined;
  const auth = row.clientAuth ?? "on";
  const more = {
    ...(row.compression && { certificateCompression: [zlibCompression()] }),
    ...(row.postHandshake && { postHandshakeAuth: true }),
  };
  const [offers = {}, answers = {}] = row.opening === undefined ? [] : OPENINGS[row.opening];
  const client = { ...more, ...offers };
  const server = { groups, clientAuth: auth, ...more, ...answers };
  const [victim, rogue] =
    row.victim === "client"
      ? [world.honestClient(client), world.rogueServer({ records }, server)]
      : [world.honestServer(server), world.rogueClient({ records }, client)];
  confront(victim, rogue);
  if (row.postHandshake && row.victim === "server") {
    victim.engine.requestClientCertificate();
    confront(victim, rogue);
  }
  if (row.inPlaceOf === undefined) {
    for (const intruder of intruders) rogue.send(intruder);
    confront(victim, rogue);
  } else {
    expect(stopped).toBe(true);
  }
  return [victim, rogue];
}

function isRetry({ content }: OutgoingRecord): boolean {
  return content.length > 4 && messageName(content[0] as number, content.subarray(4)) === "hello_retry_request";
}

/** The victim reads with keys here. */
function keyed({ state }: Row): boolean {
  return state !== "START" && state !== "WAIT_SH";
}

const handshake = (content: Uint8Array): OutgoingRecord => ({ type: 22, content });

for (const victim of ["client", "server"] as const) {
  describe.each(ROWS.filter((row) => row.victim === victim))(`a ${victim} in $title`, (row) => {
    it("is in that state, and waits", () => {
      const [end] = meet(row);
      expect([end.engine.state, failure(end)]).toEqual([row.state, undefined]);
    });

    it.each(Object.keys(TYPES) as MessageName[])("given %s", (name) => {
      const [end, rogue] = meet(row, handshake(sample(name)));
      if (!row.legal.includes(name)) {
        expectFailed(end, rogue, verdict("ERR_SSL_UNEXPECTED_MESSAGE", row.state));
      } else {
        expect(failure(end)?.code).not.toBe("ERR_SSL_UNEXPECTED_MESSAGE");
      }
    });

    it("given application data", () => {
      const [end, rogue] = meet(row, { type: 23, content: Uint8Array.of(1) });
      if (row.state === "CONNECTED") expect([failure(end), end.received]).toEqual([undefined, [Uint8Array.of(1)]]);
      else if (row.state === "WAIT_EOED") expect(end.engine.readEarlyData()).toEqual(Uint8Array.of(1));
      else expectFailed(end, rogue, verdict("ERR_SSL_UNEXPECTED_MESSAGE", row.state));
    });

    it("given application data in the clear", () => {
      const [end, rogue] = meet(row, { type: 23, content: new Uint8Array(40), plain: true });
      if (skips(row)) {
        expect([failure(end), end.engine.state]).toEqual([undefined, row.state]);
        return;
      }
      const code = keyed(row) ? "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC" : "ERR_SSL_UNEXPECTED_MESSAGE";
      expectFailed(end, rogue, verdict(code, row.state));
    });

    it("given change_cipher_spec", () => {
      const [end, rogue] = meet(row, { type: 20, content: Uint8Array.of(1), plain: true });
      if (row.dropsChangeCipherSpec) expect([end.engine.state, failure(end)]).toEqual([row.state, undefined]);
      else expectFailed(end, rogue, verdict("ERR_SSL_UNEXPECTED_MESSAGE", row.state));
    });

    const changes: [string, Uint8Array, boolean][] = [
      ["other than 1", Uint8Array.of(2), true],
      ["of two bytes", Uint8Array.of(1, 1), true],
      ["of no byte", Uint8Array.of(), true],
      ["that is protected", Uint8Array.of(1), false],
    ];
    it.each(changes.filter(([, , plain]) => plain || keyed(row)))(
      "given change_cipher_spec %s",
      (_what, content, plain) => {
        const [end, rogue] = meet(row, { type: 20, content, plain });
        expectFailed(end, rogue, verdict("ERR_SSL_UNEXPECTED_MESSAGE", row.state));
      },
    );

    it.each([
      [40, "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE"],
      [0, "ERR_SSL_TLSV1_ALERT_CLOSE_NOTIFY"],
      // RFC 9846 6.2
      [117, "ERR_SSL_TLSV13_ALERT_GENERAL_ERROR"],
      [200, "ERR_SSL_UNKNOWN_ALERT_TYPE"],
    ])("given alert %i, whatever its level", (description, code) => {
      for (const level of [1, 2, 77]) {
        const [end, rogue] = meet(row, { type: 21, content: Uint8Array.of(level, description) });
        if (row.state === "CONNECTED" && description === 0) {
          expect([failure(end), end.events.at(-1)?.type]).toEqual([undefined, "end"]);
          continue;
        }
        expect(failure(end)).toMatchObject({ code, direction: "received", stage: row.state });
        expect([failures(end), rogue.alerts]).toEqual([1, []]);
      }
    });

    it.each([
      ["empty", []],
      ["of one byte", [2]],
      ["twice in one record", [2, 40, 2, 40]],
    ])("given an alert %s", (_what, content) => {
      const [end, rogue] = meet(row, { type: 21, content: Uint8Array.from(content) });
      expectFailed(end, rogue, verdict("ERR_TLS_DECODE_ERROR", row.state));
    });

    it("given user_canceled, waits for close_notify (6.1)", () => {
      const canceled = { type: 21, content: Uint8Array.of(1, 90) };
      const [end, rogue] = meet(row, canceled, canceled);
      expect([failure(end), rogue.alerts, end.engine.state]).toEqual([undefined, [], row.state]);
    });

    it("given an empty handshake record", () => {
      const [end, rogue] = meet(row, handshake(new Uint8Array(0)));
      expectFailed(end, rogue, verdict("ERR_SSL_UNEXPECTED_MESSAGE", row.state));
    });

    if (keyed(row)) {
      it("given a handshake record in the clear", () => {
        const [end, rogue] = meet(row, { ...handshake(sample("finished")), plain: true });
        expectFailed(end, rogue, verdict("ERR_SSL_UNEXPECTED_MESSAGE", row.state));
      });
    }

    it.each(["alert", "change_cipher_spec", "application data"] as const)("given half a message, then %s", (what) => {
      const whole = sample(row.legal[0] as MessageName);
      const half = handshake(whole.subarray(0, Math.min(5, whole.length - 1)));
      const between = {
        alert: { type: 21, content: Uint8Array.of(1, 90) },
        change_cipher_spec: { type: 20, content: Uint8Array.of(1), plain: true },
        "application data": { type: 23, content: Uint8Array.of(1) },
      }[what];
      const [end, rogue] = meet(row, half, between, handshake(whole.subarray(5)));
      expectFailed(end, rogue, verdict("ERR_SSL_UNEXPECTED_MESSAGE", row.state));
    });

    it("given the end of the stream: a truncation, and no alert", () => {
      const [end, rogue] = meet(row);
      end.engine.receiveEnd();
      confront(end, rogue);
      expect(failure(end)).toMatchObject({ code: "ERR_SSL_UNEXPECTED_EOF_WHILE_READING", stage: row.state });
      expect([failures(end), rogue.alerts]).toEqual([1, []]);
    });
  });
}
