import { beforeAll, describe, expect, it } from "vitest";
import { clientContext } from "../../src/index.ts";
import { answering, as, ok, type Served, site, streamOf } from "../support/http.ts";
import { codeOf, type Parties, parties, pemOf } from "../support/session.ts";

let p: Parties;
beforeAll(async () => {
  p = await parties();
});

const URL_ = "https://localhost/";
const text = async (response: Promise<Response>) => (await response).text();

describe("connections", () => {
  it("are kept for the next request to the same origin, and for no other", async () => {
    const there = site(
      p,
      answering(({ path }, { number }) => ok(`${number}${path}`)),
    );
    const seen = [];
    for (const url of [URL_, `${URL_}b`, "https://localhost:8443/", `${URL_}c`])
      seen.push(await text(there.fetch(url)));
    expect(seen).toEqual(["1/", "1/b", "2/", "1/c"]);
    there.fetch.close();
    expect(await text(there.fetch(URL_))).toBe("3/");
    expect(await text(there.fetch(URL_))).toBe("4/");
  });

  it("are kept for one identity: two that fetch at once never mix", async () => {
    const there = site(
      p,
      answering((_, { session }) => ok(String(session.peer?.commonName))),
      {},
      {
        trust: undefined,
        clientAuth: "optional_no_ca",
        verifier: undefined,
      },
    );
    const identities = { client: as(p, "client"), stranger: as(p, "stranger") };
    const seen = await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const who = index % 2 === 0 ? "client" : "stranger";
        return [who, await text(there.fetch(URL_, { tls: identities[who] }))];
      }),
    );
    for (const [who, name] of seen) expect(name).toBe(who);
    expect(there.dialed.length).toBeLessThanOrEqual(12);
    there.fetch.close();
  });

  it("are kept for one generation of a context", async () => {
    const tls = clientContext({ ...as(p, "client"), alpn: ["http/1.1"] });
    const there = site(
      p,
      answering((_, { number }) => ok(String(number))),
      { tls },
    );
    expect([await text(there.fetch(URL_)), await text(there.fetch(URL_))]).toEqual(["1", "1"]);
    tls.replace({ identities: [pemOf(p.client)] });
    expect([await text(there.fetch(URL_)), await text(there.fetch(URL_))]).toEqual(["2", "2"]);
    there.fetch.close();
  });

  it("are kept for one way to connect", async () => {
    const there = site(
      p,
      answering((_, { number }) => ok(String(number))),
    );
    const other = (host: string, port: number) => there.connect(host, port);
    expect([await text(there.fetch(URL_)), await text(there.fetch(URL_, { connect: other }))]).toEqual(["1", "2"]);
    there.fetch.close();
  });

  it("are not kept where who this side is may change", async () => {
    const tls = { ...as(p, "client"), selectIdentity: () => undefined };
    const there = site(
      p,
      answering((_, { number }) => ok(String(number))),
      { tls },
      { clientAuth: "optional" },
    );
    expect([await text(there.fetch(URL_)), await text(there.fetch(URL_))]).toEqual(["1", "2"]);
  });

  it.each([
    ["a body that was not read", ok("hello"), async (response: Response) => response.body?.cancel()],
    ["Connection: close", ok("hello", "connection: close"), undefined],
    ["HTTP/1.0", ok("hello").replace("1.1", "1.0"), undefined],
    ["bytes that nobody asked for", `${ok("hello")}HTTP/1.1 200 OK\r\n`, undefined],
  ])("are not kept after %s", async (_, answer, then) => {
    const there = site(p, answering(answer));
    for (let i = 0; i < 2; i++) {
      const response = await there.fetch(URL_);
      await (then ?? (() => response.text()))(response);
    }
    expect(there.dialed).toHaveLength(2);
    there.fetch.close();
  });

  it("are not kept after an error", async () => {
    const there = site(
      p,
      answering(({ path }) => (path === "/" ? "HTTP/1.1 200 OK\r\na : b\r\n\r\n" : ok("fine"))),
    );
    expect(await codeOf(there.fetch(URL_))).toBe("ERR_HTTP_INVALID_RESPONSE");
    expect(await text(there.fetch(`${URL_}fine`))).toBe("fine");
    expect(there.dialed).toHaveLength(2);
    there.fetch.close();
  });

  it("are let go when the server sends something while nobody asks", async () => {
    let said: Promise<void> | undefined;
    const there = site(p, async (served) => {
      await served.ask();
      await served.say(ok("hello"));
      said = new Promise((resolve) => setImmediate(resolve)).then(() =>
        served.say("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged"),
      );
      await answering(ok("hello"))(served);
    });
    expect(await text(there.fetch(URL_))).toBe("hello");
    await said;
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
    expect(await text(there.fetch(URL_))).toBe("hello");
    expect(there.dialed).toHaveLength(2);
    there.fetch.close();
  });

  it("are let go after their time", async () => {
    let ended: () => void = () => {};
    const over = new Promise<void>((resolve) => {
      ended = resolve;
    });
    const there = site(
      p,
      async (served) => {
        await answering(ok("hello"))(served);
        ended();
      },
      { keepAliveTimeout: 20 },
    );
    expect(await text(there.fetch(URL_))).toBe("hello");
    await over;
    expect(await text(there.fetch(URL_))).toBe("hello");
    expect(there.dialed).toHaveLength(2);
  });

  it("are not kept at all, or no more than so many, where that is wanted", async () => {
    const none = site(p, answering(ok("")), { keepAliveTimeout: 0 });
    for (let i = 0; i < 2; i++) await none.fetch(URL_);
    expect(none.dialed).toHaveLength(2);
    const one = site(p, answering(ok("")), { maxIdle: 1 });
    for (const port of [1, 2, 1, 1]) await one.fetch(`https://localhost:${port}/`);
    expect(one.dialed).toEqual(["localhost:1", "localhost:2", "localhost:1"]);
    one.fetch.close();
  });

  it("are no more than so many at once; who waits may be aborted", async () => {
    const asked: Served[] = [];
    let open = 0;
    let most = 0;
    const there = site(
      p,
      answering(async (_, served) => {
        asked.push(served);
        most = Math.max(most, ++open);
        await new Promise((resolve) => setImmediate(resolve));
        open--;
        return ok("hello");
      }),
      { maxConnections: 2 },
    );
    const ending = new AbortController();
    const many = Array.from({ length: 9 }, () => text(there.fetch(URL_)));
    const aborted = there.fetch(URL_, { signal: ending.signal }).catch((error: Error) => error.message);
    await new Promise((resolve) => setImmediate(resolve));
    ending.abort(new Error("enough"));
    expect(await Promise.all(many)).toEqual(Array(9).fill("hello"));
    expect([await aborted, most, there.dialed.length]).toEqual(["enough", 2, 2]);
    there.fetch.close();
  });

  it("are given back by an abort, though nobody reads the response", async () => {
    const there = site(
      p,
      answering(({ path }) => (path === "/" ? "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n" : ok("next"))),
      { maxConnections: 1 },
    );
    const ending = new AbortController();
    const response = await there.fetch(URL_, { signal: ending.signal });
    const waiting = text(there.fetch(`${URL_}next`));
    ending.abort(new Error("enough"));
    expect(await waiting).toBe("next");
    await expect(response.text()).rejects.toThrow("enough");
    there.fetch.close();
  });

  describe("that were closed meanwhile", () => {
    /** Closes the first connection when its second request has come. */
    const closing = (how: (served: Served) => unknown) => async (served: Served) => {
      if (served.number > 1) return answering(({ method, body }) => ok(`${method} ${body}`))(served);
      await served.ask();
      await served.say(ok("first"));
      await served.ask();
      await how(served);
    };
    const ends = {
      close_notify: (served: Served) => served.end(),
      "no close_notify": (served: Served) => served.session.abort(),
    };

    it.each(Object.entries(ends))("cost a request that may happen twice nothing: %s", async (_, how) => {
      for (const [method, body] of [["GET"], ["PUT", "again"], ["DELETE"]] as const) {
        const there = site(p, closing(how));
        await text(there.fetch(URL_));
        expect(await text(there.fetch(URL_, { method, ...(body === undefined ? {} : { body }) }))).toBe(
          `${method} ${body ?? ""}`,
        );
        expect(there.dialed).toHaveLength(2);
        there.fetch.close();
      }
    });

    it("fail a request that may not, or a body that cannot be sent again", async () => {
      const stream = () => streamOf(new Uint8Array(1));
      for (const init of [
        { method: "POST", body: "once" },
        { method: "PUT", body: stream() },
      ]) {
        const there = site(p, closing(ends.close_notify));
        await text(there.fetch(URL_));
        expect(await codeOf(there.fetch(URL_, init))).toBe("ERR_HTTP_CLOSED");
        expect(there.dialed).toHaveLength(1);
      }
    });

    it("are tried again once, and not where a byte of the response has come, nor where the connection is new", async () => {
      const twice = site(p, async (served) => {
        if (served.number === 1) {
          await served.ask();
          await served.say(ok("first"));
        }
        await served.ask();
        await served.end();
      });
      await text(twice.fetch(URL_));
      expect([await codeOf(twice.fetch(URL_)), twice.dialed.length]).toEqual(["ERR_HTTP_CLOSED", 2]);
      const begun = site(
        p,
        closing(async (served) => {
          await served.say("H");
          await served.end();
        }),
      );
      await text(begun.fetch(URL_));
      expect([await codeOf(begun.fetch(URL_)), begun.dialed.length]).toEqual(["ERR_HTTP_TRUNCATED", 1]);
    });
  });
});
