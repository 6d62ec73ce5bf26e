/** Faults of records and of the order of things: lengths, types, repetition, what comes too early, too late or not at all. */
import { concat, utf8 } from "../../../bytes/bytes.ts";
import { ContentType } from "../../../codec/registry.ts";
import type { Passing } from "../middle.ts";
import { applicationData, carries, flip, inMessage, inRecord, leavingOut, onWire, rawMessage } from "../tamper.ts";
import type { Fault, FaultGroup } from "./fault.ts";

const { handshake, application_data, change_cipher_spec } = ContentType.codes;

/** The server's first record under the handshake keys. */
const serverFlight = (record: Passing) => record.from === "server" && record.epoch === "handshake";
/** The client's. */
const clientFlight = (record: Passing) => record.from === "client" && record.epoch === "handshake";
const clientHello = (record: Passing) => record.from === "client" && carries(record, "client_hello");
const serverHello = (record: Passing) => record.from === "server" && carries(record, "server_hello");
const request = (record: Passing) =>
  record.from === "client" && record.epoch === "application" && record.type === application_data;
const answer = (record: Passing) =>
  record.from === "server" && record.epoch === "application" && record.type === application_data;

const ccs = (value: number) => ({ type: change_cipher_spec, content: Uint8Array.of(value), clear: true });

const UNEXPECTED = { code: "ERR_SSL_UNEXPECTED_MESSAGE", alert: "unexpected_message" } as const;
const BAD_MAC = { code: "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC", alert: "bad_record_mac" } as const;
const OVERFLOW = { code: "ERR_SSL_PACKET_LENGTH_TOO_LONG", alert: "record_overflow" } as const;
const TRUNCATED = { code: "ERR_SSL_UNEXPECTED_EOF_WHILE_READING", alert: undefined } as const;

