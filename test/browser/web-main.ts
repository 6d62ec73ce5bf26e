/** What a page does that talks to a server with its own certificate, through a relay. */
import { fetch } from "../../src/http/index.ts";
import { importPrivateKey, type TlsError, viaRelay } from "../../src/index.ts";

export interface Pem {
  readonly cert: string;
  readonly key: string;
}

/** Where to, through which relay, as whom. */
export interface Visit {
  readonly relay: string;
  readonly url: string;
  readonly trust: string;
  /** Nobody. */
  readonly identity?: Pem;
}

/** TLS options and ways to the server are the same objects for the same visit: connections are kept by them. */
const made = new Map<string, Promise<{ tls: object; connect: ReturnType<typeof viaRelay> }>>();

function prepared({ relay, trust, identity }: Visit) {
  const key = JSON.stringify([relay, identity]);
  const known =
    made.get(key) ??
    (async () => {
      const identities =
        identity === undefined ? [] : [{ cert: identity.cert, key: await importPrivateKey(identity.key) }];
      return { tls: { trust, identities, ignoreRequestHints: true }, connect: viaRelay(relay) };
    })();
  made.set(key, known);
  return known;
}

/** What the server says of who asks; or the code of what went wrong. */
async function visit(to: Visit): Promise<{ subject?: string; code?: string; closeCode?: number }> {
  try {
    const response = await fetch(to.url, await prepared(to));
    const { client } = (await response.json()) as { client: { subject: string } };
    return { subject: client.subject };
  } catch (error) {
    const { code, cause } = error as TlsError & { readonly cause?: { readonly closeCode?: number } };
    return { code, ...(cause?.closeCode === undefined ? {} : { closeCode: cause.closeCode }) };
  }
}

/** Sends so many bytes and gets them back, reading only after a while: how many came back right. */
async function echo(to: Visit, length: number): Promise<number> {
  const data = new Uint8Array(length).map((_, index) => (index * 31 + (index >> 8)) & 0xff);
  const response = await fetch(to.url, { ...(await prepared(to)), method: "POST", body: data });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  let right = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return right;
    for (const byte of value) if (byte === data[right]) right++;
    await new Promise((resolve) => setTimeout(resolve));
  }
}

const page = { visit, echo };
export type Page = typeof page;
Object.assign(globalThis, page);
