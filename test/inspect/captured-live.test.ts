/** What a live observer has seen, and what is read out of a capture of the same connection: item by item the same. */
import { beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import { createLeanProvider, createWebCryptoProvider } from "../../src/crypto/webcrypto.ts";
import {
  type ClientOptions,
  clientContext,
  type ServerOptions,
  sealedTickets,
  serverContext,
  sessionCache,
  strikeRegister,
} from "../../src/engine/index.ts";
import {
  combineObservers,
  createTrace,
  type InspectItem,
  inspectCapture,
  type TraceItem,
  traceJson,
} from "../../src/inspect/index.ts";
import { createThrowawayAuthority, type IssuedIdentity, type ThrowawayAuthority } from "../../src/pki/index.ts";
import { type End, end, exchange } from "../support/pair.ts";
import { inspected, notesOf, recorder } from "./captures.ts";
import { messagesOf, recordsOf } from "./support.ts";

let authority: ThrowawayAuthority;
let server: IssuedIdentity;
let client: IssuedIdentity;

beforeAll(async () => {
  authority = await createThrowawayAuthority({ intermediates: 1 });
  server = await authority.issue({ subject: "localhost", dnsNames: ["localhost"], server: true });
  client = await authority.issue({ subject: "client", client: true });
});

const identity = ({ certificates, privateKey }: IssuedIdentity) => ({ cert: certificates, key: privateKey });

/** One connection, seen by a live trace and by a capture at the same end. */
interface Seen {
  readonly live: TraceItem[];
  readonly read: InspectItem[];
  readonly file: Uint8Array;
  readonly client: End;
  readonly server: End;
}

/** @param talk - What happens before the capture is closed; the handshake is only begun. */
function seen(
  talk: (client: End, server: End) => void,
  clientOptions: Partial<ClientOptions> = {},
  serverOptions: Partial<ServerOptions> = {},
): Seen {
  const live: TraceItem[] = [];
  const capture = recorder("client");
  const common = { provider: nobleProvider, clock: Date.now, trust: authority.certificatePem };
  const observer = combineObservers(
    createTrace("client", (item) => live.push(item)),
    capture.observer,
  );
  const near = end(
    clientContext({
      ...common,
      serverName: "localhost",
      identities: [identity(client)],
      observer,
      ...clientOptions,
    }).engine(),
  );
  const far = end(
    serverContext({ ...common, identities: [identity(server)], clientAuth: "on", ...serverOptions }).engine(),
  );
  talk(near, far);
  const file = capture.file();
  return { live, file, read: inspected(file).items(), client: near, server: far };
}

/** States are not on the wire, and notes not in a live trace. */
function expectSame({ live, read }: Seen, least: number): void {
  const ours = live.filter(({ kind }) => kind !== "state");
  // A client knows these before its ClientHello has left; who looks on learns from it that there are any.
  const early = ours.findIndex(({ kind }) => kind === "record");
  ours.splice(2, 0, ...ours.splice(0, early));
  const theirs = read.filter(({ kind }) => kind !== "note");
  expect(theirs.map(({ kind }) => kind)).toEqual(ours.map(({ kind }) => kind));
  for (const [index, item] of ours.entries()) expect(theirs[index], `item ${index}`).toEqual(item);
  expect(theirs.map(traceJson)).toEqual(ours.map(traceJson));
  expect(ours.length).toBeGreaterThanOrEqual(least);
}

const bothFinished = [
  "verified the server's Finished is right: the server has seen this very handshake, to the byte",
  "verified the client's Finished is right: the client has seen this very handshake, to the byte",
];

const talk = (near: End, far: End) => {
  exchange(near, far);
  if (near.engine.error !== undefined) return;
  near.engine.write(utf8("ping"));
  exchange(near, far);
  far.engine.write(utf8("pong"));
  exchange(near, far);
  near.engine.close();
  exchange(near, far);
  far.engine.close();
  exchange(near, far);
};

describe("a capture of a live connection", () => {
  it.each(nobleProvider.suites.map(({ name }) => name))("reads as it was seen: mutual, %s", (suite) => {
    const both = seen(talk, { cipherSuites: [suite] });
    expect(both.client.engine.result?.cipherSuite).toBe(suite);
    expectSame(both, 24);
    expect(notesOf(both.read)).toEqual(bothFinished);
    const data = recordsOf(both.read as TraceItem[]).filter(({ type }) => type.name === "application_data");
    expect(data.map(({ content }) => new TextDecoder().decode(content))).toEqual(["ping", "pong"]);
  });

  it("with messages spread over padded records", () => {
    const both = seen(talk, { maxFragment: 100, padding: () => 7 }, { maxFragment: 61, padding: (_, n) => n % 5 });
    expectSame(both, 80);
    expect(notesOf(both.read)).toEqual(bothFinished);
  });

  it("with a HelloRetryRequest", () => {
    const both = seen(talk, { keyShares: ["x25519"] }, { groups: ["secp384r1"] });
    expect(both.client.engine.result?.retried).toBe(true);
    expectSame(both, 24);
    expect(notesOf(both.read)).toEqual(bothFinished);
    expect(messagesOf(both.read as TraceItem[]).map(({ type }) => type)).toContain("hello_retry_request");
  });

  it("with keys updated from both sides, again and again", () => {
    const both = seen((near, far) => {
      exchange(near, far);
      for (let round = 0; round < 3; round++) {
        near.engine.updateKeys("update_requested");
        near.engine.write(utf8(`up ${round}`));
        exchange(near, far);
        far.engine.updateKeys("update_not_requested");
        far.engine.write(utf8(`down ${round}`));
        exchange(near, far);
      }
    });
    expectSame(both, 40);
    const generations = recordsOf(both.read as TraceItem[]).map(({ from, generation }) => `${from} ${generation}`);
    expect(generations).toContain("client 3");
    expect(generations).toContain("server 6");
  });

  it("with authentication after the handshake: its Finished is checked, too", () => {
    const both = seen(
      (near, far) => {
        exchange(near, far);
        for (let round = 0; round < 2; round++) {
          far.engine.requestClientCertificate();
          near.engine.updateKeys("update_not_requested");
          exchange(near, far);
        }
      },
      { postHandshakeAuth: true },
      { postHandshakeAuth: true, clientAuth: "off" },
    );
    expect(both.server.engine.result?.peer?.commonName).toBe("client");
    expectSame(both, 24);
    expect(notesOf(both.read)).toEqual([...bothFinished, bothFinished[1], bothFinished[1]]);
  });

  it("that a server has refused", () => {
    const both = seen(talk, { identities: [] });
    expect(both.client.engine.error?.code).toBe("ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED");
    expectSame(both, 16);
  });

  it("that ended with the ClientHello", () => {
    const both = seen(talk, { groups: ["secp256r1"], keyShares: ["secp256r1"] }, { groups: ["x25519"] });
    expectSame(both, 2);
    expect(inspected(both.file).connections).toMatchObject([{ dissected: true, protocol: undefined }]);
    expect(both.read.at(-1)).toMatchObject({ kind: "alert", description: { name: "handshake_failure" } });
  });

  describe("resumed, with early data", () => {
    const tickets = () => ({ store: sealedTickets() });

    function resumed(changed: Partial<ServerOptions>): Seen & { readonly fromServer: InspectItem[] } {
      const sessions = sessionCache();
      const options: Partial<ServerOptions> = {
        tickets: tickets(),
        acceptEarlyData: { antiReplay: strikeRegister() },
        clientAuth: "off",
      };
      const offer: Partial<ClientOptions> = { sessions, offerEarlyData: true };
      seen((near, far) => exchange(near, far), offer, options);
      const far = recorder("server");
      const both = seen(
        (near, server) => {
          expect(near.engine.writeEarlyData(utf8("early bird"))).toBe(10);
          exchange(near, server);
          near.engine.write(utf8("later"));
          exchange(near, server);
        },
        offer,
        { ...options, ...changed, observer: far.observer },
      );
      expect(both.client.engine.result?.resumed).toBe(true);
      return { ...both, fromServer: inspected(far.file()).items() };
    }

    const early = (items: readonly InspectItem[]) =>
      recordsOf(items as TraceItem[]).filter(({ epoch }) => epoch === "early");

    it("that is accepted", () => {
      const both = resumed({});
      expect(both.client.engine.result?.earlyData).toBe("accepted");
      expectSame(both, 16);
      expect(notesOf(both.read)).toEqual(bothFinished);
      expect(messagesOf(both.read as TraceItem[]).map(({ type }) => type)).toContain("end_of_early_data");
      expect(early(both.fromServer).map(({ sequence }) => sequence)).toEqual([0, 1]);
    });

    it.each([
      ["without a retry", { acceptEarlyData: undefined }],
      ["with a HelloRetryRequest", { groups: ["secp384r1"] }],
    ] as const)("that is rejected, %s", (_, changed) => {
      const both = resumed(changed);
      expect(both.client.engine.result?.earlyData).toBe("rejected");
      expectSame(both, 16);
      expect(notesOf(both.read)).toEqual(bothFinished);
      // The server cannot know the secret, and neither can its key log.
      expect(early(both.fromServer)).toMatchObject([
        {
          sequence: undefined,
          secret: "client_early_traffic_secret",
          note: "no CLIENT_EARLY_TRAFFIC_SECRET for this client_random in the key log",
        },
      ]);
      expect(notesOf(both.fromServer)).toEqual(bothFinished);
    });

    it("that is accepted, though nobody knows its secret", () => {
      const both = resumed({});
      const keys = keyLogIn(both.file).filter((line) => !line.startsWith("CLIENT_EARLY_TRAFFIC_SECRET"));
      const items = inspected(withoutSecrets(both.file), { keyLog: keys.join("\n") }).items();
      expect(early(items).map(({ note }) => note)).toEqual(
        Array(2).fill("no CLIENT_EARLY_TRAFFIC_SECRET for this client_random in the key log"),
      );
      expect(notesOf(items)).toEqual(bothFinished);
    });

    it("whose client has logged nothing: the server's side is judged all the same", () => {
      const both = resumed({});
      const keys = keyLogIn(both.file).filter((line) => line.startsWith("SERVER_"));
      const items = inspected(withoutSecrets(both.file), { keyLog: keys.join("\n") }).items();
      expect(notesOf(items)).toEqual([bothFinished[0]]);
      const closed = recordsOf(items as TraceItem[]).filter(
        ({ from, outerType }) => from === "client" && outerType.code === 23,
      );
      // Early data first; what comes after the ServerHello may be of any epoch.
      const [first, ...others] = closed.map(({ secret }) => secret);
      expect(first).toBe("client_early_traffic_secret");
      const any =
        "client_early_traffic_secret or client_handshake_traffic_secret or client_application_traffic_secret_0 or later";
      expect(new Set(others)).toEqual(new Set([any]));
    });
  });

  it.each(["TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"] as const)(
    "under %s, where a provider has it",
    (suite) => {
      const provider = createNodeProvider();
      const both = seen(talk, { provider, cipherSuites: [suite] }, { provider, cipherSuites: [suite] });
      const opened = inspected(both.file, { provider }).items();
      expectSame({ ...both, read: opened }, 24);
      expect(notesOf(opened)).toEqual(bothFinished);
      const closed = recordsOf(both.read as TraceItem[]).map(({ note }) => note);
      expect(closed).toContain(`cipher suite ${suite} is not supported by the provider noble`);
    },
  );

  it("is the same with every provider", () => {
    const both = seen(talk);
    for (const provider of [createNodeProvider(), createWebCryptoProvider({ fallback: nobleProvider })]) {
      expect(inspected(both.file, { provider }).items()).toEqual(both.read);
    }
  });

  it("says what is missing where a key log is not whole", () => {
    const { file } = seen(talk);
    const keys = keyLogIn(file);
    const bare = withoutSecrets(file);
    const notes = (keyLog: string) =>
      new Set(recordsOf(inspected(bare, { keyLog }).items() as TraceItem[]).map(({ note }) => note));
    expect(notes("")).toContain("there is no key log to decrypt it with");
    const closed = recordsOf(inspected(bare).items() as TraceItem[]).filter(({ outerType }) => outerType.code === 23);
    // What is closed may be of either epoch, the first record excepted.
    for (const side of ["client", "server"]) {
      const secrets = closed.filter(({ from }) => from === side).map(({ secret }) => secret);
      const either = `${side}_handshake_traffic_secret or ${side}_application_traffic_secret_0 or later`;
      expect(secrets).toEqual([`${side}_handshake_traffic_secret`, ...secrets.slice(1).map(() => either)]);
      expect(secrets.length).toBeGreaterThan(2);
    }
    const without = (label: string) => keys.filter((line) => !line.startsWith(`${label} `)).join("\n");
    for (const label of [
      "SERVER_HANDSHAKE_TRAFFIC_SECRET",
      "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
      "CLIENT_TRAFFIC_SECRET_0",
    ]) {
      expect(notes(without(label))).toContain(`no ${label} for this client_random in the key log`);
    }
    const other = keys.map((line) => line.replace(/ [0-9a-f]{64} /, ` ${"ab".repeat(32)} `)).join("\n");
    expect(notes(other)).toContain("no SERVER_HANDSHAKE_TRAFFIC_SECRET for this client_random in the key log");
    const wrong = keys.map((line) => line.replace(/[0-9a-f]{8}$/, "00000000")).join("\n");
    expect(notes(wrong)).toContain("the secret in the key log does not open it: wrong, or the record was changed");
    expect(notes(wrong)).toContain("a record before it could not be opened");
    const long = keys.map((line) => `${line}${line.length < 180 ? "00".repeat(16) : ""}`).join("\n");
    expect([...notes(long)].join()).toMatch(
      /in the key log has (48|\d+) bytes, and the hash of TLS_\w+ \d+|does not open/,
    );
    // The application's keys are enough for what the application sent.
    const late = keys.filter((line) => /TRAFFIC_SECRET_0/.test(line)).join("\n");
    const read = recordsOf(inspected(bare, { keyLog: late }).items() as TraceItem[]);
    expect(read.filter(({ sequence }) => sequence !== undefined).map(({ type }) => type.name)).toEqual([
      "application_data",
      "application_data",
      "alert",
      "alert",
    ]);
  });

  it("tells a Finished that is wrong, and one that cannot be judged", () => {
    const { file } = seen(talk);
    // The ClientHello with another byte in its session identifier: no key depends on it.
    const changed = file.slice();
    const at = find(changed, Uint8Array.of(0x16, 3, 1)) + 5 + 4 + 2 + 32 + 5;
    changed[at] = (changed[at] as number) ^ 1;
    expect(notesOf(inspected(changed).items())).toEqual([
      "problem the server's Finished is wrong: the server has seen another handshake than this one",
      "problem the client's Finished is wrong: the client has seen another handshake than this one",
    ]);
    const keys = keyLogIn(file).filter((line) => !line.startsWith("SERVER_HANDSHAKE"));
    const notes = notesOf(inspected(withoutSecrets(file), { keyLog: keys.join("\n") }).items());
    expect(notes).toEqual([
      "problem the client's Finished could not be checked: not all of the handshake before it was seen",
    ]);
  });

  it("takes what is written of it alone: a server's capture reads as the client's", () => {
    const far = recorder("server");
    const both = seen(talk, {}, { observer: far.observer });
    const view = (items: readonly InspectItem[]) =>
      [...recordsOf(items as TraceItem[]), ...messagesOf(items as TraceItem[])].filter(({ from }) => from === "client");
    expect(view(inspected(far.file()).items())).toEqual(view(both.read));
    let count = 0;
    inspectCapture(both.file, { provider: nobleProvider, only: 2, onItem: () => count++ });
    expect(count).toBe(0);
  });

  it("needs a provider that opens records at once", () => {
    const { file } = seen(talk, { cipherSuites: ["TLS_AES_128_GCM_SHA256"] });
    expect(() => inspected(file, { provider: createLeanProvider() })).toThrow(
      expect.objectContaining({ code: "ERR_TLS_OPTION", detail: expect.stringContaining("answers later only") }),
    );
  });
});

/** The lines of the secrets in a capture that we wrote. */
function keyLogIn(file: Uint8Array): string[] {
  const text = new TextDecoder("latin1").decode(file);
  return text.match(/[A-Z_0-9]+ [0-9a-f]{64} [0-9a-f]+(?=\n)/g) ?? [];
}

/** The same with secrets blocks of a type that nobody knows. */
function withoutSecrets(file: Uint8Array): Uint8Array {
  const copy = file.slice();
  const view = new DataView(copy.buffer);
  for (let at = 0; at < copy.length; at += view.getUint32(at + 4, true)) {
    if (view.getUint32(at, true) === 0x0a) view.setUint32(at, 0x0bad, true);
  }
  return copy;
}

function find(bytes: Uint8Array, wanted: Uint8Array): number {
  return bytes.findIndex((_, index) => wanted.every((byte, offset) => bytes[index + offset] === byte));
}
