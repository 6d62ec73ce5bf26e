/** What node:tls makes of a chain: a real handshake over loopback, in which nobody insists on the verdict. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import tls from "node:tls";

/** A chain to be judged by node:tls. All PEM. */
export interface NodeQuestion {
  /** End entity first. */
  readonly chain: string;
  readonly privateKey: string;
  readonly trusted: string;
  /** With any, every certificate must be on none of them. */
  readonly crls?: readonly string[];
  readonly role: "server" | "client";
  readonly name: string | undefined;
  /** A chain for the other side, which is not judged. */
  readonly other: { readonly certificate: string; readonly privateKey: string };
}

/** The code of the verification error; `undefined` when node:tls is content. */
export async function nodeVerdict(question: NodeQuestion): Promise<string | undefined> {
  const { chain, privateKey, trusted, crls = [], role, other } = question;
  const judged = { cert: chain, key: privateKey, ciphers: "DEFAULT@SECLEVEL=0" };
  const crl = crls.length === 0 ? {} : { crl: [...crls] };
  const judging = { ca: trusted, ...crl, rejectUnauthorized: false, minVersion: "TLSv1.3" } as const;
  const plain = { cert: other.certificate, key: other.privateKey };
  const server = tls.createServer(role === "server" ? judged : { ...plain, ...judging, requestCert: true });
  const accepted = once(server, "secureConnection") as Promise<[tls.TLSSocket]>;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = tls.connect({
    host: "127.0.0.1",
    port,
    ...(role === "server" ? judging : { ...judged, rejectUnauthorized: false }),
    ...(question.name === undefined ? { checkServerIdentity: () => undefined } : { servername: question.name }),
  });
  try {
    const [[socket]] = await Promise.all([accepted, once(client, "secureConnect")]);
    socket.on("error", () => {
      // The client hangs up once it has its verdict.
    });
    return codeOf(role === "server" ? client : socket);
  } finally {
    client.destroy();
    server.close();
  }
}

function codeOf(socket: tls.TLSSocket): string | undefined {
  const error: unknown = socket.authorizationError;
  if (error === null || error === undefined) return undefined;
  return error instanceof Error ? String((error as NodeJS.ErrnoException).code) : String(error);
}
