import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { fromHex, toHex } from "../../src/bytes/hex.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import type { CipherSuite } from "../../src/crypto/provider.ts";
import { combineObservers, keyLog } from "../../src/inspect/index.ts";
import { openedRecord, RecordOpener } from "../../src/record/protection.ts";
import { exchange } from "../support/pair.ts";
import { recordsOf, traced } from "./support.ts";

describe("a key log", () => {
  it("has RFC 9850's lines, the same at both ends, and they decrypt the records", async () => {
    const logs = { client: "", server: "" };
    const ends = await traced(
      {},
      {
        client: keyLog((line) => {
          logs.client += line;
        }),
        server: keyLog((line) => {
          logs.server += line;
        }),
      },
    );
    ends.client.engine.write(utf8("secret words"));
    exchange(ends.client, ends.server);
    const lines = logs.client.trimEnd().split("\n");
    expect(lines.sort()).toEqual(logs.server.trimEnd().split("\n").sort());
    expect(lines.map((line) => line.split(" ")[0])).toEqual([
      "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
      "CLIENT_TRAFFIC_SECRET_0",
      "EXPORTER_SECRET",
      "SERVER_HANDSHAKE_TRAFFIC_SECRET",
      "SERVER_TRAFFIC_SECRET_0",
    ]);
    const random = toHex(ends.client.engine.result?.clientRandom as Uint8Array);
    for (const line of lines) expect(line).toMatch(new RegExp(`^[A-Z_0-9]+ ${random} ([0-9a-f]{64}|[0-9a-f]{96})$`));

    const suite = nobleProvider.suites.find(
      ({ name }) => name === ends.client.engine.result?.cipherSuite,
    ) as CipherSuite;
    const secretOf = (label: string) =>
      fromHex(lines.find((line) => line.startsWith(`${label} `))?.split(" ")[2] as string);
    const openers = {
      client_handshake_traffic_secret: new RecordOpener(suite, secretOf("CLIENT_HANDSHAKE_TRAFFIC_SECRET")),
      server_handshake_traffic_secret: new RecordOpener(suite, secretOf("SERVER_HANDSHAKE_TRAFFIC_SECRET")),
      client_application_traffic_secret_0: new RecordOpener(suite, secretOf("CLIENT_TRAFFIC_SECRET_0")),
    };
    const decrypted = recordsOf(ends.clientItems).filter(({ secret }) => secret !== undefined);
    expect(decrypted.length).toBe(3);
    for (const { secret, wire, content, type } of decrypted) {
      const inner = openers[secret as keyof typeof openers].unprotect({
        type: wire[0] as number,
        bytes: wire,
        fragment: wire.subarray(5),
      });
      const found = openedRecord(inner);
      expect([found.type, toHex(found.content)]).toEqual([type.code, toHex(content)]);
    }
  });

  it("is one of several observers", () => {
    const seen: string[] = [];
    const both = combineObservers(
      () => seen.push("a"),
      keyLog((line) => seen.push(line)),
    );
    const observation = {
      kind: "secret",
      label: "EXPORTER_SECRET",
      clientRandom: fromHex("00"),
      secret: fromHex("ff"),
    } as const;
    both(observation);
    both({ kind: "state", state: "CONNECTED" });
    expect(seen).toEqual(["a", "EXPORTER_SECRET 00 ff\n", "a"]);
  });
});
