import { beforeAll, describe, expect, it } from "vitest";
import { clientContext } from "../../src/index.ts";
import { type Asked, answering, as, ok, site, streamOf } from "../support/http.ts";
import { codeOf, type Parties, parties } from "../support/session.ts";

let p: Parties;
beforeAll(async () => {
  p = await parties();
});

const URL_ = "https://localhost/";
const moved = (status: number, location: string, body = "") =>
  `HTTP/1.1 ${status} Moved\r\nlocation: ${location}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

/** `/` leads to `location`; everything else says what was asked. */
function leading(status: number, location: string, asked: Asked[] = []) {
  return answering((request) => {
    asked.push(request);
    return request.path === "/"
      ? moved(status, location, "moved")
      : ok(`${request.method} ${request.path} ${request.body}`);
  });
}

describe("a redirect", () => {
  it("is followed, on the same connection", async () => {
    const there = site(p, leading(302, "/b?c#d"));
    const response = await there.fetch(URL_);
    expect([await response.text(), response.url, response.redirected]).toEqual([
      "GET /b?c ",
      "https://localhost/b?c",
      true,
    ]);
    expect(there.dialed).toHaveLength(1);
    there.fetch.close();
  });

  it.each([
    [301, "POST", "GET /b "],
    [302, "POST", "GET /b "],
    [303, "POST", "GET /b "],
    [303, "PUT", "GET /b "],
    [302, "PUT", "PUT /b hi"],
    [307, "POST", "POST /b hi"],
    [308, "POST", "POST /b hi"],
  ])("%s of %s becomes %s", async (status, method, expected) => {
    const asked: Asked[] = [];
    const there = site(p, leading(status, "/b", asked));
    expect(await (await there.fetch(URL_, { method, body: "hi" })).text()).toBe(expected);
    expect(asked[1]?.fields["content-type"] !== undefined).toBe(expected.endsWith("hi"));
    there.fetch.close();
  });

  it("of HEAD stays HEAD", async () => {
    const asked: Asked[] = [];
    const there = site(
      p,
      answering((request) => {
        asked.push(request);
        return request.path === "/" ? moved(303, "/b") : "HTTP/1.1 200 OK\r\n\r\n";
      }),
    );
    await there.fetch(URL_, { method: "HEAD" });
    expect(asked.map(({ method }) => method)).toEqual(["HEAD", "HEAD"]);
    there.fetch.close();
  });

  it("with a body that cannot be sent again is an error", async () => {
    const there = site(p, leading(307, "/b"));
    const body = streamOf(new Uint8Array(1));
    expect(await codeOf(there.fetch(URL_, { method: "POST", body }))).toBe("ERR_HTTP_REDIRECT");
  });

  it.each([
    ["http", "http://localhost/b"],
    ["another scheme", "javascript:alert(1)"],
    ["a password", "https://a:b@localhost/"],
    ["no URL", "https://["],
  ])("to %s is an error", async (_, location) => {
    const there = site(p, leading(302, location));
    expect(await codeOf(there.fetch(URL_))).toBe("ERR_HTTP_REDIRECT");
  });

  it("of two places is an error", async () => {
    const there = site(p, answering("HTTP/1.1 302 Moved\r\nlocation: /a\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n"));
    expect(await codeOf(there.fetch(URL_))).toBe("ERR_HTTP_REDIRECT");
  });

  it("is followed 20 times and no more", async () => {
    let asked = 0;
    const there = site(
      p,
      answering(() => {
        asked++;
        return moved(302, "/");
      }),
    );
    expect(await codeOf(there.fetch(URL_))).toBe("ERR_HTTP_REDIRECT");
    expect(asked).toBe(21);
  });

  it("is an error, or given as it is, where that is asked for", async () => {
    const there = site(p, leading(302, "/b"));
    expect(await codeOf(there.fetch(URL_, { redirect: "error" }))).toBe("ERR_HTTP_REDIRECT");
    const response = await there.fetch(URL_, { redirect: "manual" });
    expect([response.status, response.headers.get("location"), await response.text()]).toEqual([302, "/b", "moved"]);
    there.fetch.close();
  });

  it("without a place is a response", async () => {
    const there = site(p, answering("HTTP/1.1 302 Moved\r\ncontent-length: 2\r\n\r\nhi"));
    expect(await (await there.fetch(URL_)).text()).toBe("hi");
    there.fetch.close();
  });

  it("with a body too long to be read costs its connection", async () => {
    const there = site(
      p,
      answering(({ path }) => (path === "/" ? moved(302, "/b", "x".repeat(100_000)) : ok("fine"))),
    );
    expect(await (await there.fetch(URL_)).text()).toBe("fine");
    expect(there.dialed).toHaveLength(2);
    there.fetch.close();
  });

  describe("to another origin", () => {
    const headers = { authorization: "secret", cookie: "a=b", "x-own": "1" };

    async function crossing(init: { credentials?: "include" | "same-origin" }, back = false) {
      const asked: Asked[] = [];
      const there = site(
        p,
        answering((request) => {
          asked.push(request);
          if (request.path === "/") return moved(302, "https://localhost:8443/b");
          return back && request.path === "/b" ? moved(302, "https://localhost/c") : ok("fine");
        }),
        {},
        { clientAuth: "optional" },
      );
      expect(await (await there.fetch(URL_, { headers, ...init })).text()).toBe("fine");
      there.fetch.close();
      return {
        clients: there.clients,
        fields: asked.map(({ fields }) => [fields.authorization, fields.cookie, fields["x-own"]]),
      };
    }

    it("goes without this side's certificate, Authorization and Cookie", async () => {
      expect(await crossing({})).toEqual({
        clients: ["client", undefined],
        fields: [
          ["secret", "a=b", "1"],
          [undefined, undefined, "1"],
        ],
      });
    });

    it("does not bring them back", async () => {
      const { clients, fields } = await crossing({}, true);
      expect(clients).toEqual(["client", undefined, undefined]);
      expect(fields[2]).toEqual([undefined, undefined, "1"]);
    });

    it("goes with the certificate where credentials are to be included", async () => {
      expect(await crossing({ credentials: "include" })).toMatchObject({ clients: ["client", "client"] });
    });

    it("checks the other's certificate against the other's name, whatever the first was said to be called", async () => {
      const there = site(p, leading(302, "https://elsewhere.test/"), {
        tls: { ...as(p, "client"), serverName: "localhost" },
      });
      expect(await codeOf(there.fetch("https://first.test/", { credentials: "include" }))).toBe(
        "ERR_TLS_CERT_ALTNAME_INVALID",
      );
      expect(there.dialed).toEqual(["first.test:443", "elsewhere.test:443"]);
      there.fetch.close();
    });

    it("is an error with a context, which comes with its identities", async () => {
      const tls = clientContext({ ...as(p, "client"), alpn: ["http/1.1"] });
      const there = site(p, leading(302, "https://localhost:8443/"), { tls });
      for (const credentials of ["same-origin", "include"] as const) {
        expect(await codeOf(there.fetch(URL_, { credentials }))).toBe("ERR_HTTP_REDIRECT");
      }
      there.fetch.close();
    });
  });
});
