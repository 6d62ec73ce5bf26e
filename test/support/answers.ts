/** `mutls serve` and `mutls connect` against each other, and what `--mode http` says of the connection. */
import { expect } from "vitest";
import { mutls, type Run, type Served, served } from "./cli.ts";

export const REQUEST = "GET / HTTP/1.0\r\n\r\n";

/** A server while `visit` runs. */
export async function withServer(flags: readonly string[], visit: (server: Served) => Promise<void>): Promise<void> {
  const server = await served(flags);
  try {
    await visit(server);
  } finally {
    await server.stop();
  }
}

/** Connects to it and sends a request, or something else. */
export function connect({ port }: Pick<Served, "port">, flags: readonly string[], input = REQUEST): Promise<Run> {
  return mutls(["connect", `localhost:${port}`, ...flags], { input });
}

/** The JSON of a good answer. */
export function facts({ status, stdout, stderr }: Run): Record<string, unknown> {
  const text = stdout.toString();
  expect([status, stderr.includes("ERR_"), text.slice(0, 15)]).toEqual([0, false, "HTTP/1.0 200 OK"]);
  return JSON.parse(text.split("\r\n\r\n")[1] as string) as Record<string, unknown>;
}
