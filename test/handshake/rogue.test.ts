import { beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { Certificate, EncryptedExtensions } from "../../src/codec/messages.ts";
import { failure } from "../support/pair.ts";
import { confront } from "../support/rogue.ts";
import { createWorld, edit, raw, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

describe("the rogue peer that these tests rely on", () => {
  for (const coalesce of [true, false]) {
    it(`is an honest peer when it changes nothing, ${coalesce ? "one record a flight" : "one record a message"}`, () => {
      const client = world.honestClient();
      const rogueServer = world.rogueServer({ coalesce });
      confront(client, rogueServer);
      expect([failure(client), rogueServer.error, rogueServer.alerts]).toEqual([undefined, undefined, []]);
      expect(rogueServer.result?.peer?.commonName).toBe("client");
      client.engine.write(utf8("hello"));
      confront(client, rogueServer);
      expect(rogueServer.data).toEqual(utf8("hello"));

      const server = world.honestServer();
      const rogueClient = world.rogueClient({ coalesce });
      confront(server, rogueClient);
      expect([failure(server), rogueClient.error, rogueClient.alerts]).toEqual([undefined, undefined, []]);
      expect(server.engine.result?.peer?.commonName).toBe("client");
    });
  }

  it("keeps transcript and keys with what it really sent, so that a legal change goes through", () => {
    const client = world.honestClient();
    const server = world.rogueServer({
      tamper: (message, name) =>
        name === "encrypted_extensions"
          ? edit(message, EncryptedExtensions, () => ({ extensions: [raw("supported_groups", 0, 2, 0, 29)] }))
          : undefined,
    });
    confront(client, server);
    expect([failure(client), server.error]).toEqual([undefined, undefined]);
    expect(client.engine.result?.alpn).toBeUndefined();
  });

  it("can add, drop and reorder: the other side's finding is about the message, never about the hash", () => {
    const client = world.honestClient();
    const server = world.rogueServer({
      tamper: (message, name) => (name === "certificate" ? [message, message] : undefined),
    });
    confront(client, server);
    expect(failure(client)).toMatchObject({ code: "ERR_SSL_UNEXPECTED_MESSAGE", stage: "WAIT_CV" });
    const silent = world.honestServer({ clientAuth: "optional" });
    const nobody = world.rogueClient({
      tamper: (message, name) =>
        name === "certificate"
          ? edit(message, Certificate, (body) => ({ ...body, certificate_list: [] }))
          : name === "certificate_verify"
            ? []
            : undefined,
    });
    confront(silent, nobody);
    expect([failure(silent), nobody.error]).toEqual([undefined, undefined]);
    expect(silent.engine.result?.peer).toBeUndefined();
  });
});
