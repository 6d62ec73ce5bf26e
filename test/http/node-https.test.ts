import { createServer, type Server } from "node:https";
import { type AddressInfo, connect as connectTcp } from "node:net";
import { Readable } from "node:stream";
import type { TLSSocket } from "node:tls";
import { createGzip } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nodeProvider } from "../../src/crypto/node.ts";
import { createFetch, type TlsFetch } from "../../src/http/index.ts";
import { clientContext } from "../../src/index.ts";
import { socketStream } from "../../src/node/index.ts";
import { type Parties, parties, pattern, pemOf } from "../support/session.ts";

/** fetch against node:https with client certificates, over TCP. */
describe("fetch and node:https", () => {
  let p: Parties;
  let server: Server;
  let url: string;
  let fetch: TlsFetch;
  let connections = 0;

  beforeAll(async () => {
    p = await parties();
    server = createServer(
      { ...pemOf(p.server), ca: p.ca, requestCert: true, keepAliveTimeout: 300 },
      (request, response) => {
        switch (request.url) {
          case "/echo":
            response.writeHead(200, { "content-type": request.headers["content-type"] ?? "none" });
            request.pipe(response);
            return;
          case "/gzip":
            response.writeHead(200, { "content-encoding": "gzip" });
            Readable.from([pattern(200_000)])
              .pipe(createGzip())
              .pipe(response);
            return;
          case "/moved":
            response.writeHead(307, { location: "/echo" }).end("elsewhere");
            return;
          case "/early":
            response.writeEarlyHints({ link: "</a>; rel=preload" });
            response.writeContinue();
            response.setHeader("trailer", "x-sum");
            response.write("early");
            response.addTrailers({ "x-sum": "1" });
            response.end();
            return;
          default:
            response.end((request.socket as TLSSocket).getPeerCertificate().subject.CN);
        }
      },
    );
    server.on("secureConnection", () => connections++);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    url = `https://localhost:${(server.address() as AddressInfo).port}/`;
    const tls = { ...p.clientOptions, provider: nodeProvider };
    const connect = (_: string, port: number) => socketStream(connectTcp({ host: "127.0.0.1", port }));
    fetch = createFetch({ clientContext: (options) => clientContext(options), tls, connect });
  });

  afterAll(() => {
    fetch.close();
    server.closeAllConnections();
    server.close();
  });

  it("is known by its certificate, on one connection for a hundred requests", async () => {
    const before = connections;
    for (let i = 0; i < 100; i++) expect(await (await fetch(url)).text()).toBe("client");
    expect(connections - before).toBe(1);
  });

  it("sends and receives bodies of a length and in chunks", async () => {
    const data = new Uint8Array(pattern(1_000_000));
    const chunked = new Blob([data]).stream();
    for (const body of [data, chunked]) {
      const response = await fetch(`${url}echo`, { method: "POST", body });
      expect(Buffer.compare(new Uint8Array(await response.arrayBuffer()), data)).toBe(0);
    }
  });

  it("sends forms as the platform does", async () => {
    const body = new FormData();
    body.append("file", new Blob(["content"]), "name");
    const response = await fetch(`${url}echo`, { method: "POST", body });
    expect(await (await response.formData()).get("file")).toBeInstanceOf(Blob);
  });

  it("undoes gzip, passes over interim responses and trailers, and follows redirects", async () => {
    expect(Buffer.compare(new Uint8Array(await (await fetch(`${url}gzip`)).arrayBuffer()), pattern(200_000))).toBe(0);
    expect(await (await fetch(`${url}early`)).text()).toBe("early");
    expect(await (await fetch(`${url}moved`, { method: "PUT", body: "again" })).text()).toBe("again");
  });

  it("goes on when the server has closed what was kept", async () => {
    await (await fetch(url)).text();
    const before = connections;
    server.closeIdleConnections();
    expect(await (await fetch(url)).text()).toBe("client");
    expect(connections - before).toBe(1);
  });
});
