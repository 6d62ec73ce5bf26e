/** Metrics for Prometheus, over HTTP on this machine. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fault } from "../../errors.ts";
import type { GatewayMetrics } from "../metrics/gateway.ts";
import { isLoopback } from "./upstream.ts";

/** Where metrics are served. */
export interface MetricsServer {
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

const TYPES = {
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
  prometheus: "text/plain; version=0.0.4; charset=utf-8",
} as const;

const PATIENCE = 10_000;

/**
 * Serves metrics at `/metrics`: OpenMetrics to who asks for it, and the older format to others.
 *
 * @param host - A loopback address: there is no authentication.
 * @param port - 0: the system picks one.
 * @throws TlsError `ERR_TLS_OPTION` for other addresses; Node's error when it cannot listen.
 * @example
 * ```ts
 * const server = await serveMetrics(gatewayMetrics(), "127.0.0.1", 0);
 * const answer = await fetch(`http://127.0.0.1:${server.port}/metrics`);
 * console.log((await answer.text()).startsWith("# HELP mutls_handshakes_total ")); // true
 * await server.close();
 * ```
 */
export async function serveMetrics(metrics: GatewayMetrics, host: string, port: number): Promise<MetricsServer> {
  if (!isLoopback(host)) throw fault("ERR_TLS_OPTION", `metrics on ${host}: only on this machine, 127.0.0.1 or ::1`);
  const server = createServer(
    { headersTimeout: PATIENCE, requestTimeout: PATIENCE, maxHeaderSize: 8192 },
    ({ method = "", url = "", headers }, response) => {
      const status = url.split("?")[0] !== "/metrics" ? 404 : method === "GET" || method === "HEAD" ? 200 : 405;
      if (status !== 200) {
        response.writeHead(status, { "Content-Length": 0, Connection: "close" }).end();
        return;
      }
      const format = /application\/openmetrics-text/.test(headers.accept ?? "") ? "openmetrics" : "prometheus";
      const text = metrics.text(format);
      response.writeHead(200, { "Content-Type": TYPES[format], "Content-Length": Buffer.byteLength(text) });
      response.end(text);
    },
  );
  server.maxConnections = 32;
  server.timeout = PATIENCE;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  // Accepting one connection failed; whoever asks will ask again.
  server.on("error", () => {});
  const address = server.address() as AddressInfo;
  return {
    host: address.address,
    port: address.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
