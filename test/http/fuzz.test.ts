import fc from "fast-check";
import { beforeAll, expect, it } from "vitest";
import { latin1 } from "../../src/bytes/bytes.ts";
import { TlsError } from "../../src/index.ts";
import { ok, site } from "../support/http.ts";
import { type Parties, parties } from "../support/session.ts";

let p: Parties;
beforeAll(async () => {
  p = await parties();
});

/** A response that is nearly one: right parts with anything between them. */
const anything = fc.uint8Array({ maxLength: 12 }).map(latin1);
const part = fc.oneof(
  fc.constantFrom(
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 302 Moved\r\nlocation: /next\r\n",
    "HTTP/1.1 205 R\r\n",
    "HTTP/1.1 100 C\r\n\r\n",
  ),
  fc.constantFrom(
    "content-length: 5\r\n",
    "transfer-encoding: chunked\r\n",
    "content-encoding: gzip\r\n",
    "set-cookie: a\r\n",
  ),
  fc.constantFrom("\r\n", "5\r\nhello\r\n", "0\r\n\r\n", "hello", "location: https://[\r\n"),
  anything.map((text) => `x: ${text}\r\n`),
  anything.map((text) => `HTTP/1.1 404 ${text}\r\n`),
  anything,
);

/** One that is a response up to its head's end, whatever comes then. */
const headed = fc
  .tuple(
    fc.constantFrom("200 OK", "205 Reset", "204 None", "404 \xff", "302 Moved\r\nlocation: /next", "307 Moved"),
    fc.array(
      anything.map((text) => `x: ${text.replace(/[^\x21-\x7e\x80-\xff]/g, "")}\r\n`),
      { maxLength: 3 },
    ),
    fc.constantFrom("", "content-encoding: gzip\r\n", "content-encoding: br\r\n"),
    fc.constantFrom(
      "content-length: 0\r\n\r\n",
      "content-length: 5\r\n\r\nhello",
      "transfer-encoding: chunked\r\n\r\n",
      "\r\n",
    ),
    fc.array(part, { maxLength: 3 }),
  )
  .map(
    ([status, fields, coding, body, rest]) =>
      `HTTP/1.1 ${status}\r\n${fields.join("")}${coding}${body}${rest.join("")}`,
  );
const hostile = fc.oneof(
  headed,
  fc.array(part, { maxLength: 8 }).map((parts) => parts.join("")),
);

it("whatever a server answers, fetch comes to a Response, or to a TypeError or a TlsError, and so does its body", async () => {
  let responses = 0;
  let errors = 0;
  await fc.assert(
    fc.asyncProperty(hostile, async (text) => {
      const there = site(p, async (served) => {
        const asked = await served.ask();
        await served.say(asked?.path === "/next" ? ok("next") : text);
        await served.end();
      });
      try {
        const response = await there.fetch("https://localhost/");
        await response.arrayBuffer();
        responses++;
      } catch (error) {
        errors++;
        if (!(error instanceof TypeError || error instanceof TlsError)) throw error;
      } finally {
        there.fetch.close();
      }
    }),
    { numRuns: 120 },
  );
  // Both are tried, or it would say nothing.
  expect(responses).toBeGreaterThan(5);
  expect(errors).toBeGreaterThan(5);
}, 120_000);
