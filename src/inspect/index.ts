/** Seeing a handshake: traces as data and as text, what each byte is for, and key logs for Wireshark. */
export type { CertificateSummary } from "./certificate.ts";
export { summarizeCertificate } from "./certificate.ts";
export type { Description, SecretDescription } from "./describe.ts";
export {
  describeAlert,
  describeContentType,
  describeExtension,
  describeField,
  describeMessage,
  describeSecret,
  describeState,
  secretInForce,
} from "./describe.ts";
export type { TraceField } from "./fields.ts";
export { combineObservers, keyLog } from "./keylog.ts";
export { createRenderer, type RenderOptions } from "./render.ts";
export type {
  Named,
  TraceAlert,
  TraceError,
  TraceItem,
  TraceMessage,
  TracePart,
  TraceRecord,
  TraceSecret,
  TraceSpan,
  TraceState,
} from "./trace.ts";
export { createTrace, traceError, traceJson } from "./trace.ts";
