/** The tables of refusals as Markdown, for readers. */
import { alertReceived } from "../../src/errors.ts";
import { type Presented, VERDICTS } from "./modes.ts";
import { REFUSALS, type Refusal } from "./refusals.ts";

/** What REFUSALS.md holds. */
export function refusalsDocument(): string {
  return [
    "# Refusals",
    "",
    "Written from the tables in `refusals.ts` and `modes.ts`, every line of which is tested: between two mutls peers",
    "with both providers and, where the last column says so, over TCP against OpenSSL as the side that offends or",
    "refuses. What a case does not change is a mutual handshake that succeeds.",
    "`npx vitest run --project self test/refusals -u` writes this file anew.",
    "",
    "An alert in parentheses is OpenSSL's own choice where it differs. A client learns of its certificate's refusal in",
    "state `CONNECTED`: in TLS 1.3 it has finished before the server judges it.",
    "",
    ...table(
      [
        "Case",
        "Offends",
        "Refuses",
        "`code`",
        "State",
        "Alert sent",
        "The other side's `code`",
        "Its state",
        "OpenSSL",
      ],
      REFUSALS.map(row),
    ),
    "",
    "## Modes of client authentication",
    "",
    "What a server makes of a client, by `clientAuth` and by what the client presents: `verified`, `unverified` (accepted,",
    "and the peer says `verified: false`), `nobody`, or the `code` of the refusal.",
    "",
    ...modes(),
    "",
  ].join("\n");
}

function row(refusal: Refusal): string[] {
  const { name, offender, refuses, code, stage, alert, noticed, opensslOffends, opensslRefuses } = refusal;
  const theirs = opensslRefuses?.alert;
  return [
    name,
    offender,
    refuses,
    `\`${code}\``,
    `\`${stage}\``,
    (alert === undefined ? "none" : `\`${alert}\``) + (theirs === undefined ? "" : ` (\`${theirs}\`)`),
    alert === undefined || noticed === undefined ? "" : `\`${alertReceived(alert).code}\``,
    noticed === undefined ? "" : `\`${noticed}\``,
    [opensslOffends && (offender === "network" ? "is disturbed" : "offends"), opensslRefuses && "refuses"]
      .filter((part) => part !== undefined)
      .join(", "),
  ];
}

const PRESENTED: Readonly<Record<Presented, string>> = {
  none: "no certificate",
  good: "a good one",
  stranger: "of an unknown CA",
  strangerWithRoot: "the same, with its root",
  selfSigned: "self-signed",
  withoutIntermediate: "without its intermediate",
  expired: "expired",
  strangerExpired: "expired, of an unknown CA",
  future: "not yet valid",
  wrongPurpose: "for servers only",
  elsewhere: "for another host",
};

function modes(): string[] {
  const names = Object.keys(VERDICTS) as (keyof typeof VERDICTS)[];
  return table(
    ["Client presents", ...names.map((name) => `\`${name}\``)],
    (Object.keys(PRESENTED) as Presented[]).map((presented) => [
      PRESENTED[presented],
      ...names.map((name) => {
        const verdict = VERDICTS[name][presented];
        return verdict === verdict.toUpperCase() ? `\`${verdict}\`` : verdict;
      }),
    ]),
  );
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
}
