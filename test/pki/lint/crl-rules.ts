/** What CRLs must be like, rule by rule with its source, and for each a CRL that breaks it. */
import { equal } from "../../../src/bytes/bytes.ts";
import { DerReader, derEncode, Tag } from "../../../src/bytes/der.ts";
import { encodeBitString, encodeNumber, encodeOid, encodeSequence, encodeTime } from "../../support/der.ts";
import { makeAuthority } from "../../support/pki.ts";
import { makeCrl, type TestCrlOptions } from "../../support/status.ts";
import type { RawCrl, RawExtension } from "./dissect.ts";
import { timeProblem } from "./rules.ts";

interface CrlRule {
  readonly id: string;
  readonly source: string;
  readonly check: (crl: RawCrl) => string | undefined;
  readonly broken: () => Promise<Uint8Array>;
}

const when = (wrong: boolean | undefined, text: string) => (wrong ? text : undefined);
const find = (extensions: readonly RawExtension[] | undefined, oid: string) =>
  extensions?.find((one) => one.oid === oid);
const issuer = makeAuthority();
const crl = async (options: Partial<TestCrlOptions>) => makeCrl({ issuer: await issuer, ...options });
const plain = (oid: string, value: Uint8Array, critical = false) => ({ oid, critical, value });
const entry = (...extensions: ReturnType<typeof plain>[]) => ({
  entries: [{ serial: Uint8Array.of(7), extensions }],
});
const enumerated = (value: number) => derEncode(Tag.enumerated, Uint8Array.of(value));

/** A CRL of which only the body is right or wrong: nobody looks at its signature. */
async function forged(...parts: readonly Uint8Array[]): Promise<Uint8Array> {
  const { name, pair } = await issuer;
  const list = encodeSequence(encodeNumber(1), pair.algorithm, name, ...parts);
  return encodeSequence(list, pair.algorithm, encodeBitString(new Uint8Array(64)));
}
const now = Date.UTC(2030, 0);

export const CRL_RULES: readonly CrlRule[] = [
  {
    id: "crl_version_2",
    source: "RFC 5280 5.1.2.1",
    check: ({ version }) => when(version !== 1, `${version}`),
    broken: () => crl({ version: 0 }),
  },
  {
    id: "crl_algorithms_equal",
    source: "RFC 5280 5.1.1.2",
    check: ({ inner, outer }) => when(!equal(inner.der, outer.der), "they differ"),
    broken: async () => {
      const tbs = new DerReader(await crl({})).sequence().raw();
      const other = encodeSequence(encodeOid("1.2.840.10045.4.3.3"));
      return encodeSequence(tbs, other, encodeBitString(new Uint8Array(64)));
    },
  },
  {
    id: "crl_issuer_named",
    source: "RFC 5280 5.1.2.3",
    check: (raw) => when(raw.issuer.rdns.length === 0, "empty"),
    broken: async () => makeCrl({ issuer: { ...(await issuer), name: encodeSequence() } }),
  },
  {
    id: "crl_times_form",
    source: "RFC 5280 5.1.2.4",
    check: ({ thisUpdate, nextUpdate, entries = [] }) =>
      [thisUpdate, ...(nextUpdate ? [nextUpdate] : []), ...entries.map(({ date }) => date)]
        .map(timeProblem)
        .find((problem) => problem !== undefined),
    broken: () => forged(derEncode(Tag.generalizedTime, new TextEncoder().encode("20300101000000Z"))),
  },
  {
    id: "crl_next_update",
    source: "RFC 5280 5.1.2.5",
    check: ({ nextUpdate }) => when(nextUpdate === undefined, "missing"),
    broken: () => crl({ nextUpdate: null }),
  },
  {
    id: "crl_updates_in_order",
    source: "RFC 5280 5.1.2.5",
    check: ({ thisUpdate, nextUpdate }) =>
      nextUpdate && when(new DerReader(nextUpdate.raw).time() <= new DerReader(thisUpdate.raw).time(), "backwards"),
    broken: () => crl({ thisUpdate: now, nextUpdate: now }),
  },
  {
    id: "crl_no_empty_list",
    source: "RFC 5280 5.1.2.6",
    check: ({ entries }) => when(entries?.length === 0, "empty"),
    broken: () => forged(encodeTime(now), encodeTime(now + 1000), encodeSequence()),
  },
  {
    id: "crl_authority_key_id",
    source: "RFC 5280 5.2.1",
    check: ({ extensions }) => {
      const found = find(extensions, "2.5.29.35");
      return when(found === undefined || found.critical === true, "missing or critical");
    },
    broken: () => forged(encodeTime(now), encodeTime(now + 1000)),
  },
  {
    id: "crl_number",
    source: "RFC 5280 5.2.3",
    check: ({ extensions }) => {
      const found = find(extensions, "2.5.29.20");
      if (found === undefined) return "missing";
      const { length } = new DerReader(found.value).integer();
      return when(found.critical === true || length > 20, "critical, or more than 20 octets");
    },
    broken: () => crl({ number: null }),
  },
  {
    id: "crl_entry_serial",
    source: "RFC 5280 4.1.2.2",
    check: ({ entries = [] }) =>
      when(
        entries.some(({ serial }) => serial.length > 20 || (serial[0] ?? 0x80) >= 0x80),
        "negative or too long",
      ),
    broken: () => crl({ entries: [{ serial: Uint8Array.of(0x80) }] }),
  },
  {
    id: "crl_reason_not_unspecified",
    source: "RFC 5280 5.3.1",
    check: ({ entries = [] }) =>
      when(
        entries.some(({ extensions }) => find(extensions, "2.5.29.21")?.value[2] === 0),
        "unspecified is written",
      ),
    broken: () => crl(entry(plain("2.5.29.21", enumerated(0)))),
  },
  {
    id: "crl_entry_extensions_not_critical",
    source: "RFC 5280 5.3",
    check: ({ entries = [] }) =>
      when(
        entries.some(({ extensions = [] }) => extensions.some(({ critical }) => critical)),
        "critical",
      ),
    broken: () => crl(entry(plain("2.5.29.21", enumerated(1), true))),
  },
  {
    id: "crl_invalidity_date_generalized",
    source: "RFC 5280 5.3.2",
    check: ({ entries = [] }) =>
      when(
        entries.some(
          ({ extensions }) => (find(extensions, "2.5.29.24")?.value[0] ?? Tag.generalizedTime) !== Tag.generalizedTime,
        ),
        "no GeneralizedTime",
      ),
    broken: () => crl(entry(plain("2.5.29.24", encodeTime(now)))),
  },
  {
    id: "crl_extensions_not_empty",
    source: "RFC 5280 5.1.2.7",
    check: ({ extensions, entries = [] }) =>
      when(
        [extensions, ...entries.map((one) => one.extensions)].some((list) => list?.length === 0),
        "empty",
      ),
    broken: () =>
      forged(
        encodeTime(now),
        encodeTime(now + 1000),
        encodeSequence(encodeSequence(encodeNumber(7), encodeTime(now), encodeSequence())),
      ),
  },
];
