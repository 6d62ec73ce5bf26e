import { expect, it } from "vitest";
import { contextConstructed, derEncode } from "../../src/bytes/der.ts";
import { DistinguishedName } from "../../src/x509/distinguished.ts";
import { readDistributionPoints } from "../../src/x509/distribution.ts";
import { encodeName, encodeSequence, generalName } from "../support/der.ts";

it("a distribution point has each CRL issuer once, however it is written", () => {
  const issuers = ["a", "b", "A", "a"].map((name) => generalName.directory(name));
  const point = encodeSequence(derEncode(contextConstructed(2), ...issuers, generalName.uri("http://a.test/")));
  const [read] = readDistributionPoints(encodeSequence(point), new DistinguishedName(encodeName("c")));
  expect(read?.crlIssuers?.map(({ text }) => text)).toEqual(["CN=a", "CN=b"]);
});
