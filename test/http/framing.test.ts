import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, latin1 } from "../../src/bytes/bytes.ts";
import { bodyReader } from "../../src/http/body.ts";
import { HttpError } from "../../src/http/errors.ts";
import { readHead } from "../../src/http/head.ts";
import { ByteSource } from "../../src/http/source.ts";

/** The reading of responses (RFC 9112), without TLS: whole, in pieces, and hostile. */

const LIMITS = { maxHeadBytes: 400, maxFields: 8 };
const bytes = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));

/** What is read of a response that arrives in these pieces, then ends. */
async function read(pieces: readonly Uint8Array[], method = "GET") {
  const queue = [...pieces];
  const source = new ByteSource(async () => queue.shift());
  try {
    const head = await readHead(source, method, LIMITS);
    if (head === undefined) return { closed: true };
    const body = bodyReader(source, head.framing, LIMITS);
    const parts: Uint8Array[] = [];
    for (let part = await body(); part !== undefined; part = await body()) {
      expect(part.length).toBeGreaterThan(0);
      parts.push(part);
    }
    const { status, reason, fields, persistent } = head;
    return {
      status,
      reason,
      fields,
      persistent,
      body: latin1(concat(...parts)),
      more: source.pending || queue.length > 0,
    };
  } catch (error) {
    if (error instanceof HttpError) return { code: error.code, message: error.message };
    throw error;
  }
}

const response = (text: string, method?: string) => read([bytes(text)], method);
const HEAD = "HTTP/1.1 200 OK\r\n";
const CHUNKED = `${HEAD}Transfer-Encoding: chunked\r\n\r\n`;

