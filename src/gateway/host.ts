/** The Host field (RFC 9110 7.2, RFC 9112 3.2): one, well-formed, and of the server that the connection was made to. */
import { formatAddress, parseAddress } from "../x509/address.ts";
import { isDomainName } from "../x509/names.ts";
import type { Refusal } from "./target.ts";

/** Whom a request is for. */
export interface Host {
  /** In its one form, see {@link hostForm}; without port. */
  readonly name: string;
  /** As it is forwarded: the name, with the port where there was one. */
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
  const [, host = "", port] = HOST.exec(field) ?? [];
  const name = isPort(port) ? hostForm(host) : undefined;
  if (name === undefined) return refused("host-form", "the Host field is no host with a port");
  if (authority !== undefined && authority.toLowerCase() !== field.toLowerCase()) {
    return refused("host-target", "the request target and the Host field name different hosts");
  }
  const wanted = serverName?.toLowerCase();
  const directed = wanted === undefined ? isAddress(name) : name === wanted;
  if (directed) return { name, field: port === undefined ? name : `${name}:${port}` };
  const made = wanted === undefined ? "without a server name" : `for ${wanted}`;
  // RFC 9110 15.5.20.
  return { status: 421, rule: "host-misdirected", reason: `a request for ${name} on a connection made ${made}` };
}

function refused(rule: string, reason: string): Refusal {
  return { status: 400, rule, reason };
}

const HOST = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/;

/** A name in lower case, or an address as RFC 5952 writes it, IPv6 in brackets; `undefined` for what is neither. */
export function hostForm(host: string): string | undefined {
  const address = parseAddress(host);
  if (address?.length === 16) return host.startsWith("[") ? `[${formatAddress(address)}]` : undefined;
  const name = host.toLowerCase();
  return address !== undefined || isDomainName(name) ? name : undefined;
}

function isPort(port = "1"): boolean {
  return Number(port) > 0 && Number(port) <= 0xffff;
}

function isAddress(name: string): boolean {
  return parseAddress(name) !== undefined;
}
