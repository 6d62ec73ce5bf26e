/** One request to the server behind and its answer back: streamed, with backpressure and a time for everything. */
import { type ClientRequest, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { errorFacts } from "../audit/record.ts";
import { passedBack, valuesOf } from "../fields/names.ts";
import { requestFields } from "../fields/request.ts";
import type { Judged } from "../judge.ts";
import { answer, type Passage, type Service, tell } from "./service.ts";

/** How a server behind may fail: for the log and the metrics. */
type UpstreamFault = "connect" | "timeout" | "broken" | "invalid";

/** Methods that may be sent again when a kept connection turns out to be gone, RFC 9110 9.2.2. */
const REPEATABLE = ["GET", "HEAD", "OPTIONS", "TRACE"];
/** Methods whose requests have no body unless they say so. */
const BODILESS = [...REPEATABLE, "DELETE"];

/** The request as the server behind gets it, not sent yet. */
export function upstreamRequest(
  service: Service,
  { client }: Passage,
  incoming: IncomingMessage,
  judged: Judged,
  more: readonly string[] = [],
): ClientRequest {
  const { host, target, framing, early, decision } = judged;
  const { method = "GET", rawHeaders, httpVersion } = incoming;
  const facts = {
    host,
    framing: framing === "none" && !BODILESS.includes(method) ? { length: 0 } : framing,
    version: httpVersion,
    client: client.socket.session.peer,
    roles: decision.roles,
    clientAddress: client.socket.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, ""),
    early,
  };
  return httpRequest({
    ...service.upstream.options,
    method,
    path: target.path + target.query,
    headers: [...requestFields(rawHeaders, facts, service.identity, service.forwarded), ...more],
    setHost: false,
    insecureHTTPParser: false,
    maxHeaderSize: service.limits.headSize,
  });
}

/** Sends a request that was allowed, and its answer back. */
export function forward(
  service: Service,
  passage: Passage,
  incoming: IncomingMessage,
  response: ServerResponse,
  judged: Judged,
  attempt = 0,
): void {
  const { limits } = service;
  const outgoing = upstreamRequest(service, passage, incoming, judged);
  const timers = new Set<NodeJS.Timeout>();
  let over = false;

  const timer = (time: number, late: () => void) => {
    const made = setTimeout(late, time).unref();
    timers.add(made);
    return made;
  };
  const stop = () => {
    over = true;
    for (const each of timers) clearTimeout(each);
  };
  const refuse = (status: number) => {
    stop();
    outgoing.destroy();
    if (response.headersSent) response.destroy();
    else answer(response, status, !incoming.complete);
  };
  const fail = (fault: UpstreamFault, error: unknown) => {
    if (over) return;
    failed(service, passage, fault, error);
    refuse(fault === "timeout" ? 504 : 502);
  };
  const late = (what: string) => () => fail("timeout", new Error(`${service.upstream.name} ${what} in time`));

  const connecting = timer(limits.connectTime, late("could not be reached"));
  outgoing.once("socket", (socket) => {
    if (socket.connecting) socket.once("connect", () => clearTimeout(connecting));
    else clearTimeout(connecting);
  });
  outgoing.once("finish", () => {
    if (!over && !response.headersSent) timer(limits.responseTime, late("did not answer"));
  });
  outgoing.on("error", (error) => {
    if (over) return;
    const isStale = outgoing.reusedSocket && attempt === 0 && judged.framing === "none";
    if (isStale && !response.headersSent && REPEATABLE.includes(incoming.method ?? "")) {
      stop();
      forward(service, passage, incoming, response, judged, attempt + 1);
      return;
    }
    const { code } = error as NodeJS.ErrnoException;
    fail(faultOf(code, outgoing), error);
  });
  outgoing.once("response", (answered) => {
    if (over || response.headersSent) {
      answered.destroy();
      return;
    }
    stop();
    sendBack(service, passage, incoming, answered, response);
  });
  // Never asked for: see tunnel.ts for what is.
  outgoing.once("upgrade", (_, socket) => {
    socket.destroy();
    fail("invalid", new Error(`${service.upstream.name} has changed protocols unasked`));
  });
  response.once("close", () => {
    stop();
    outgoing.destroy();
  });
  if (judged.framing === "none") {
    incoming.resume();
    outgoing.end();
  } else {
    sendBody(service, incoming, outgoing, refuse);
  }
}

