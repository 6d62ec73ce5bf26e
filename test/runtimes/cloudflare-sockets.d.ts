/** The part of workerd's sockets that the tests use. */
declare module "cloudflare:sockets" {
  export function connect(address: { hostname: string; port: number }): {
    readonly readable: ReadableStream<Uint8Array>;
    readonly writable: WritableStream<Uint8Array>;
  };
}
