/** Requests of one connection, one after the other: judged by the policy in force, told of, and passed on or refused. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { TlsError } from "../../errors.ts";
import { errorFacts } from "../audit/record.ts";
import { valuesOf } from "../fields/names.ts";
import { type Judged, judgeRequest } from "../judge.ts";
import { isRefusal } from "../target.ts";
import { forward } from "./forward.ts";
import { answer, type Client, countBytes, type Passage, type Service, statusClass, tell } from "./service.ts";
import { lastResponse, openTunnel, wantedProtocol } from "./tunnel.ts";

/** node:stream's pipelines have many of their own. */
const MAX_LISTENERS = 32;

/** What became of a request that was looked at. */
type Pass = (judged: Judged) => void;

/** A request that is to be answered. `expects`: its client waits for 100 before it sends the body. */
export function attendRequest(
  service: Service,
  client: Client,
  incoming: IncomingMessage,
  response: ServerResponse,
  expects: boolean,
): void {
  const passage = begin(service, client, incoming, response);
  queue(service, client, response, () =>
    judge(service, passage, incoming, response, (judged) => {
      const { framing } = judged;
      const { bodySize } = service.limits;
      if (typeof framing === "object" && bodySize > 0 && framing.length > bodySize) {
        refuse(passage, incoming, response, 413, "body-size", `a body of ${framing.length} octets`);
        return;
      }
      if (expects) response.writeContinue();
      forward(service, passage, incoming, response, judged);
    }),
  );
}

/** A request for another protocol, or for a tunnel: node:http has let go of its connection. */
export function attendUpgrade(service: Service, client: Client, incoming: IncomingMessage, head: Buffer): void {
  if (client.pending > 0) {
    // Its connection is another answer's still.
    tell(service, client, { event: "malformed", code: "upgrade", message: "a change of protocols ahead of an answer" });
    client.socket.destroy();
    return;
  }
  const response = lastResponse(incoming, client);
  const passage = begin(service, client, incoming, response);
  const protocol = wantedProtocol(service, incoming);
  queue(service, client, response, () =>
    judge(service, passage, incoming, response, (judged) => {
      if (protocol === undefined || judged.framing !== "none") {
        refuse(passage, incoming, response, 400, "upgrade", "a change of protocols that is not allowed here");
        return;
      }
      openTunnel(service, passage, incoming, response, judged, protocol, head);
    }),
  );
}

