/** The Host field (RFC 9110 7.2, RFC 9112 3.2): one, well-formed, and of the server that the connection was made to. */
import { parseAddress } from "../x509/address.ts";
import { isDomainName } from "../x509/names.ts";
import type { Refusal } from "./target.ts";

/** Whom a request is for. */
export interface Host {
  /** Lower case, without port. */
  readonly name: string;
  /** As it is forwarded: with the port, where there was one. */
  readonly field: string;
}

/**
 * @param fields - All Host fields of the request.
 * @param authority - Of an absolute target: it and the Host field must be the same.
 * @param serverName - What the client has asked for in the handshake, if anything.
 */
export function readHost(
  fields: readonly string[],
  authority: string | undefined,
  serverName: string | undefined,
): Host | Refusal {
  const [field, ...more] = fields;
  if (field === undefined || more.length > 0) return refused("host-count", `${fields.length} Host fields`);
  const name = hostName(field);
  if (name === undefined) return refused("host-form", "the Host field is no host with a port");
  if (authority !== undefined && authority.toLowerCase() !== field.toLowerCase()) {
    return refused("host-target", "the request target and the Host field name different hosts");
  }
  const wanted = serverName?.toLowerCase();
  const directed = wanted === undefined ? isAddress(name) : name === wanted;
  if (directed) return { name, field: field.toLowerCase() };
  const made = wanted === undefined ? "without a server name" : `for ${wanted}`;
  // RFC 9110 15.5.20.
  return { status: 421, rule: "host-misdirected", reason: `a request for ${name} on a connection made ${made}` };
}

function refused(rule: string, reason: string): Refusal {
  return { status: 400, rule, reason };
}

const HOST = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/;

function hostName(field: string): string | undefined {
  const [, host, port] = HOST.exec(field) ?? [];
  if (host === undefined || Number(port ?? 1) > 0xffff || Number(port ?? 1) === 0) return undefined;
  const name = host.toLowerCase();
  return isAddress(name) || isDomainName(name) ? name : undefined;
}

function isAddress(name: string): boolean {
  return parseAddress(name.replace(/^\[(.*)\]$/, "$1")) !== undefined;
}
