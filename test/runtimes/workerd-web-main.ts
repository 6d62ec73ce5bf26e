/** What workerd runs: `POST /?relay=…&url=…`, the material being the body. */
import type { Material } from "./core.ts";
import { visit } from "./web.ts";

export default {
  async fetch(request: Request): Promise<Response> {
    const { searchParams } = new URL(request.url);
    const material = (await request.json()) as Material;
    return Response.json(await visit(material, searchParams.get("relay") ?? "", searchParams.get("url") ?? ""));
  },
};