const RECORDS: readonly Fault[] = [
  {
    name: "flipped-bit",
    title: "A bit of ciphertext",
    story: "One bit of the server's encrypted flight is flipped on the wire.",
    section: "RFC 8446 5.2",
    difference: () => ({ tampering: onWire(serverFlight, (bytes) => [flip(bytes, 40)]) }),
    by: "client",
    stage: "WAIT_EE",
    ...BAD_MAC,
  },
  {
    name: "flipped-header",
    title: "A bit of a record's header",
    story: "legacy_record_version of an encrypted record says 0x0302. Nobody reads it, but the AEAD covers the header.",
    section: "RFC 8446 5.2",
    difference: () => ({ tampering: onWire(serverFlight, (bytes) => [flip(bytes, 2)]) }),
    by: "client",
    stage: "WAIT_EE",
    ...BAD_MAC,
  },
  {
    name: "replayed-record",
    title: "A record twice",
    story: "The client's request is delivered twice. The second one is not what the sequence number says.",
    section: "RFC 8446 5.3",
    difference: () => ({ tampering: onWire(request, (bytes) => [bytes, bytes]) }),
    by: "server",
    stage: "CONNECTED",
    ...BAD_MAC,
  },
  {
    name: "lost-record",
    title: "A record lost",
    story: "The server's answer is swallowed. What comes next has a sequence number that the client does not expect.",
    section: "RFC 8446 5.3",
    difference: () => ({ tampering: onWire(answer, () => []) }),
    by: "client",
    stage: "CONNECTED",
    ...BAD_MAC,
    heard: false,
  },
  {
    name: "truncated-record",
    title: "Truncated record",
    story: "The byte stream ends in the middle of the server's encrypted flight.",
    section: "RFC 8446 6.1",
    difference: () => ({ tampering: onWire(serverFlight, (bytes) => [bytes.subarray(0, 20), "end"]) }),
    by: "client",
    stage: "WAIT_EE",
    ...TRUNCATED,
  },
  {
    name: "truncated-stream",
    title: "No close_notify",
    story: "The byte stream ends right behind the server's answer: something may be missing.",
    section: "RFC 8446 6.1",
    difference: () => ({ tampering: onWire(answer, (bytes) => [bytes, "end"]) }),
    by: "client",
    stage: "CONNECTED",
    ...TRUNCATED,
  },
  {
    name: "oversized-plaintext",
    title: "Oversized record",
    story: "A record in the clear announces 2^14 + 1 bytes, one more than allowed.",
    section: "RFC 8446 5.1",
    difference: () => ({
      tampering: onWire(clientHello, (bytes) => [concat(bytes.subarray(0, 3), OVER, bytes.subarray(5))]),
    }),
    by: "server",
    stage: "START",
    ...OVERFLOW,
  },
  {
    name: "oversized-ciphertext",
    title: "Oversized encrypted record",
    story: "The client's request is padded to 2^14 + 2 bytes of plaintext, one more than allowed.",
    section: "RFC 8446 5.4",
    difference: () => ({
      tampering: inRecord(request, (record) => [{ ...record, padding: 0x4000 + 1 - record.content.length }]),
    }),
    by: "server",
    stage: "CONNECTED",
    ...OVERFLOW,
  },
  {
    name: "only-padding",
    title: "A record of padding alone",
    story: "An encrypted record has no content type: there are only zeros in it.",
    section: "RFC 8446 5.4",
    difference: () => ({
      tampering: inRecord(request, () => [{ type: 0, content: new Uint8Array(0), padding: 15 }]),
    }),
    by: "server",
    stage: "CONNECTED",
    ...UNEXPECTED,
  },
  {
    name: "empty-handshake-record",
    title: "An empty handshake record",
    story: "A protected handshake record without content comes before the server's flight.",
    section: "RFC 8446 5.4",
    difference: () => ({
      tampering: inRecord(serverFlight, (record) => [{ type: handshake, content: new Uint8Array(0) }, record]),
    }),
    by: "client",
    stage: "WAIT_EE",
    ...UNEXPECTED,
  },
  {
    name: "unknown-type",
    title: "A record type that does not exist",
    story: "The server's encrypted flight says inside that it is of type 24.",
    section: "RFC 8446 5",
    difference: () => ({ tampering: inRecord(serverFlight, (record) => [{ ...record, type: 24 }]) }),
    by: "client",
    stage: "WAIT_EE",
    ...UNEXPECTED,
  },
  {
    name: "plain-http",
    title: "HTTP on the TLS port",
    story: "In place of a ClientHello comes a request in plain HTTP.",
    section: "RFC 8446 5",
    difference: () => ({
      tampering: onWire(clientHello, () => [utf8("GET / HTTP/1.1\r\nHost: server.example\r\n\r\n")]),
    }),
    by: "server",
    stage: "START",
    code: "ERR_SSL_HTTP_REQUEST",
    alert: "unexpected_message",
  },
];

/** 2^14 + 1 */
const OVER = Uint8Array.of(0x40, 0x01);

