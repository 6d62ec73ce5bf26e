/** What all requests of a gateway share, and what is known of each client's connection. */
import type { ServerResponse } from "node:http";
import type { AuditLog } from "../audit/log.ts";
import { type AuditRecord, identityFacts } from "../audit/record.ts";
import type { IdentityFields } from "../fields/identity.ts";
import type { ForwardedField } from "../fields/request.ts";
import type { EarlyRequests } from "../judge.ts";
import type { GatewayMetrics } from "../metrics/gateway.ts";
import type { Policy } from "../policy/policy.ts";
import type { SessionSocket } from "./connection.ts";
import type { GatewayLimits } from "./limits.ts";
import type { Upstream } from "./upstream.ts";

export interface Service {
  readonly limits: GatewayLimits;
  readonly upstream: Upstream;
  readonly identity: IdentityFields;
  readonly forwarded: readonly ForwardedField[];
  /** Protocols, in lower case, that connections may be upgraded to. */
  readonly upgrades: readonly string[];
  readonly earlyRequests: EarlyRequests;
  /** ms since the epoch; for certificate validity. */
  readonly clock: () => number;
  readonly auditQuery: boolean;
  readonly audit: AuditLog | undefined;
  readonly metrics: GatewayMetrics | undefined;
  /** In force now: read once for each request. */
  readonly policy: Policy;
  /** No further requests are wanted. */
  readonly draining: boolean;
}

/** One accepted connection. */
export interface Client {
  readonly number: number;
  readonly socket: SessionSocket;
  /** Requests so far. */
  requests: number;
  /** Requests that are not answered to their end. */
  pending: number;
  /** Requests that come now come in early data: all, the next one with a part of its head, or none. */
  early: "all" | "next" | "none";
  /** Bytes that the metrics have. */
  readonly counted: { in: number; out: number };
  /** To the last request that came. */
  last: ServerResponse | undefined;
  /** Requests are taken one after the other. */
  turn: Promise<void>;
  /** Looks at an upgraded connection again under the policy in force. */
  rejudge: (() => void) | undefined;
}

/** A request on its way. */
export interface Passage {
  readonly client: Client;
  /** Of those on the connection. */
  readonly number: number;
  readonly began: number;
  readonly early: boolean;
  /** What is known of it for the audit log. */
  facts: Readonly<Record<string, unknown>>;
  rule: string;
}

export function tell(service: Service, { number, socket }: Client, record: AuditRecord): void {
  const { event, ...rest } = record;
  const identity = identityFacts(socket.session.peer);
  service.audit?.write({ event, connection: number, client: socket.remoteAddress, identity, ...rest });
}

/** What has come and gone since it was counted last. */
export function countBytes({ metrics }: Service, { socket, counted }: Client): void {
  metrics?.bytes.add({ direction: "in" }, socket.bytesRead - counted.in);
  metrics?.bytes.add({ direction: "out" }, socket.bytesWritten - counted.out);
  counted.in = socket.bytesRead;
  counted.out = socket.bytesWritten;
}

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  403: "Forbidden",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Content Too Large",
  414: "URI Too Long",
  421: "Misdirected Request",
  425: "Too Early",
  431: "Request Header Fields Too Large",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
};

/** Answers in this side's own name: the status and nothing else, for the reasons are the log's. */
export function answer(response: ServerResponse, status: number, close: boolean): void {
  const reason = REASONS[status] ?? "Error";
  const body = `${status} ${reason}\n`;
  response.writeHead(status, reason, [
    ...["Content-Type", "text/plain; charset=utf-8", "Content-Length", String(Buffer.byteLength(body))],
    ...["Cache-Control", "no-store"],
    ...(close ? ["Connection", "close"] : []),
  ]);
  response.end(body);
}

/** `2xx` and the like; `none` where there was no answer. */
export function statusClass(status: number): string {
  return status < 100 ? "none" : `${Math.floor(status / 100)}xx`;
}
