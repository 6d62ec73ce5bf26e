import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { AlertDescription } from "../../src/codec/registry.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import { type AlertName, alertReceived, type Side, TlsError } from "../../src/errors.ts";
import { accept, connect, socketStream, type TlsSession } from "../../src/node/index.ts";
import {
  endOpenssl,
  type OpensslOptions,
  type OpensslProcess,
  startClient,
  startServer,
  withoutOpenssl,
} from "../support/openssl.ts";
import { whole } from "../support/pair.ts";
import { PemFiles } from "../support/pem-files.ts";
import { type Relay, startRelay } from "../support/relay.ts";
import { acceptSocket, connectSocket, connectTo, listenOnce, writeBytes } from "../support/tcp.ts";
import { type Certificates, createCertificates, opensslIdentity } from "./certificates.ts";
import { cutting, flipping, makeEngine, optionsFor } from "./ends.ts";
import { type OpensslRefusal, REFUSALS, type Refusal, type Setup } from "./refusals.ts";

const files = new PemFiles();
const PROVIDERS = [nobleProvider, createNodeProvider()];
let certificates: Certificates;

beforeAll(async () => {
  certificates = await createCertificates(files);
});

afterAll(() => {
  endOpenssl();
  files.remove();
});

const otherSide = (side: Side): Side => (side === "client" ? "server" : "client");

describe.skipIf(withoutOpenssl).concurrent("refusals over TCP, OpenSSL offends", () => {
  for (const [index, refusal] of REFUSALS.entries()) {
    const { opensslOffends, refuses, name, code, stage, alert } = refusal;
    if (opensslOffends === undefined) continue;
    it(`mutls ${refuses} refuses: ${name}`, async () => {
      const setup = refusal.setup(certificates);
      const meeting = await meet(refusal, setup, refuses, opensslOffends(certificates), index);
      if (setup.cut === "connected" || setup.flip === "connected") {
        await meeting.session;
        await meeting.openssl.until(() => meeting.openssl.summary().protocol !== undefined);
      }
      if (setup.cut === "connected") meeting.relay?.cut();
      if (setup.flip === "connected") {
        meeting.relay?.disturb(flipping());
        meeting.openssl.process.stdin.write("changed on its way\n");
      }
      const error = await failureOf(meeting.session);
      expect({ code: error.code, stage: error.stage, alert: error.alert, direction: error.direction }).toEqual({
        code,
        stage,
        alert,
        direction: alert === undefined ? undefined : "sent",
      });
      await meeting.openssl.exited;
      if (alert !== undefined) expect(meeting.openssl.stderr()).toContain(alertNumber(alert));
    });
  }
});

describe.skipIf(withoutOpenssl).concurrent("refusals over TCP, OpenSSL refuses", () => {
  for (const [index, refusal] of REFUSALS.entries()) {
    const { opensslRefuses, refuses, name, noticed } = refusal;
    if (opensslRefuses === undefined) continue;
    it(`openssl ${refuses} refuses: ${name}`, async () => {
      const setup = refusal.setup(certificates);
      const options = opensslRefuses.options?.(certificates) ?? {};
      const meeting = await meet(refusal, setup, otherSide(refuses), options, index);
      if (setup.cut === "connected" || setup.flip === "connected") {
        const { writable } = await meeting.session;
        await meeting.openssl.until(() => meeting.openssl.summary().protocol !== undefined);
        if (setup.cut === "connected") meeting.relay?.cut();
        else {
          meeting.relay?.disturb(flipping());
          await writeBytes(writable, utf8("changed on its way\n"));
        }
      }
      const error = await failureOf(meeting.session);
      await meeting.openssl.exited;
      expect(meeting.openssl.stderr()).toContain(opensslRefuses.reason);
      const alert = alertOf(refusal, opensslRefuses);
      if (alert === undefined) return;
      const { code } = alertReceived(alert);
      expect({ code: error.code, stage: error.stage, alert: error.alert, direction: error.direction }).toEqual({
        code,
        stage: noticed,
        alert,
        direction: "received",
      });
    });
  }
});

describe.skipIf(withoutOpenssl)("a server that speaks only TLS 1.2", () => {
  it("is told apart by its alert", async () => {
    const { port, server } = await startServer({
      ...opensslDefaults("server"),
      "-tls1_3": undefined,
      "-tls1_2": true,
    });
    const both = optionsFor(certificates, {}, nobleProvider);
    const session = connect(socketStream(await connectSocket(port, server)), both.client);
    const { code, stage, alert, direction } = await failureOf(session);
    expect({ code, stage, alert, direction }).toEqual({
      code: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION",
      stage: "WAIT_SH",
      alert: "protocol_version",
      direction: "received",
    });
    await server.exited;
    expect(server.stderr()).toContain("unsupported protocol");
  });
});

const alertOf = (refusal: Refusal, openssl: OpensslRefusal) => openssl.alert ?? refusal.alert;
const alertNumber = (alert: AlertName) => `SSL alert number ${AlertDescription.codes[alert]}`;

interface Meeting {
  readonly session: Promise<TlsSession>;
  readonly openssl: OpensslProcess;
  readonly relay: Relay | undefined;
}

/** Our side of the case against `openssl`, through a relay where the network offends. */
async function meet(
  refusal: Refusal,
  setup: Setup,
  ours: Side,
  options: OpensslOptions,
  index: number,
): Promise<Meeting> {
  const both = optionsFor(certificates, setup, PROVIDERS[index % PROVIDERS.length] as (typeof PROVIDERS)[number]);
  // Only the offender cheats, and that is not always this side.
  const context = { engine: () => makeEngine(ours, both, ours === refusal.refuses ? undefined : setup.cheat) };
  let relay: Relay | undefined;
  const relayed = setup.flip !== undefined || setup.cut !== undefined;
  const { cut, flip } = setup;
  const wire = flip === "first" ? flipping() : typeof cut === "number" ? cutting(cut, () => relay?.cut()) : whole;

  if (ours === "client") {
    const { port, server: openssl } = await startServer({ ...opensslDefaults("server"), ...options });
    const open = () => connectSocket(port, openssl);
    if (relayed) relay = await startRelay(open, refusal.refuses, wire);
    const socket = relay === undefined ? await open() : await connectTo(relay.port);
    return { session: observed(connect(socketStream(socket), context)), openssl, relay };
  }
  const { port, connection } = await listenOnce();
  if (relayed) relay = await startRelay(() => connectTo(port), refusal.refuses, wire);
  const openssl = startClient(relay?.port ?? port, { ...opensslDefaults("client"), ...options });
  return { session: observed(accept(socketStream(await acceptSocket(connection, openssl)), context)), openssl, relay };
}

/** A promise whose rejection may be looked at later. */
function observed<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

function opensslDefaults(side: Side): OpensslOptions {
  const { ca, [side]: party } = certificates;
  return {
    ...opensslIdentity(files, party.good),
    "-quiet": true,
    "-tls1_3": true,
    "-CAfile": files.path(ca),
    "-verify_return_error": true,
    ...(side === "server"
      ? { "-Verify": 5 }
      : { "-verify": 5, "-servername": "localhost", "-verify_hostname": "localhost" }),
  };
}

/** What ended the connection, in the handshake or after it. */
async function failureOf(session: Promise<TlsSession>): Promise<TlsError> {
  try {
    await (await session).closed;
  } catch (error) {
    if (error instanceof TlsError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}
