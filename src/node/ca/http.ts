/** OCSP over HTTP: GET and POST (RFC 6960 A.1, RFC 5019 5 and 6), for hostile clients too. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Responder, ResponderAnswer } from "./responder.ts";

/** Bytes of a request's body; readOcspRequest wants no more. */
const MAX_BODY = 8 * 1024;
/** Connections at a time; beyond, new ones are closed at once. */
const MAX_CONNECTIONS = 256;
/** Time to send a request, and to take some of an answer, ms. */
const PATIENCE = 10_000;

/**
 * An HTTP server, not listening yet, that answers OCSP requests with `respond`.
 *
 * @example
 * ```ts
 * const server = ocspServer(async () => ({ response: ocspRefusal("tryLater"), maxAge: undefined }));
 * await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
 * const { port } = server.address() as { port: number };
 * const answer = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: new Uint8Array(3) });
 * console.log(answer.status); // 415
 * server.close();
 * ```
 */
export function ocspServer(respond: Responder): Server {
  const options = {
    headersTimeout: PATIENCE,
    requestTimeout: PATIENCE,
    connectionsCheckingInterval: PATIENCE / 4,
    keepAliveTimeout: 5_000,
    maxHeaderSize: 16 * 1024,
  };
  const server = createServer(options, (request, response) => {
    handle(request, response, respond).catch(() => response.destroy());
  });
  // For who asks and does not read: none of the other times runs then.
  server.timeout = PATIENCE;
  server.maxConnections = MAX_CONNECTIONS;
  server.maxRequestsPerSocket = 1000;
  return server;
}

async function handle(request: IncomingMessage, response: ServerResponse, respond: Responder): Promise<void> {
  const { method } = request;
  if (method !== "GET" && method !== "POST") return refuse(response, 405, { Allow: "GET, POST" });
  if (method === "GET") return send(response, await respond(fromPath(request.url ?? "/")), true);
  if (request.headers["content-type"]?.split(";")[0]?.trim().toLowerCase() !== "application/ocsp-request")
    return refuse(response, 415);
  const body = await read(request);
  if (body === undefined) return refuse(response, 413, { Connection: "close" });
  return send(response, await respond(body), false);
}

/** RFC 6960 A.1: the last part of the path, percent-encoded base64. What is no base64 is no request. */
function fromPath(url: string): Uint8Array {
  let path: string;
  try {
    path = decodeURIComponent(url.replace(/^\/*/, ""));
  } catch {
    return new Uint8Array();
  }
  return /^[A-Za-z0-9+/]+={0,2}$/.test(path) ? new Uint8Array(Buffer.from(path, "base64")) : new Uint8Array();
}

/** The body; `undefined` when it is too long. */
async function read(request: IncomingMessage): Promise<Uint8Array | undefined> {
  if (Number(request.headers["content-length"] ?? 0) > MAX_BODY) return undefined;
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += (chunk as Buffer).length;
    if (length > MAX_BODY) return undefined;
    chunks.push(chunk as Buffer);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

/** RFC 5019 6.2: what was got by GET may be kept as long as it is good. */
function send(response: ServerResponse, { response: body, maxAge }: ResponderAnswer, isGet: boolean): void {
  response.writeHead(200, {
    "Content-Type": "application/ocsp-response",
    "Content-Length": body.length,
    "Cache-Control":
      isGet && maxAge !== undefined ? `max-age=${maxAge}, public, no-transform, must-revalidate` : "no-store",
  });
  response.end(body);
}

function refuse(response: ServerResponse, status: number, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(status, { "Content-Length": 0, ...headers });
  response.end();
}