/** What is no request by node:http's own judgement. */
export function attendMalformed(service: Service, client: Client | undefined, error: Error, socket: Duplex): void {
  const { code = "" } = error as NodeJS.ErrnoException;
  // The connection's own end is told elsewhere.
  if (client === undefined || error instanceof TlsError || !socket.writable || socket.destroyed) {
    socket.destroy();
    return;
  }
  const status = MALFORMED[code] ?? 400;
  tell(service, client, { event: "malformed", status, code, message: error.message });
  service.metrics?.requests.add({ status: statusClass(status), rule: "malformed" });
  const { last, pending } = client;
  if (pending === 1 && last !== undefined && !last.headersSent) {
    // The body of the one request that is there.
    answer(last, status, true);
    return;
  }
  // In the middle of an answer there is nothing to say.
  if (pending > 0) {
    socket.destroy();
    return;
  }
  socket.write(`HTTP/1.1 ${status} ${MALFORMED_REASONS[status]}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
  client.socket.destroySoon();
}

const MALFORMED: Readonly<Record<string, number>> = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 };
const MALFORMED_REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  408: "Request Timeout",
  431: "Request Header Fields Too Large",
};

function begin(service: Service, client: Client, incoming: IncomingMessage, response: ServerResponse): Passage {
  const early = client.early !== "none";
  if (client.early === "next") client.early = "none";
  const number = ++client.requests;
  const passage: Passage = { client, number, began: performance.now(), early, facts: {}, rule: "" };
  client.pending++;
  client.last = response;
  // A client that goes in the middle of a body is seen by its response, which closes.
  incoming.on("error", () => {});
  response.setMaxListeners(MAX_LISTENERS);
  let told = false;
  response.once("close", () => {
    if (told) return;
    told = true;
    client.pending--;
    end(service, passage, incoming, response);
    if (service.draining && client.pending === 0) client.socket.destroySoon();
  });
  return passage;
}

function end(service: Service, passage: Passage, { method }: IncomingMessage, response: ServerResponse): void {
  const { client, number, began, facts, rule } = passage;
  const status = response.headersSent ? response.statusCode : 0;
  const time = performance.now() - began;
  service.metrics?.requests.add({ status: statusClass(status), rule });
  service.metrics?.requestSeconds.observe(time / 1000);
  countBytes(service, client);
  tell(service, client, {
    event: "request",
    request: number,
    method,
    ...facts,
    status,
    complete: status === 101 || response.writableFinished,
    ms: Math.round(time),
  });
}

/** Each waits for the one before, and too many are too many. */
function queue(service: Service, client: Client, response: ServerResponse, work: () => Promise<void>): void {
  if (client.pending > service.limits.pipelined) {
    tell(service, client, { event: "malformed", code: "pipelined", message: `${client.pending} requests at a time` });
    client.socket.destroy();
    return;
  }
  client.turn = client.turn.then(async () => {
    if (response.destroyed || response.headersSent || client.socket.destroyed) return;
    const closed = new Promise<void>((resolve) => response.once("close", resolve));
    try {
      await work();
    } catch (error) {
      // A request that Node reads and does not send.
      tell(service, client, { event: "malformed", ...errorFacts(error) });
      client.socket.destroy();
    }
    await closed;
  });
}

/** @param pass - Called where it is allowed. */
async function judge(
  service: Service,
  passage: Passage,
  incoming: IncomingMessage,
  response: ServerResponse,
  pass: Pass,
): Promise<void> {
  const { client } = passage;
  const { session } = client.socket;
  // Nobody outlives the certificate, not even until the next look; whoever does not hold is told so by TLS.
  const expired = session.peer !== undefined && session.peer.notAfter < service.clock();
  if (expired && !(await session.recheck().catch(() => false))) {
    client.socket.destroy();
    return;
  }
  // The one policy by which all of this request is judged.
  const { policy } = service;
  const { method = "", url = "", httpVersion: version, rawHeaders: fields } = incoming;
  const judged = judgeRequest(
    policy,
    { method, target: url, version, fields },
    { client: session.peer, serverName: session.serverName, early: passage.early },
    service.earlyRequests,
  );
  const { path, query } = shownTarget(url);
  const seen = { host: valuesOf(fields, "host")[0], path };
  const asked = service.auditQuery ? { query } : {};
  if (isRefusal(judged)) {
    passage.facts = { ...seen, ...asked };
    refuse(passage, incoming, response, judged.status, judged.rule, judged.reason);
    return;
  }
  const { decision, host, target } = judged;
  passage.rule = decision.rule ?? "default";
  passage.facts = {
    host: host.field,
    path: target.path,
    ...asked,
    decision: decision.allowed ? "allowed" : "denied",
    policy: decision.policy,
    rule: decision.rule,
    ...(decision.allowed ? { roles: decision.roles } : { reason: decision.reason }),
    ...(judged.early ? { early: true } : {}),
  };
  if (!decision.allowed) answer(response, 403, closes(incoming) || service.draining);
  else pass(judged);
}

/** What of a target is told: passwords are in user information, and other secrets in queries. */
function shownTarget(target: string): { readonly path: string; readonly query: string | undefined } {
  const end = target.search(/[?#]/);
  const path = end < 0 ? target : target.slice(0, end);
  return { path: path.replace(/\/\/[^/]*@/, "//…@"), query: end < 0 ? undefined : target.slice(end) };
}

function refuse(
  passage: Passage,
  incoming: IncomingMessage,
  response: ServerResponse,
  status: number,
  rule: string,
  reason: string,
): void {
  passage.rule = rule;
  passage.facts = { ...passage.facts, decision: "refused", rule, reason };
  // Whatever was wrong with it, what comes behind is not believed; but who came too early may come again.
  answer(response, status, status !== 425 || closes(incoming));
}

/** A body that nobody wants is not waited for. */
function closes({ rawHeaders }: IncomingMessage): boolean {
  return valuesOf(rawHeaders, "content-length").length + valuesOf(rawHeaders, "transfer-encoding").length > 0;
}
