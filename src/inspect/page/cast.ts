/** Who takes part: an authority that lives as long as the page, and certificates of it, right ones and wrong ones. */
import { fault } from "../../errors.ts";
import { createThrowawayAuthority, type IssuedIdentity } from "../../pki/throwaway.ts";
import type { Choices } from "./choices.ts";

/** What one side may present. */
export interface Party {
  readonly good: IssuedIdentity;
  /** Of an authority that nobody trusts. */
  readonly stranger: IssuedIdentity;
  readonly expired: IssuedIdentity;
  readonly future: IssuedIdentity;
  /** For the other side's role. */
  readonly wrongPurpose: IssuedIdentity;
  /** For another host. */
  readonly elsewhere: IssuedIdentity;
}

/** Everybody, with keys of one kind. */
export interface Cast {
  /** ms since the epoch: every handshake of this cast takes place at this moment. */
  readonly now: number;
  /** The root that both sides trust, PEM. */
  readonly trust: string;
  readonly server: Party;
  readonly client: Party;
}

const DAY = 86_400_000;

/** The name that the client asks for. */
export const SERVER_NAME = "server.example";

/**
 * A fresh cast; takes some tenths of a second for RSA keys.
 *
 * @throws TlsError `ERR_TLS_OPTION` where the page has no WebCrypto, which browsers keep from pages over plain HTTP.
 */
export async function createCast(key: Choices["key"]): Promise<Cast> {
  if (globalThis.crypto?.subtle === undefined) {
    throw fault("ERR_TLS_OPTION", "keys are made by WebCrypto, which this page has only over https or on localhost");
  }
  const now = Date.now();
  const validity = { notBefore: now - 30 * DAY, notAfter: now + 30 * DAY };
  const [authority, unknown] = await Promise.all([
    createThrowawayAuthority({ name: "Example Root", key, ...validity }),
    createThrowawayAuthority({ name: "A root nobody trusts", key, ...validity }),
  ]);
  const party = async (role: "server" | "client"): Promise<Party> => {
    const names =
      role === "server"
        ? { subject: SERVER_NAME, dnsNames: [SERVER_NAME] }
        : { subject: "alice", uris: ["spiffe://example.org/alice"] };
    const request = { ...names, key, [role]: true };
    const issued = {
      good: authority.issue(request),
      stranger: unknown.issue(request),
      expired: authority.issue({ ...request, notBefore: now - 20 * DAY, notAfter: now - DAY }),
      future: authority.issue({ ...request, notBefore: now + DAY, notAfter: now + 20 * DAY }),
      wrongPurpose: authority.issue({ ...names, key, [role === "server" ? "client" : "server"]: true }),
      elsewhere: authority.issue({ ...request, subject: "elsewhere.example", dnsNames: ["elsewhere.example"] }),
    };
    const entries = Object.entries(issued).map(async ([name, identity]) => [name, await identity] as const);
    return Object.fromEntries(await Promise.all(entries)) as unknown as Party;
  };
  const [server, client] = await Promise.all([party("server"), party("client")]);
  return { now, trust: authority.certificatePem, server, client };
}