describe("a response", () => {
  it.each([
    ["a length", `${HEAD}Content-Length: 5\r\n\r\nhello`, "hello"],
    ["a length of zero", `${HEAD}Content-Length: 0\r\n\r\n`, ""],
    ["chunks", `${CHUNKED}5\r\nhello\r\n3 ; a="b"\r\n, w\r\n00\r\n\r\n`, "hello, w"],
    ["chunks in capitals", `${HEAD}TRANSFER-ENCODING: CHUNKED\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n`, "0123456789"],
    ["chunks and trailers", `${CHUNKED}1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n`, "a"],
    ["no end but the connection's", `${HEAD}\r\nhello`, "hello"],
    [
      "interim responses before",
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: a\r\n\r\n${HEAD}Content-Length: 1\r\n\r\na`,
      "a",
    ],
    ["HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\na", "a"],
    ["no reason", "HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\na", "a"],
    ["no reason and no space", "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na", "a"],
  ])("with %s", async (_, text, body) => {
    expect(await response(text)).toMatchObject({ status: 200, body });
  });

  it("has fields without the white space around them", async () => {
    const { fields } = (await response(`${HEAD}A:b\r\nc:\t d e \t\r\nE:\r\nf: \xfc\r\nContent-Length: 0\r\n\r\n`)) as {
      fields: unknown;
    };
    expect(fields).toEqual([
      ["a", "b"],
      ["c", "d e"],
      ["e", ""],
      ["f", "\xfc"],
      ["content-length", "0"],
    ]);
  });

  it.each([
    ["HEAD", "HEAD", `${HEAD}Content-Length: 5\r\n\r\n`],
    ["HEAD in chunks", "HEAD", CHUNKED],
    ["204", "GET", "HTTP/1.1 204 No Content\r\n\r\n"],
    ["204 with a length of 0", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"],
    ["304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"],
  ])("has no body: %s", async (_, method, text) => {
    expect(await response(text, method)).toMatchObject({ body: "", more: false });
  });

  it.each([
    ["Connection: close", "HTTP/1.1", false],
    ["connection: x, CLOSE", "HTTP/1.1", false],
    ["Connection: keep-alive", "HTTP/1.1", true],
    ["Connection: keep-alive", "HTTP/1.0", false],
  ])("says whether the connection goes on: %s in %s", async (field, version, persistent) => {
    expect(await response(`${version} 200 OK\r\n${field}\r\nContent-Length: 0\r\n\r\n`)).toMatchObject({ persistent });
  });

  it("that does not come at all is told apart", async () => {
    expect(await read([])).toEqual({ closed: true });
  });

  it.each([
    ["no HTTP", "hello\r\n\r\n", "status line"],
    ["HTTP/2", "HTTP/2 200 OK\r\n\r\n", "status line"],
    ["HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n", "status line"],
    ["an empty line first", `\r\n${HEAD}\r\n`, "status line"],
    ["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n", "status line"],
    ["a status of 600", "HTTP/1.1 600 OK\r\n\r\n", "status line"],
    ["two spaces", "HTTP/1.1  200 OK\r\n\r\n", "status line"],
    ["a control in the reason", "HTTP/1.1 200 O\x01K\r\n\r\n", "status line"],
    ["a bare LF after the status line", "HTTP/1.1 200 OK\n\r\n", "bare LF"],
    ["a bare LF after a field", `${HEAD}a: b\n\r\n`, "bare LF"],
    ["a bare CR", `${HEAD}a: b\rc: d\r\n\r\n`, "bare CR"],
    ["a CR too many", `${HEAD}a: b\r\r\n\r\n`, "bare CR"],
    ["a folded line", `${HEAD}a: b\r\n c\r\n\r\n`, "obs-fold"],
    ["a line folded with a tab", `${HEAD}a: b\r\n\tc\r\n\r\n`, "obs-fold"],
    ["white space before a colon", `${HEAD}a : b\r\n\r\n`, "white space before a colon"],
    ["no colon", `${HEAD}a\r\n\r\n`, "field line"],
    ["no name", `${HEAD}: a\r\n\r\n`, "field line"],
    ["NUL in a value", `${HEAD}a: b\0c\r\n\r\n`, "field line"],
    ["a name that is no token", `${HEAD}a(b): c\r\n\r\n`, "field line"],
    ["two lengths", `${HEAD}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`, "more than once"],
    ["the same length twice", `${HEAD}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`, "more than once"],
    ["a list of lengths", `${HEAD}Content-Length: 5, 5\r\n\r\nhello`, "Content-Length"],
    ["a signed length", `${HEAD}Content-Length: +5\r\n\r\nhello`, "Content-Length"],
    ["a length in hexadecimal", `${HEAD}Content-Length: 0x5\r\n\r\nhello`, "Content-Length"],
    ["an empty length", `${HEAD}Content-Length:\r\n\r\nhello`, "Content-Length"],
    ["a length that no number holds", `${HEAD}Content-Length: ${"9".repeat(16)}\r\n\r\n`, "Content-Length"],
    ["both framings", `${HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, "both"],
    ["another transfer coding", `${HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n`, "other than chunked"],
    ["chunked twice", `${HEAD}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`, "other than chunked"],
    ["chunked, not quite", `${HEAD}Transfer-Encoding: xchunked\r\n\r\n`, "other than chunked"],
    ["a transfer coding of nothing", `${HEAD}Transfer-Encoding:\r\n\r\n`, "other than chunked"],
    ["chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.0"],
    ["chunks with 204", "HTTP/1.1 204 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "status 204"],
    ["a length with 204", "HTTP/1.1 204 OK\r\nContent-Length: 1\r\n\r\na", "status 204"],
    ["chunks with 100", "HTTP/1.1 100 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "status 100"],
    ["a chunk size of nothing", `${CHUNKED}\r\n`, "chunk size"],
    ["a negative chunk size", `${CHUNKED}-1\r\n`, "chunk size"],
    ["0x", `${CHUNKED}0x1\r\na\r\n`, "chunk size"],
    ["a chunk size that no number holds", `${CHUNKED}${"f".repeat(13)}\r\n`, "chunk size"],
    ["a control in a chunk extension", `${CHUNKED}1;\x01\r\na\r\n`, "chunk size"],
    ["a bare LF after a chunk size", `${CHUNKED}1\na\r\n`, "bare LF"],
    ["a chunk longer than its size", `${CHUNKED}1\r\nab\r\n0\r\n\r\n`, "longer than its size"],
    ["a chunk with a bare LF behind", `${CHUNKED}1\r\na\n0\r\n\r\n`, "longer than its size"],
    ["a length among the trailers", `${CHUNKED}0\r\nContent-Length: 1\r\n\r\n`, "among the trailers"],
    ["a folded trailer", `${CHUNKED}0\r\na: b\r\n c\r\n\r\n`, "obs-fold"],
  ])("is refused with %s", async (_, text, message) => {
    const { code, message: told } = (await response(text)) as { code: string; message: string };
    expect(code).toBe("ERR_HTTP_INVALID_RESPONSE");
    expect(told).toContain(message);
  });

  it("is refused where it changes the protocol", async () => {
    const text = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n";
    expect(await response(text)).toMatchObject({ code: "ERR_HTTP_PROTOCOL" });
  });

  it.each([
    ["a head", HEAD + "a: b\r\n".repeat(7) + "c".repeat(400)],
    ["a status line", `HTTP/1.1 200 ${"a".repeat(400)}`],
    ["heads of interim responses together", "HTTP/1.1 100 Continue\r\n\r\n".repeat(20)],
    ["fields", `${HEAD}${"a: b\r\n".repeat(9)}\r\n`],
    ["a chunk's size line", `${CHUNKED}1;${"a".repeat(300)}\r\na\r\n`],
    ["trailers", `${CHUNKED}0\r\na: ${"b".repeat(400)}\r\n\r\n`],
    ["trailer fields", `${CHUNKED}0\r\n${"a: b\r\n".repeat(9)}\r\n`],
  ])("is refused with too many or too long %s", async (_, text) => {
    expect(await response(text)).toMatchObject({ code: "ERR_HTTP_TOO_LARGE" });
  });

  it.each([
    ["the status line", "HTTP/1.1 2"],
    ["the head", `${HEAD}a: b\r\n`],
    ["an interim response", "HTTP/1.1 100 Continue\r\n\r\n"],
    ["a body of a length", `${HEAD}Content-Length: 5\r\n\r\nhell`],
    ["a chunk's size", `${CHUNKED}5`],
    ["a chunk", `${CHUNKED}5\r\nhell`],
    ["a chunk's end", `${CHUNKED}1\r\na\r`],
    ["chunks without the last", `${CHUNKED}1\r\na\r\n`],
    ["trailers", `${CHUNKED}0\r\na: b\r\n`],
  ])("is not complete that ends in %s", async (_, text) => {
    expect(await response(text)).toMatchObject({ code: "ERR_HTTP_TRUNCATED" });
  });

  it("leaves what comes behind it", async () => {
    expect(await response(`${HEAD}Content-Length: 1\r\n\r\nab`)).toMatchObject({ body: "a", more: true });
    expect(await response(`${CHUNKED}1\r\na\r\n0\r\n\r\nb`)).toMatchObject({ body: "a", more: true });
  });
});

/** Pieces of responses, right and wrong, so that what is put together gets far. */
const fragment = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(HEAD, "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.0 200 OK\r\n", "HTTP/1.1 204 No\r\n"),
  },
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      "Content-Length: 5\r\n",
      "Transfer-Encoding: chunked\r\n",
      "Connection: close\r\n",
      "a: b\r\n",
    ),
  },
  {
    weight: 6,
    arbitrary: fc.constantFrom("\r\n", "\n", "\r", " ", "\t", ":", ";", "0\r\n\r\n", "5\r\nhello\r\n", "hello"),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 20 }).map(latin1) },
);
const hostile = fc.oneof(
  fc.array(fragment, { maxLength: 14 }).map((parts) => parts.join("")),
  fc.array(fragment, { maxLength: 8 }).map((parts) => CHUNKED + parts.join("")),
  fc.array(fragment, { maxLength: 8 }).map((parts) => HEAD + parts.join("")),
);

