/** The gateway: identity to policy, passed on to servers behind, with reasons, audit and metrics. */
import "../explained.ts";

export { type AuditLog, type AuditLogOptions, type AuditSink, auditLog } from "./audit/log.ts";
export type { AuditEvent, AuditRecord } from "./audit/record.ts";
export type { IdentityFieldOptions } from "./fields/identity.ts";
export type { ForwardedField } from "./fields/request.ts";
export type { EarlyRequests } from "./judge.ts";
export { type Expiries, type GatewayMetrics, gatewayMetrics, type MetricsSources } from "./metrics/gateway.ts";
export type { Counter, Histogram, Labels, MetricsFormat, Sample } from "./metrics/registry.ts";
export { fileSink } from "./node/files.ts";
export { type Gateway, type GatewayOptions, startGateway } from "./node/gateway.ts";
export type { GatewayLimits } from "./node/limits.ts";
export { type MetricsServer, serveMetrics } from "./node/metrics-server.ts";
export type { UpstreamOptions } from "./node/upstream.ts";
export {
  compilePolicy,
  type Decision,
  type Policy,
  type PolicyDocument,
  type RuleDocument,
  type RuleVerdict,
} from "./policy/policy.ts";
export type { PolicyRequest, WhatDocument } from "./policy/what.ts";
export type { IdentityDocument, NameDocument, WhoDocument } from "./policy/who.ts";
