import { expect, it } from "vitest";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { Contexts } from "../../src/http/contexts.ts";
import { type ClientConfiguration, clientContext } from "../../src/index.ts";

it("keeps options prepared for so many hosts and no more, those used last", async () => {
  const prepared: (string | undefined)[] = [];
  const contexts = new Contexts((options: ClientConfiguration) => {
    prepared.push(options.serverName);
    return clientContext(options);
  });
  const tls = { provider: nobleProvider, rejectUnauthorized: false };
  const visit = (host: number) => contexts.for(tls, `host${host}.example`, true, true);
  const first = await visit(0);
  for (let host = 1; host < 64; host++) await visit(host);
  expect((await visit(0)).context).toBe(first.context);
  await visit(64);
  expect((await visit(0)).context).toBe(first.context);
  expect(prepared).toHaveLength(65);
  // The one used longest ago had to go.
  await visit(1);
  expect(prepared).toHaveLength(66);
});

it("keeps no failure to prepare options", async () => {
  let tries = 0;
  const contexts = new Contexts((options: ClientConfiguration) => {
    if (++tries === 1) throw new Error("not now");
    return clientContext(options);
  });
  const tls = { provider: nobleProvider, rejectUnauthorized: false };
  await expect(contexts.for(tls, "host.example", true, true)).rejects.toThrow("not now");
  expect((await contexts.for(tls, "host.example", true, true)).pooled).toBe(true);
});
