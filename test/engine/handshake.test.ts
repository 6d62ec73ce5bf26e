import { beforeAll, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { clientContext, serverContext } from "../../src/engine/index.ts";
import { createThrowawayAuthority, type IssuedIdentity, type ThrowawayAuthority } from "../../src/pki/index.ts";
import { byteByByte, end, exchange, failure } from "../support/pair.ts";

let authority: ThrowawayAuthority;
let server: IssuedIdentity;
let client: IssuedIdentity;

beforeAll(async () => {
  authority = await createThrowawayAuthority();
  server = await authority.issue({ subject: "localhost", dnsNames: ["localhost"], server: true });
  client = await authority.issue({ subject: "client", client: true });
});

const identity = ({ certificates, privateKey }: IssuedIdentity) => ({ cert: certificates, key: privateKey });

describe("a mutual handshake over memory", () => {
  for (const [name, wire] of [
    ["whole", undefined],
    ["byte by byte", byteByByte],
  ] as const) {
    it(`authenticates both, ${name}`, () => {
      const common = { provider: nobleProvider, clock: Date.now, trust: authority.certificatePem };
      const a = end(clientContext({ ...common, serverName: "localhost", identities: [identity(client)] }).engine());
      const b = end(serverContext({ ...common, identities: [identity(server)], clientAuth: "on" }).engine());
      exchange(a, b, wire, wire);
      expect([failure(a), failure(b)]).toEqual([undefined, undefined]);
      expect(b.engine.result?.peer?.commonName).toBe("client");
      expect(a.engine.result?.peer?.commonName).toBe("localhost");
      a.engine.write(utf8("hello"));
      exchange(a, b, wire, wire);
      b.engine.write(utf8("world"));
      b.engine.close();
      exchange(a, b, wire, wire);
      a.engine.close();
      exchange(a, b, wire, wire);
      expect(concat(...b.received)).toEqual(utf8("hello"));
      expect(concat(...a.received)).toEqual(utf8("world"));
      expect([a.engine.done, b.engine.done, a.engine.ended, b.engine.ended]).toEqual([true, true, true, true]);
      expect(a.events.map(({ type }) => type)).toEqual(["handshake", "accepted", "end"]);
    });
  }
});
