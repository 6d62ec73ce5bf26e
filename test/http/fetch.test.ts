import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, it } from "vitest";
import { latin1, utf8 } from "../../src/bytes/bytes.ts";
import { HttpError } from "../../src/http/index.ts";
import { clientContext, TlsError } from "../../src/index.ts";
import { type Asked, answering, as, ok, type Site, site, streamOf } from "../support/http.ts";
import { codeOf, type Parties, parties } from "../support/session.ts";

let p: Parties;
beforeAll(async () => {
  p = await parties();
});

const URL_ = "https://localhost/";
const failed = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

/** What the server was asked, once. */
async function asked(run: (site: Site) => Promise<unknown>): Promise<Asked> {
  let seen: Asked | undefined;
  const there = site(
    p,
    answering((request) => {
      seen = request;
      return ok("");
    }),
  );
  await run(there);
  there.fetch.close();
  return seen as Asked;
}

describe("fetch", () => {
  it("gives a standard Response", async () => {
    const there = site(p, answering(ok("hello", "X-One: 1", "x-two: a", "x-two: b")));
    const response = await there.fetch("https://localhost:8443/a/b?c=d#e");
    expect(response).toBeInstanceOf(Response);
    expect([response.status, response.statusText, response.ok, response.redirected]).toEqual([200, "OK", true, false]);
    expect([response.headers.get("x-one"), response.headers.get("x-two")]).toEqual(["1", "a, b"]);
    expect(response.url).toBe("https://localhost:8443/a/b?c=d");
    expect(await response.text()).toBe("hello");
    expect([there.dialed, there.clients]).toEqual([["localhost:8443"], ["client"]]);
    there.fetch.close();
  });

  it("asks for the port of https, and takes brackets off an address", async () => {
    const there = site(p, answering(ok("")), { tls: { ...as(p, "client"), serverName: "localhost" } });
    await there.fetch("https://[::1]/");
    await there.fetch("https://localhost:443/");
    expect(there.dialed).toEqual(["::1:443", "localhost:443"]);
    there.fetch.close();
  });

  it("checks the certificate against the URL's host", async () => {
    const { serverName: _, ...tls } = as(p, "client");
    const there = site(p, answering(ok("")), { tls });
    expect(await codeOf(there.fetch("https://elsewhere.test/"))).toBe("ERR_TLS_CERT_ALTNAME_INVALID");
    expect((await there.fetch(URL_)).status).toBe(200);
    there.fetch.close();
  });

  describe("the request", () => {
    it("says where it goes", async () => {
      const request = await asked(({ fetch }) => fetch("https://localhost:8443/a%20b?ü"));
      expect([request.method, request.path, request.version]).toEqual(["GET", "/a%20b?%C3%BC", "HTTP/1.1"]);
      expect(request.fields).toEqual({ host: "localhost:8443", accept: "*/*", "accept-encoding": "gzip, deflate" });
    });

    it("leaves the port of https out of Host", async () => {
      expect((await asked(({ fetch }) => fetch("https://localhost:443/"))).fields.host).toBe("localhost");
    });

    it.each([
      ["text", "héllo", "6", "text/plain;charset=UTF-8", "h\xc3\xa9llo"],
      ["bytes", Uint8Array.of(104, 105), "2", undefined, "hi"],
      ["a form", new URLSearchParams({ a: "1 2" }), "5", "application/x-www-form-urlencoded;charset=UTF-8", "a=1+2"],
      ["a Blob", new Blob(["{}"], { type: "application/json" }), "2", "application/json", "{}"],
      ["nothing", undefined, "0", undefined, ""],
    ])("sends %s with its length", async (_, body, length, type, sent) => {
      const request = await asked(({ fetch }) =>
        fetch(URL_, { method: "post", ...(body === undefined ? {} : { body }) }),
      );
      expect([request.method, request.fields["content-length"], request.fields["content-type"], request.body]).toEqual([
        "POST",
        length,
        type,
        sent,
      ]);
    });

    it("sends a stream in chunks", async () => {
      const body = streamOf(...["one", "", "two"].map(utf8));
      const request = await asked(({ fetch }) => fetch(URL_, { method: "PUT", body, duplex: "half" }));
      expect(request.fields).toMatchObject({ "transfer-encoding": "chunked" });
      expect(request.fields["content-length"]).toBeUndefined();
      expect(request.body).toBe("onetwo");
    });

    it("may be a Request", async () => {
      const given = new Request(URL_, { method: "POST", body: "hi", headers: { "x-own": "1" } });
      const request = await asked(({ fetch }) => fetch(given));
      expect([request.method, request.body, request.fields["x-own"]]).toEqual(["POST", "hi", "1"]);
    });

    it.each([
      ["http", "http://localhost/", {}],
      ["a relative URL", "/a", {}],
      ["a password", "https://a:b@localhost/", {}],
      ["CONNECT", URL_, { method: "connect" }],
      ["TRACE", URL_, { method: "TRACE" }],
      ["a method with a space", URL_, { method: "GET / HTTP/1.1\r\nx: y\r\n\r\nGET" }],
      ["a body with GET", URL_, { body: "a" }],
      ["an unknown option", URL_, { cache: "no-store" } as object],
      ["a wrong redirect", URL_, { redirect: "sometimes" as "follow" }],
      ["full duplex", URL_, { duplex: "full" as "half" }],
      ["ALPN of h2", URL_, { tls: { alpn: ["h2"], trust: "" } }],
      ["early data", URL_, { tls: { earlyData: new Uint8Array(1), trust: "" } }],
      ...[
        "host",
        "Connection",
        "content-length",
        "Transfer-Encoding",
        "te",
        "upgrade",
        "expect",
        "keep-alive",
        "trailer",
      ].map((name): [string, string, object] => [`the field ${name}`, URL_, { headers: { [name]: "1" } }]),
    ])("is refused with %s", async (_, url, init) => {
      const there = site(p, answering(ok("")));
      expect(await failed(there.fetch(url, init))).toMatchObject({ name: "HttpError", code: "ERR_HTTP_REQUEST" });
      expect(there.dialed).toEqual([]);
    });

    it.each(["a\r\nb: c", "a\nb", "a\rb", "a\0b"])("cannot be given another line by a field: %j", async (value) => {
      const there = site(p, answering(ok("")));
      const error = await failed(there.fetch(URL_, { headers: { "x-own": value } }));
      expect(error).toBeInstanceOf(TypeError);
      expect(there.dialed).toEqual([]);
    });

    it("cannot be given another line by headers that are none of the platform's", async () => {
      const there = site(p, answering(ok("")));
      const hostile = {
        *[Symbol.iterator]() {
          yield ["x\r\ny", "1"];
        },
      };
      expect(await failed(there.fetch(URL_, { headers: hostile as unknown as HeadersInit }))).toBeInstanceOf(TypeError);
      expect(there.dialed).toEqual([]);
    });

    it("needs a way to the server and somebody to trust", async () => {
      for (const missing of [{ connect: undefined }, { tls: undefined }]) {
        const there = site(p, answering(ok("")), missing);
        expect(await failed(there.fetch(URL_))).toMatchObject({ code: "ERR_HTTP_REQUEST" });
      }
    });

    it("fails with what its body fails with", async () => {
      const there = site(p, answering(ok("")));
      const reason = new Error("no more");
      const body = new ReadableStream({
        pull(controller) {
          controller.error(reason);
        },
      });
      expect(await failed(there.fetch(URL_, { method: "POST", body }))).toBe(reason);
    });

    it("is refused with a body that somebody else reads, or has read", async () => {
      const there = site(p, answering(ok("")));
      const locked = streamOf(utf8("hi"));
      locked.getReader();
      const read = new Request(URL_, { method: "POST", body: "hi" });
      await read.text();
      for (const fetching of [there.fetch(URL_, { method: "POST", body: locked }), there.fetch(read)]) {
        expect(await failed(fetching)).toMatchObject({ code: "ERR_HTTP_REQUEST" });
      }
      expect(there.dialed).toEqual([]);
    });

    it("is refused with an integrity that nobody would check", async () => {
      const there = site(p, answering(ok("")));
      const integrity = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
      expect(await failed(there.fetch(new Request(URL_, { integrity })))).toMatchObject({ code: "ERR_HTTP_REQUEST" });
      expect(there.dialed).toEqual([]);
    });

    it("asks for a range of what is not coded", async () => {
      const request = await asked(({ fetch }) => fetch(URL_, { headers: { range: "bytes=1-2" } }));
      expect(request.fields["accept-encoding"]).toBe("identity");
    });

    it.each(["an abort", "an answer"])("lets go of a body that gives nothing when %s ends it", async (what) => {
      const ending = new AbortController();
      const there = site(p, async ({ say }) => {
        if (what === "an abort") ending.abort(new Error("enough"));
        else await say(ok("no", "connection: close"));
      });
      let body = new ReadableStream();
      const cancelled = new Promise((resolve) => {
        body = new ReadableStream({ cancel: resolve });
      });
      const fetching = there.fetch(URL_, { method: "POST", body, signal: ending.signal });
      const [outcome] = await Promise.all([failed(fetching.then((response) => response.text())), cancelled]);
      expect(outcome).toEqual(what === "an abort" ? new Error("enough") : undefined);
    });

    it("takes no more of a body than the server reads", async () => {
      let pulled = 0;
      const there = site(p, async () => {
        // Reads nothing.
        await new Promise(() => {});
      });
      const body = new ReadableStream({
        pull(controller) {
          pulled += 0x4000;
          controller.enqueue(new Uint8Array(0x4000));
        },
      });
      const ending = new AbortController();
      const sending = failed(there.fetch(URL_, { method: "POST", body, signal: ending.signal }));
      let before = -1;
      for (let quiet = 0; quiet < 200; before = pulled) {
        await new Promise((resolve) => setImmediate(resolve));
        quiet = before === pulled && pulled > 0 ? quiet + 1 : 0;
      }
      expect(pulled).toBeLessThan(0x200000);
      ending.abort();
      expect(await sending).toMatchObject({ name: "AbortError" });
    });

    it("is answered before all of it is there", async () => {
      const there = site(p, async (served) => {
        await served.say("HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
      });
      const body = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(0x4000)) });
      const response = await there.fetch(URL_, { method: "POST", body });
      expect([response.status, await response.text()]).toEqual([413, "no"]);
    });
  });

  describe("a certificate", () => {
    it("that is refused late is told as such", async () => {
      const there = site(p, answering(ok("")), { tls: as(p, "stranger") });
      const error = await failed(there.fetch(URL_));
      expect(error).toBeInstanceOf(TlsError);
      expect(error).toMatchObject({
        code: "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA",
        alert: "unknown_ca",
        direction: "received",
      });
    });

    it("that is missing is told as such", async () => {
      const there = site(p, answering(ok("")), { tls: { ...as(p, "client"), identities: [] } });
      expect(await codeOf(there.fetch(URL_))).toBe("ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED");
      expect(there.dialed).toHaveLength(1);
    });

    it.each([
      ["this side's", {}, {}],
      ["that it got none", { identities: [] }, { clientAuth: "optional" as const }],
    ])("may be why a server closes without a word: %s", async (shown, options, server) => {
      for (const how of ["abort", "close"] as const) {
        const there = site(
          p,
          async ({ session }) => void session[how](),
          { tls: { ...as(p, "client"), ...options } },
          server,
        );
        const error = await failed(there.fetch(URL_));
        expect(error).toMatchObject({
          code: "ERR_HTTP_CLOSED",
          message: expect.stringContaining(`may have refused ${shown}`),
        });
      }
      const unasked = site(p, async ({ session }) => session.abort(), {}, { clientAuth: "off" });
      const error = await failed(unasked.fetch(URL_));
      expect(error).toMatchObject({
        code: "ERR_HTTP_CLOSED",
        message: "the server closed the connection without a response",
      });
      expect(error).toMatchObject({ cause: { code: "ERR_SSL_UNEXPECTED_EOF_WHILE_READING" } });
    });

    it("is not shown where credentials are omitted", async () => {
      const there = site(p, answering(ok("")), {}, { clientAuth: "optional" });
      await there.fetch(URL_, { credentials: "omit" });
      await there.fetch(URL_);
      expect(there.clients).toEqual([undefined, "client"]);
      there.fetch.close();
    });
  });

  it("offers HTTP/1.1, and says so where a server chose another", async () => {
    const there = site(
      p,
      answering(ok("")),
      { tls: clientContext({ ...as(p, "client"), alpn: ["h2"] }) },
      { alpn: ["h2"] },
    );
    expect(await failed(there.fetch(URL_))).toMatchObject({
      code: "ERR_HTTP_PROTOCOL",
      message: expect.stringContaining("h2"),
    });
    const none = site(p, answering(ok("")), {}, { alpn: ["h2"] });
    expect(await codeOf(none.fetch(URL_))).toBe("ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL");
  });

  describe("the response's body", () => {
    it("streams, and what nobody reads stays with the server", async () => {
      let said = 0;
      const there = site(p, async (served) => {
        await served.ask();
        await served.say("HTTP/1.1 200 OK\r\n\r\n");
        for (; said < 1000; said++) await served.say("x".repeat(0x4000));
        await served.end();
      });
      const response = await there.fetch(URL_);
      let before = -1;
      for (let quiet = 0; quiet < 200; before = said) {
        await new Promise((resolve) => setImmediate(resolve));
        quiet = before === said && said > 0 ? quiet + 1 : 0;
      }
      expect(said).toBeLessThan(100);
      expect((await response.arrayBuffer()).byteLength).toBe(1000 * 0x4000);
    });

    it.each(["gzip", "x-gzip", "GZIP"])("is decoded: %s", async (coding) => {
      const there = site(p, answering(ok(latin1(gzipSync("hello")), `content-encoding: ${coding}`)));
      expect(await (await there.fetch(URL_)).text()).toBe("hello");
      expect((await there.fetch(URL_, { method: "HEAD" })).status).toBe(200);
      there.fetch.close();
    });

    it("is handed on as it is in a coding that was not asked for", async () => {
      const there = site(p, answering(ok("??", "content-encoding: br")));
      const response = await there.fetch(URL_);
      expect([response.headers.get("content-encoding"), await response.text()]).toEqual(["br", "??"]);
      there.fetch.close();
    });

    it.each([
      ["something else", "hello"],
      ["half of it", latin1(gzipSync("hello").subarray(0, 15))],
    ])("is an error where it is not what its coding says: %s", async (_, body) => {
      const there = site(p, answering(ok(body, "content-encoding: gzip")));
      expect(await codeOf((await there.fetch(URL_)).text())).toBe("ERR_HTTP_INVALID_RESPONSE");
      there.fetch.close();
    });

    it("is an error in too many codings", async () => {
      const there = site(p, answering(ok("hello", `content-encoding: ${"gzip,".repeat(5)}`)));
      expect(await codeOf(there.fetch(URL_))).toBe("ERR_HTTP_TOO_LARGE");
    });

    it("fails as its connection does, in a coding as well", async () => {
      const there = site(p, async (served) => {
        await served.ask();
        const half = latin1(gzipSync("hello").subarray(0, 15));
        await served.say(`HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 20\r\n\r\n${half}`);
        await served.end();
      });
      expect(await codeOf((await there.fetch(URL_)).text())).toBe("ERR_HTTP_TRUNCATED");
    });

    it("of no end but close_notify is not complete without", async () => {
      const there = site(p, async (served) => {
        const request = await served.ask();
        await served.say("HTTP/1.1 200 OK\r\n\r\nhello");
        if (request?.path === "/whole") await served.end();
        else served.session.abort();
      });
      expect(await (await there.fetch(`${URL_}whole`)).text()).toBe("hello");
      expect(await codeOf((await there.fetch(URL_)).text())).toMatch(
        /^ERR_(TLS_TRANSPORT|SSL_UNEXPECTED_EOF_WHILE_READING)$/,
      );
    });

    it("after 205 is nobody's, and its connection is not used again", async () => {
      const there = site(
        p,
        answering(({ path }) => (path === "/" ? ok("no").replace("200", "205") : ok("fine"))),
      );
      const response = await there.fetch(URL_);
      expect([response.status, response.body]).toEqual([205, null]);
      expect(await (await there.fetch(`${URL_}b`)).text()).toBe("fine");
      expect(there.dialed).toHaveLength(2);
      there.fetch.close();
    });

    it("of HEAD, 204 and 304 is none", async () => {
      const there = site(
        p,
        answering(({ method, path }) => {
          if (method === "HEAD") return "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
          return `HTTP/1.1 ${path.slice(1)} None\r\n\r\n`;
        }),
      );
      const statuses = [];
      for (const path of ["204", "304"]) {
        const response = await there.fetch(URL_ + path);
        statuses.push([response.status, response.body]);
      }
      const head = await there.fetch(URL_, { method: "HEAD" });
      expect([...statuses, [head.status, head.headers.get("content-length"), head.body]]).toEqual([
        [204, null],
        [304, null],
        [200, "5", null],
      ]);
      expect(there.dialed).toHaveLength(1);
      there.fetch.close();
    });
  });

  describe("is aborted", () => {
    it("before it begins", async () => {
      const there = site(p, answering(ok("")));
      expect(await failed(there.fetch(URL_, { signal: AbortSignal.abort() }))).toMatchObject({ name: "AbortError" });
      expect(there.dialed).toEqual([]);
    });

    it("while it connects, and what comes too late is let go", async () => {
      const ending = new AbortController();
      let give: (stream: { readable: ReadableStream; writable: WritableStream }) => void = () => {};
      const there = site(p, answering(ok("")), { connect: () => new Promise((resolve) => (give = resolve)) });
      const fetching = failed(there.fetch(URL_, { signal: ending.signal }));
      await new Promise((resolve) => setImmediate(resolve));
      ending.abort(new Error("enough"));
      expect(await fetching).toMatchObject({ message: "enough" });
      const cancelled = new Promise((resolve) => {
        give({ readable: new ReadableStream({ cancel: resolve }), writable: new WritableStream() });
      });
      await cancelled;
    });

    it("while the response is waited for, and in its body", async () => {
      const ending = new AbortController();
      const there = site(p, async (served) => {
        const request = await served.ask();
        if (request?.path === "/body") await served.say("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
        else ending.abort(new Error("enough"));
      });
      expect(await failed(there.fetch(URL_, { signal: ending.signal }))).toMatchObject({ message: "enough" });
      const second = new AbortController();
      const response = await there.fetch(`${URL_}body`, { signal: second.signal });
      const reader = response.body?.getReader();
      expect((await reader?.read())?.value).toHaveLength(5);
      const rest = failed(Promise.resolve(reader?.read()));
      second.abort(new Error("enough of it"));
      expect(await rest).toMatchObject({ message: "enough of it" });
    });
  });

  describe("is not waited for forever", () => {
    it.each(["connectTimeout", "headTimeout", "bodyTimeout"] as const)("%s", async (name) => {
      const there = site(
        p,
        async (served) => {
          await served.ask();
          if (name === "bodyTimeout") await served.say("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
        },
        { [name]: 50, ...(name === "connectTimeout" ? { connect: () => new Promise<never>(() => {}) } : {}) },
      );
      const error = await failed(there.fetch(URL_).then((response) => response.text()));
      expect(error).toBeInstanceOf(HttpError);
      expect(error).toMatchObject({ code: "ERR_HTTP_TIMEOUT" });
    });
  });

  it("tells why there is no connection", async () => {
    const there = site(p, answering(ok("")), { connect: () => Promise.reject(new Error("no route")) });
    expect(await failed(there.fetch(URL_))).toMatchObject({
      code: "ERR_HTTP_CONNECT",
      cause: { message: "no route" },
    });
  });

  it("refuses options that it does not know, or that are out of range", () => {
    expect(() => site(p, answering(ok("")), { maxConnections: 0 })).toThrow("maxConnections 0");
    expect(() => site(p, answering(ok("")), { maxSockets: 1 } as object)).toThrow("maxSockets");
  });
});
