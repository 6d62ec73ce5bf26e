/** Connections that change protocols (RFC 9110 7.8): where the gateway allows it and the policy does, bytes go both ways. */
import { type IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { type Duplex, pipeline } from "node:stream";
import type { Judged } from "../judge.ts";
import { failed, upstreamRequest, writeHead } from "./forward.ts";
import { answer, type Passage, type Service } from "./service.ts";

/** The one protocol that is asked for and allowed, in lower case. */
export function wantedProtocol({ upgrades }: Service, { headers, method }: IncomingMessage): string | undefined {
  const wanted = headers.upgrade?.trim().toLowerCase() ?? "";
  return method === "GET" && upgrades.includes(wanted) ? wanted : undefined;
}

/** The response to a request whose socket is given away already. */
export function lastResponse(incoming: IncomingMessage, { socket }: Passage["client"]): ServerResponse {
  const response = new ServerResponse(incoming);
  response.shouldKeepAlive = false;
  response.assignSocket(socket as unknown as Socket);
  response.once("finish", () => {
    response.detachSocket(socket as unknown as Socket);
    socket.destroySoon();
    // As node:http does for responses of its own.
    process.nextTick(() => response.emit("close"));
  });
  return response;
}

/**
 * Asks the server behind to change protocols, and joins both connections when it does.
 *
 * @param head - What the client has sent behind its request.
 */
export function openTunnel(
  service: Service,
  passage: Passage,
  incoming: IncomingMessage,
  response: ServerResponse,
  judged: Judged,
  protocol: string,
  head: Buffer,
): void {
  const { limits } = service;
  const { socket } = passage.client;
  const fields = ["Connection", "Upgrade", "Upgrade", protocol];
  const outgoing = upstreamRequest(service, passage, incoming, judged, fields);
  let over = false;
  const fail = (fault: "connect" | "timeout" | "invalid", error: unknown) => {
    if (over) return;
    over = true;
    clearTimeout(late);
    failed(service, passage, fault, error);
    outgoing.destroy();
    answer(response, fault === "timeout" ? 504 : 502, true);
  };
  const late = setTimeout(() => {
    fail("timeout", new Error(`${service.upstream.name} did not answer in time`));
  }, limits.connectTime + limits.responseTime).unref();
  outgoing.on("error", (error) => fail("connect", error));
  outgoing.once("response", (answered) => {
    if (over) return;
    // It would rather not.
    const fault = writeHead(response, answered, ["Connection", "close"]);
    if (fault !== undefined) {
      fail("invalid", fault);
      return;
    }
    over = true;
    clearTimeout(late);
    pipeline(answered, response, () => {});
  });
  outgoing.once("upgrade", (answered, behind, first) => {
    if (over) {
      behind.destroy();
      return;
    }
    if (answered.headers.upgrade?.trim().toLowerCase() !== protocol) {
      behind.destroy();
      fail("invalid", new Error(`${service.upstream.name} has changed to another protocol`));
      return;
    }
    const fault = writeHead(response, answered, fields);
    if (fault !== undefined) {
      behind.destroy();
      fail("invalid", fault);
      return;
    }
    over = true;
    clearTimeout(late);
    response.flushHeaders();
    response.detachSocket(socket as unknown as Socket);
    join(service, passage, judged, response, behind, head, first);
  });
  socket.once("close", () => {
    over = true;
    clearTimeout(late);
    outgoing.destroy();
  });
  outgoing.end();
}

/** node:stream's pipelines have many of their own. */
const MAX_LISTENERS = 32;

function join(
  service: Service,
  { client }: Passage,
  { host, target }: Judged,
  response: ServerResponse,
  behind: Duplex,
  head: Buffer,
  first: Buffer,
): void {
  const { socket } = client;
  socket.setMaxListeners(MAX_LISTENERS);
  const end = () => {
    socket.destroy();
    behind.destroy();
  };
  // Whoever would not be let in now is not kept in.
  client.rejudge = () => {
    const request = { method: response.req.method ?? "GET", path: target.path, host: host.name };
    if (!service.policy.decide(socket.session.peer, request).allowed) end();
  };
  // Another policy may be in force since the server behind was asked.
  client.rejudge();
  if (head.length > 0) behind.write(head);
  if (first.length > 0) socket.write(first);
  socket.removeAllListeners("timeout");
  socket.setTimeout(service.limits.idleTime, end);
  behind.on("error", end);
  socket.on("error", end);
  const or = (done: () => void) => (error?: Error | null) => (error ? end() : done());
  // Each direction ends by itself.
  pipeline(
    socket,
    behind,
    or(() => {}),
  );
  pipeline(
    behind,
    socket,
    or(() => socket.destroySoon()),
  );
  socket.once("close", () => {
    behind.destroy();
    // Nobody waits for the response any more: it is over with the tunnel.
    response.emit("close");
  });
}