describe("any bytes", () => {
  it("come to the same however they are cut, to a response or to an HttpError", async () => {
    await fc.assert(
      fc.asyncProperty(
        hostile,
        fc.array(fc.nat({ max: 40 }), { maxLength: 40 }),
        fc.constantFrom("GET", "HEAD"),
        async (text, cuts, method) => {
          const all = bytes(text);
          const whole = await read([all], method);
          const pieces: Uint8Array[] = [];
          let at = 0;
          for (const length of cuts) {
            pieces.push(all.subarray(at, at + length));
            at = Math.min(all.length, at + length);
          }
          pieces.push(all.subarray(at));
          const single = Array.from(all, (_, index) => all.subarray(index, index + 1));
          // What is left behind counts pieces: that there is some is the same all the same.
          expect(
            await read(
              pieces.filter(({ length }) => length > 0),
              method,
            ),
          ).toEqual(whole);
          expect(await read(single, method)).toEqual(whole);
        },
      ),
      { numRuns: 1500 },
    );
  });

  it("are taken no further than the limits: a head that never ends", async () => {
    let given = 0;
    const source = new ByteSource(async () => {
      given += 16;
      return bytes("a: bbbbbbbbbbbb ");
    });
    await expect(readHead(source, "GET", LIMITS)).rejects.toMatchObject({ code: "ERR_HTTP_TOO_LARGE" });
    expect(given).toBeLessThanOrEqual(LIMITS.maxHeadBytes + 16);
  });

  it("are not gathered: a body of any length passes in pieces", async () => {
    let given = 0;
    const source = new ByteSource(async () => {
      given++;
      return given === 1 ? bytes(`${HEAD}Content-Length: 1000000000000\r\n\r\n`) : new Uint8Array(0x10000);
    });
    const head = await readHead(source, "GET", LIMITS);
    const body = bodyReader(source, head?.framing ?? { type: "close" }, LIMITS);
    for (let pieces = 0; pieces < 100; pieces++) expect(await body()).toHaveLength(0x10000);
    expect(given).toBe(101);
  });
});
