/** Seeing a handshake: traces as data and as text, what each byte is for, captures read and written, key logs. */
export { embedKeyLog } from "./capture/embed.ts";
export {
  type CapturedConnection,
  type InspectedCapture,
  type InspectOptions,
  inspectCapture,
} from "./capture/inspect.ts";
export { isCapture } from "./capture/packets.ts";
export {
  type CaptureConnection,
  type CaptureConnectionOptions,
  type CaptureEnd,
  type CaptureWriter,
  type CaptureWriterOptions,
  createCaptureWriter,
} from "./capture/writer.ts";
export type { CertificateSummary } from "./certificate.ts";
export { summarizeCertificate } from "./certificate.ts";
export { certificateFields } from "./certificates/fields.ts";
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
export { inspectPasted, type PastedKind, type PastedOptions } from "./pasted/inspect.ts";
export { createRenderer, type RenderOptions } from "./render.ts";
export type {
  InspectItem,
  Named,
  TraceAlert,
  TraceCertificate,
  TraceError,
  TraceItem,
  TraceMessage,
  TraceNote,
  TracePart,
  TraceRecord,
  TraceSecret,
  TraceSpan,
  TraceState,
} from "./trace.ts";
export { createTrace, traceError, traceJson } from "./trace.ts";
