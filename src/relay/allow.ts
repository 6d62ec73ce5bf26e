/** Where a relay may connect to. */
import { fault } from "../errors.ts";
import { addressOf, isLoopback, isPublic, type Prefix, parsePrefix, within } from "./addresses.ts";

/** A host, a name in lower case or an address, and its port. */
export interface RelayTarget {
  readonly host: string;
  readonly port: number;
}

interface Rule {
  readonly port: number;
  /** `device.example`, or `.example` for every name of one more label. */
  readonly name?: string;
  readonly prefix?: Prefix;
}

const HOST_AND_PORT = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/;
const LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?";
const NAME = new RegExp(`^(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*$`);

/** What is allowed, by name and by address. */
export class AllowList {
  readonly #rules: readonly Rule[];

  /**
   * @param rules - `device.example:443`, `*.example:443`, `192.168.1.7:443`, `10.0.0.0/8:443`, `[fd00::/8]:443`.
   * @throws TlsError `ERR_TLS_OPTION`.
   */
  constructor(rules: readonly string[]) {
    this.#rules = rules.map(parseRule);
  }

  /** True when the target is named: a name by its name, an address by its address. */
  allows({ host, port }: RelayTarget): boolean {
    const address = addressOf(host);
    if (address !== undefined) return this.#names(address, port);
    const [parent] = /\..*$/.exec(host) ?? [];
    const names = parent === undefined ? [host] : [host, parent];
    return this.#rules.some((rule) => rule.port === port && rule.name !== undefined && names.includes(rule.name));
  }

  /**
   * True when what an allowed target leads to may be connected to: a public address may, one that is not must be named
   * itself. `localhost` names this machine.
   */
  leadsTo(address: Uint8Array, { host, port }: RelayTarget): boolean {
    return isPublic(address) || this.#names(address, port) || (host === "localhost" && isLoopback(address));
  }

  #names(address: Uint8Array, port: number): boolean {
    return this.#rules.some((rule) => rule.port === port && rule.prefix !== undefined && within(address, rule.prefix));
  }
}

/** `HOST:PORT` as a client asks for it; `undefined` for anything that is neither a name nor an address with a port. */
export function parseRelayTarget(text: string): RelayTarget | undefined {
  const [, bracketed, plain, digits] = HOST_AND_PORT.exec(text) ?? [];
  const port = Number(digits);
  if (!(port >= 1 && port <= 65_535)) return undefined;
  if (bracketed !== undefined)
    return bracketed.includes(":") && addressOf(bracketed) ? { host: bracketed, port } : undefined;
  const host = (plain ?? "").toLowerCase().replace(/\.$/, "");
  return addressOf(host) !== undefined || isName(host) ? { host, port } : undefined;
}

/** Resolvers take 127.1, 2130706433 and 0x7f000001 for addresses; none of them is a name. */
function isName(host: string): boolean {
  return NAME.test(host) && !/(?:^|\.)(?:\d+|0x[0-9a-f]*)$/.test(host);
}

function parseRule(text: string): Rule {
  const [, bracketed, plain, digits] = HOST_AND_PORT.exec(text) ?? [];
  const port = Number(digits);
  const host = (bracketed ?? plain ?? "").toLowerCase();
  if (!(port >= 1 && port <= 65_535))
    throw fault("ERR_TLS_OPTION", `"${text}" is not HOST:PORT with a port from 1 to 65535`);
  const prefix = parsePrefix(host);
  if (prefix !== undefined) return { port, prefix };
  const name = host.replace(/\.$/, "");
  if (isName(name.replace(/^\*\./, ""))) return { port, name: name.replace(/^\*/, "") };
  throw fault("ERR_TLS_OPTION", `"${text}" names no host: a name, *.NAME, an address, or a network such as 10.0.0.0/8`);
}
