/** fetch through a relay with whatever WebSocket the runtime has. */
import { createFetch } from "../../src/http/index.ts";
import { clientContext, viaRelay, type WebSocketConstructor } from "../../src/index.ts";
import { describe, type Material } from "./core.ts";

/** What it came to. */
export interface Visited {
  readonly status?: number;
  readonly url?: string;
  readonly text?: string;
  /** Of 300000 bytes that were sent and came back. */
  readonly echoed?: number;
  /** The code with a certificate of another authority. */
  readonly refused?: string;
  readonly error?: string;
}

export async function visit(
  material: Material,
  relay: string,
  url: string,
  WebSocket?: WebSocketConstructor,
): Promise<Visited> {
  const connect = viaRelay(relay, { WebSocket });
  const fetch = createFetch({ clientContext: (options) => clientContext(options), connect });
  const tls = { trust: material.ca, identities: [material.client["P-256"]] };
  try {
    const response = await fetch(url, { tls });
    const text = await response.text();
    const body = new Uint8Array(300_000).fill(7);
    const back = new Uint8Array(await (await fetch(`${url}echo`, { tls, method: "POST", body })).arrayBuffer());
    const strange = { trust: material.ca, identities: [material.stranger], ignoreRequestHints: true };
    const refused = await fetch(url, { tls: strange }).then(
      () => "none",
      (error: { readonly code?: string }) => error.code ?? describe(error),
    );
    fetch.close();
    return {
      status: response.status,
      url: response.url,
      text,
      echoed: back.filter((byte) => byte === 7).length,
      refused,
    };
  } catch (error) {
    return { error: describe(error) };
  }
}