/** Codes of a server that is not there. */
const ABSENT = ["ECONNREFUSED", "ENOENT", "EACCES", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND", "EAI_AGAIN"];

function faultOf(code: string | undefined, { socket }: ClientRequest): UpstreamFault {
  if (code?.startsWith("HPE_")) return "invalid";
  return socket === null || ABSENT.includes(code ?? "") ? "connect" : "broken";
}

/** The client's body, no faster than the server behind takes it. */
function sendBody(
  { limits }: Service,
  incoming: IncomingMessage,
  outgoing: ClientRequest,
  refuse: (status: number) => void,
): void {
  let size = 0;
  let idle: NodeJS.Timeout | undefined;
  const stop = () => clearTimeout(idle);
  const wait = () => {
    stop();
    idle = setTimeout(() => refuse(408), limits.bodyIdleTime).unref();
  };
  wait();
  incoming.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (limits.bodySize > 0 && size > limits.bodySize) {
      stop();
      incoming.pause();
      refuse(413);
      return;
    }
    wait();
    if (outgoing.destroyed || outgoing.write(chunk)) return;
    // Not the client's fault.
    stop();
    incoming.pause();
    outgoing.once("drain", () => {
      wait();
      incoming.resume();
    });
  });
  incoming.once("end", () => {
    stop();
    outgoing.end();
  });
  incoming.once("close", stop);
  outgoing.once("close", stop);
}

function sendBack(
  service: Service,
  passage: Passage,
  incoming: IncomingMessage,
  answered: IncomingMessage,
  response: ServerResponse,
): void {
  const close = service.draining ? ["Connection", "close"] : [];
  const fault = writeHead(response, answered, close);
  if (fault !== undefined) {
    failed(service, passage, "invalid", fault);
    answered.destroy();
    answer(response, 502, !incoming.complete);
    return;
  }
  // Before there is anything behind it.
  response.flushHeaders();
  answered.on("error", () => {
    // Told by its end, which comes too soon then.
  });
  answered.once("close", () => {
    if (answered.complete || response.destroyed) return;
    failed(service, passage, "broken", new Error(`${service.upstream.name} has broken off its answer`));
    // Its end would say that this is all of it.
    response.destroy();
  });
  response.once("finish", () => {
    // An answer before the end of its request leaves no way to the next one.
    if (!incoming.complete) passage.client.socket.destroySoon();
  });
  // A pipeline would make an exception for each answer that comes to its end.
  answered.pipe(response);
}

/** @returns What is wrong with an answer that Node reads, and does not decode or does not write. */
export function writeHead(
  response: ServerResponse,
  { statusCode = 502, rawHeaders }: IncomingMessage,
  more: readonly string[],
): Error | undefined {
  // RFC 9112 7: what goes on has no other coding, and would be taken for the content itself.
  const isCoded = valuesOf(rawHeaders, "transfer-encoding").some((coding) => coding.toLowerCase() !== "chunked");
  if (isCoded) return new Error("a Transfer-Encoding other than chunked");
  try {
    response.writeHead(statusCode, [...passedBack(rawHeaders), ...more]);
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

/** Of no interest to the client. */
export function failed(service: Service, passage: Passage, fault: UpstreamFault, error: unknown): void {
  service.metrics?.upstreamErrors.add({ kind: fault });
  const { name } = service.upstream;
  const record = { event: "upstream", request: passage.number, upstream: name, fault, ...errorFacts(error) } as const;
  tell(service, passage.client, record);
}