const ORDER: readonly Fault[] = [
  {
    name: "early-application-data",
    title: "Early application data",
    story: "Application data in the clear comes before the ServerHello.",
    section: "RFC 8446 5.1",
    difference: () => ({
      tampering: inRecord(serverHello, (record) => [applicationData("too early", true), record]),
    }),
    needs: { retry: "no" },
    by: "client",
    stage: "WAIT_SH",
    ...UNEXPECTED,
  },
  {
    name: "data-before-finished",
    title: "Application data before Finished",
    story: "The client sends application data under its handshake keys, before it has finished.",
    section: "RFC 8446 2",
    needs: { session: "full" },
    difference: () => ({ tampering: inRecord(clientFlight, (record) => [applicationData("too early"), record]) }),
    by: "server",
    stage: "WAIT_CERT",
    ...UNEXPECTED,
  },
  {
    name: "late-ccs",
    title: "ChangeCipherSpec at a wrong time",
    story: "The dummy for middleboxes comes after the handshake is done.",
    section: "RFC 8446 5",
    difference: () => ({ tampering: inRecord(answer, (record) => [ccs(1), record]) }),
    by: "client",
    stage: "CONNECTED",
    ...UNEXPECTED,
  },
  {
    name: "wrong-ccs",
    title: "ChangeCipherSpec that says 2",
    story: "The dummy for middleboxes must be the one byte 01.",
    section: "RFC 8446 5",
    difference: () => ({
      tampering: inRecord(
        (record) => record.from === "server" && record.type === change_cipher_spec,
        () => [ccs(2)],
      ),
    }),
    needs: { retry: "no" },
    by: "client",
    stage: "WAIT_EE",
    ...UNEXPECTED,
  },
  {
    name: "encrypted-ccs",
    title: "ChangeCipherSpec encrypted",
    story: "The dummy for middleboxes comes inside the protection, where no middlebox could see it.",
    section: "RFC 8446 5",
    difference: () => ({
      tampering: inRecord(serverFlight, (record) => [{ ...ccs(1), clear: false }, record]),
    }),
    by: "client",
    stage: "WAIT_EE",
    ...UNEXPECTED,
  },
  {
    name: "no-certificate-verify",
    title: "CertificateVerify left out",
    story: "The server shows a certificate and goes on to Finished without proof that it is its own.",
    section: "RFC 8446 4.4.3",
    needs: { session: "full" },
    difference: () => ({ tampering: leavingOut("server", "certificate_verify") }),
    by: "client",
    stage: "WAIT_CV",
    ...UNEXPECTED,
  },
  {
    name: "finished-too-soon",
    title: "No Certificate at all",
    story: "The server goes from EncryptedExtensions to Finished: nobody has been authenticated.",
    section: "RFC 8446 A.1",
    needs: { session: "full", auth: "server" },
    difference: () => ({ tampering: leavingOut("server", "certificate", "certificate_verify") }),
    by: "client",
    stage: "WAIT_CERT_CR",
    ...UNEXPECTED,
  },
  {
    name: "key-change-misaligned",
    title: "Bytes across a key change",
    story: "EncryptedExtensions begins in the ServerHello's record, in the clear; the keys change in between.",
    section: "RFC 8446 5.1",
    difference: () => ({
      tampering: inRecord(serverHello, (record) => [
        { ...record, content: concat(record.content, Uint8Array.of(8, 0)) },
      ]),
    }),
    by: "client",
    stage: "WAIT_SH",
    ...UNEXPECTED,
  },
  {
    name: "unknown-message",
    title: "A message type that does not exist",
    story: "A handshake message of type 99 comes before EncryptedExtensions.",
    section: "RFC 8446 4",
    difference: () => ({
      tampering: inMessage("server", "encrypted_extensions", (message) => [rawMessage(99, new Uint8Array(2)), message]),
    }),
    by: "client",
    stage: "WAIT_EE",
    ...UNEXPECTED,
  },
  {
    name: "wrong-key-update",
    title: "KeyUpdate that says 2",
    story: "A KeyUpdate may ask for an update of the other direction (1) or not (0), and nothing else.",
    section: "RFC 8446 4.6.3",
    difference: () => ({
      tampering: inRecord(request, () => [{ type: handshake, content: rawMessage(24, Uint8Array.of(2)) }]),
    }),
    by: "server",
    stage: "CONNECTED",
    code: "ERR_TLS_ILLEGAL_PARAMETER",
    alert: "illegal_parameter",
  },
  {
    name: "no-end-of-early-data",
    title: "EndOfEarlyData left out",
    story: "The client goes from early data to its Finished without saying that the early data is over.",
    section: "RFC 8446 4.2.10",
    needs: { session: "early", retry: "no" },
    difference: () => ({
      tampering: {
        wire: (record, bytes) => (carries(record, "end_of_early_data") ? [] : [bytes]),
      },
    }),
    by: "server",
    stage: "WAIT_EOED",
    ...BAD_MAC,
  },
];

export const RECORD_FAULTS: FaultGroup = { title: "Records", faults: RECORDS };
export const ORDER_FAULTS: FaultGroup = { title: "Order", faults: ORDER };
