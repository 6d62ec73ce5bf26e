/** What workerd runs: `POST /core`, `POST /dial?port=…&who=…`, the material being the body. */
import { connect } from "cloudflare:sockets";
import { type Material, runCases, utf8 } from "./core.ts";
import { dial } from "./sockets.ts";

export default {
  async fetch(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const material = (await request.json()) as Material;
    if (pathname === "/dial") {
      const stream = async () => connect({ hostname: "127.0.0.1", port: Number(searchParams.get("port")) });
      return Response.json(await dial(stream, material, searchParams.get("who") as "client" | "stranger"));
    }
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const run = runCases(material, (result) => void writer.write(utf8(`${JSON.stringify(result)}\n`)));
    void run.finally(() => writer.close());
    return new Response(readable);
  },
};
