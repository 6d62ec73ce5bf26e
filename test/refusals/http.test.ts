import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { accept, connect, socketStream } from "../../src/node/index.ts";
import { PemFiles } from "../support/pem-files.ts";
import { connectTo, listenOnce } from "../support/tcp.ts";
import { type Certificates, createCertificates } from "./certificates.ts";
import { optionsFor } from "./ends.ts";

const files = new PemFiles();
let certificates: Certificates;

beforeAll(async () => {
  certificates = await createCertificates(files);
});

afterAll(() => files.remove());

describe("plain HTTP over TCP", () => {
  it("from a client to the TLS port", async () => {
    const { port, connection } = await listenOnce();
    const request = http.get({ port, host: "127.0.0.1" });
    const answered = once(request, "response");
    const refused = accept(socketStream(await connection), optionsFor(certificates, {}, nobleProvider).server);
    await expect(refused).rejects.toMatchObject({ code: "ERR_SSL_HTTP_REQUEST", stage: "START", direction: "sent" });
    // The alert is no HTTP.
    await expect(answered).rejects.toMatchObject({ code: expect.stringMatching(/^HPE_/) });
  });

  it("from a server to a TLS client", async () => {
    const server = http.createServer();
    const clientErrors = once(server, "clientError");
    server.on("clientError", (_error, socket) => socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const socket = await connectTo((server.address() as AddressInfo).port);
    const refused = connect(socketStream(socket), optionsFor(certificates, {}, nobleProvider).client);
    await expect(refused).rejects.toMatchObject({ code: "ERR_SSL_WRONG_VERSION_NUMBER", stage: "WAIT_SH" });
    await clientErrors;
    server.close();
  });
});
