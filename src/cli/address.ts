/** HOST:PORT as people write it. */
import { parseAddress } from "../x509/address.ts";
import { usage } from "./exit.ts";
import type { Arguments } from "./flags.ts";

export interface Target {
  readonly host: string;
  readonly port: number;
}

/** `host:443`, `127.0.0.1:443`, `[::1]:443`. */
export function parseTarget(text: string): Target {
  const target = split(text);
  if (target === undefined || target.port < 1) throw usage(`"${text}" is not HOST:PORT`, targetHint(text));
  return target;
}

/** The same for where to listen: port 0 is any that is free. */
export function parseListen(text: string): Target {
  const target = split(text);
  if (target === undefined) throw usage(`--listen: "${text}" is not HOST:PORT`);
  return target;
}

function split(text: string): Target | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]/]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  return host === undefined || port > 65535 ? undefined : { host, port };
}

function targetHint(text: string): string | undefined {
  if (/^[a-z]+:\/\//i.test(text)) return "leave out the scheme: mutls speaks TLS, not HTTP";
  if (parseAddress(text)?.length === 16) return `write [${text}]:443`;
  if (/:\d+$/.test(text)) return "a port is a number from 1 to 65535";
  return /^[^:/]+$/.test(text) ? `did you mean ${text}:443?` : undefined;
}

/** `HOST:PORT` as text, IPv6 in brackets. */
export function formatTarget(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Where to connect for a target: curl's `--resolve HOST:PORT:ADDRESS`. */
export function resolveTarget(args: Arguments, { host, port }: Target): Target {
  for (const entry of args.all("resolve")) {
    const match = /^(\[[^\]]+\]|[^:]+):(\d{1,5}):(.+)$/.exec(entry);
    const addresses = match?.[3]?.split(",").map((address) => address.replace(/^\[(.*)\]$/, "$1"));
    if (match === null || addresses === undefined || !addresses.every((address) => parseAddress(address))) {
      throw usage(`--resolve: "${entry}" is not HOST:PORT:ADDRESS`);
    }
    const name = (match[1] as string).replace(/^\[(.*)\]$/, "$1");
    if (name.toLowerCase() === host.toLowerCase() && Number(match[2]) === port)
      return { host: addresses[0] as string, port };
  }
  return { host, port };
}
