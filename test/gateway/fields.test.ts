import { X509Certificate } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { byteSequence, type IdentityFieldOptions, identityFields } from "../../src/gateway/fields/identity.ts";
import { passedBack, passedOn } from "../../src/gateway/fields/names.ts";
import { readFraming, requestFields } from "../../src/gateway/fields/request.ts";
import { isRefusal } from "../../src/gateway/target.ts";
import { createThrowawayAuthority } from "../../src/pki/index.ts";
import { type PeerIdentity, peerIdentity } from "../../src/x509/identity.ts";
import { parseCertificate } from "../../src/x509/parse.ts";

let path: readonly Uint8Array[];
let client: PeerIdentity;
let unverified: PeerIdentity;

beforeAll(async () => {
  const authority = await createThrowawayAuthority({ intermediates: 1 });
  const issued = await authority.issue({
    subject: [
      ["O", 'Müller, "Söhne"'],
      ["CN", "alice"],
    ],
    dnsNames: ["alice.example.org"],
    uris: ["spiffe://example.org/alice"],
  });
  path = [...issued.certificates, authority.certificate];
  const parsed = path.map(parseCertificate) as never;
  client = peerIdentity(parsed, "client", true, nobleProvider);
  unverified = peerIdentity(parsed, "client", false, nobleProvider);
});

const fieldsOf = (options: IdentityFieldOptions, who: PeerIdentity | undefined = client, roles: string[] = []) =>
  identityFields(options).fields(who, roles);

describe("Client-Cert", () => {
  it("is the certificate as RFC 9440 2.1 has it", () => {
    const [name, value = ""] = fieldsOf({});
    expect(name).toBe("Client-Cert");
    expect(value).toMatch(/^:[A-Za-z0-9+/]+=*:$/);
    const der = Buffer.from(value.slice(1, -1), "base64");
    expect(der.equals(path[0] as Uint8Array)).toBe(true);
    expect(new X509Certificate(der).subjectAltName).toContain("alice.example.org");
  });

  it("comes with the path behind it where that is wanted, RFC 9440 2.3", () => {
    const fields = fieldsOf({ clientCertChain: true });
    expect(fields.slice(2)).toEqual(["Client-Cert-Chain", path.slice(1).map(byteSequence).join(", ")]);
    expect(() => identityFields({ clientCert: false, clientCertChain: true })).toThrow(
      "clientCertChain without clientCert",
    );
  });

  it("is said of nobody who was not verified", () => {
    const all = { clientCertChain: true, xfcc: true, subject: "X-Subject", spiffeId: "X-Spiffe", roles: "X-Roles" };
    expect(fieldsOf(all).length).toBe(10);
    expect(fieldsOf(all, unverified, ["role"])).toEqual([]);
    expect(identityFields(all).fields(undefined, ["role"])).toEqual([]);
  });

  it("encodes bytes as RFC 8941 4.1.8 does", () => {
    expect(byteSequence(new TextEncoder().encode("pretend this is binary content."))).toBe(
      ":cHJldGVuZCB0aGlzIGlzIGJpbmFyeSBjb250ZW50Lg==:",
    );
  });
});

describe("other identity fields", () => {
  it("have Envoy's form", () => {
    const [, value = ""] = fieldsOf({ clientCert: false, xfcc: true });
    const [hash, cert = "", ...more] = value.split(";");
    expect(hash).toBe(`Hash=${client.fingerprint256}`);
    const pem = decodeURIComponent(/^Cert="(.*)"$/.exec(cert)?.[1] ?? "");
    expect(new X509Certificate(pem).raw.equals(path[0] as Uint8Array)).toBe(true);
    // RFC 4514 has escaped the quotes and the comma; quoting escapes again.
    expect(more).toEqual([
      'Subject="CN=alice,O=M\\\\C3\\\\BCller\\\\, \\\\\\"S\\\\C3\\\\B6hne\\\\\\""',
      "URI=spiffe://example.org/alice",
      "DNS=alice.example.org",
    ]);
  });

  it("are single facts in ASCII, under names of one's own", () => {
    const options = { clientCert: false, subject: "X-Subject", spiffeId: "X-Spiffe-Id", roles: "X-Roles" };
    expect(fieldsOf(options, client, ["reader", "writer"])).toEqual([
      ...["X-Subject", 'CN=alice,O=M\\C3\\BCller\\, \\"S\\C3\\B6hne\\"'],
      ...["X-Spiffe-Id", "spiffe://example.org/alice"],
      ...["X-Roles", "reader, writer"],
    ]);
    expect(identityFields(options).names).toEqual(["X-Subject", "X-Spiffe-Id", "X-Roles"]);
  });

  it.each([
    "Host",
    "host",
    "Content-Length",
    "content_type",
    "Cookie",
    "Client-Cert",
    "X-Forwarded-For",
    "a b",
    "x_y",
    "",
    "a:b",
  ])("are not named %j", (name) => {
    expect(() => identityFields({ subject: name })).toThrow("is no name for a field of its own");
  });

  it("are no others", () => {
    expect(() => identityFields({ cert: true } as never)).toThrow('identity has no option "cert"');
  });
});

describe("a client's fields", () => {
  const kept = (...fields: string[]) => passedOn(fields, ["X-Subject"]);

  it("are passed on as they are, in their order", () => {
    const fields = ["Accept", "*/*", "X-Any", "1", "Cookie", "a=b", "X-Any", "2", "Authorization", "Basic x"];
    expect(kept(...fields)).toEqual(fields);
  });

  it.each([
    ...[
      "Client-Cert",
      "client-cert",
      "CLIENT-CERT",
      "Client_Cert",
      "client_cert",
      "CLIENT_CERT",
      "Client.Cert",
      "Client!Cert",
    ],
    ...["cLiEnT-cErT", "Client~Cert", "Client-Cert-Chain", "client_cert_chain", "Client_Cert-Chain"],
    ...["X-Forwarded-Client-Cert", "x_forwarded_client_cert", "X-Forwarded_For", "X-Forwarded-Anything", "X-Real-IP"],
    ...["Forwarded", "FORWARDED", "Early-Data", "early_data", "Via"],
    ...[
      "X-Subject",
      "x-subject",
      "X_Subject",
      "x.subject",
      "X-SSL-Client-Verify",
      "SSL_CLIENT_S_DN",
      "X-Client-Cert-Subject",
    ],
    ...[
      "X-Original-URL",
      "X-Rewrite-URL",
      "X_Original_Url",
      "X-HTTP-Method-Override",
      "X-Method-Override",
      "X-HTTP-Method",
    ],
    ...[
      "Connection",
      "Keep-Alive",
      "Proxy-Connection",
      "TE",
      "Trailer",
      "Transfer-Encoding",
      "Upgrade",
      "HTTP2-Settings",
    ],
    ...[
      "Proxy-Authorization",
      "Proxy_Authorization",
      "Transfer_Encoding",
      "Content_Length",
      "Content-Length",
      "Host",
      "Expect",
    ],
  ])("%s is not", (name) => {
    expect(kept("A", "1", name, "forged", "B", "2")).toEqual(["A", "1", "B", "2"]);
  });

  it("are not where Connection names them", () => {
    expect(
      kept(
        "Connection",
        "close, X-One ,x_two",
        "connection",
        "X-Three",
        ...["X-One", "X-Two", "x-three", "Y"].flatMap((name) => [name, ""]),
      ),
    ).toEqual(["Y", ""]);
  });

  it("cannot make this side's be dropped", () => {
    const raw = [
      "Host",
      "localhost",
      "Connection",
      "Client-Cert, Host, Content-Length, X-Forwarded-For",
      "Content-Length",
      "3",
    ];
    const sent = requestFields(
      raw,
      {
        host: { name: "localhost", field: "localhost" },
        framing: { length: 3 },
        version: "1.1",
        client,
        roles: [],
        clientAddress: "::1",
        early: true,
      },
      identityFields(),
      ["forwarded", "x-forwarded"],
    );
    expect(sent.filter((_, index) => index % 2 === 0)).toEqual([
      ...["Host", "Content-Length", "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Via"],
      ...["Client-Cert", "Early-Data"],
    ]);
    expect(sent).toContain('for="[::1]";host=localhost;proto=https');
  });
});

describe("a response's fields", () => {
  it("are passed back but for those of the hop, and those that no response has", () => {
    const fields = ["Set-Cookie", "a", "Set-Cookie", "b", "Content-Length", "3"];
    const dropped = [
      "Connection",
      "x-hop",
      "X-Hop",
      "1",
      "Keep-Alive",
      "5",
      "Transfer-Encoding",
      "chunked",
      "Client-Cert",
      "::",
    ];
    expect(passedBack([...fields, ...dropped])).toEqual(fields);
  });
});

describe("framing", () => {
  const read = (version: string, ...fields: string[]) => {
    const framing = readFraming(fields, version);
    return typeof framing === "object" && isRefusal(framing) ? [framing.status, framing.rule] : framing;
  };

  it("is what one field says", () => {
    expect(read("1.1")).toBe("none");
    expect(read("1.1", "content-length", "12")).toEqual({ length: 12 });
    expect(read("1.1", "Transfer-Encoding", "Chunked")).toBe("chunked");
  });

  it.each([
    [["Content-Length", "1", "Transfer-Encoding", "chunked"], "1.1", 400, "framing-conflict"],
    [["Content-Length", "1", "Content-Length", "1"], "1.1", 400, "framing-length"],
    [["Content-Length", "1, 1"], "1.1", 400, "framing-length"],
    [["Content-Length", "+1"], "1.1", 400, "framing-length"],
    [["Content-Length", "0x1"], "1.1", 400, "framing-length"],
    [["Content-Length", ""], "1.1", 400, "framing-length"],
    [["Content-Length", "1".repeat(16)], "1.1", 400, "framing-length"],
    [["Transfer-Encoding", "gzip, chunked"], "1.1", 501, "framing-coding"],
    [["Transfer-Encoding", "identity"], "1.1", 501, "framing-coding"],
    [["Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked"], "1.1", 501, "framing-coding"],
    [["Transfer-Encoding", "chunked"], "1.0", 400, "framing-version"],
    [["Transfer_Encoding", "chunked"], "1.1", 400, "framing-spelling"],
    [["Content_Length", "1"], "1.1", 400, "framing-spelling"],
    [["Content.Length", "1"], "1.1", 400, "framing-spelling"],
    [Array(202).fill("x"), "1.1", 431, "field-count"],
  ])("of %j in HTTP/%s is refused", (fields, version, status, rule) => {
    expect(read(version as string, ...(fields as string[]))).toEqual([status, rule]);
  });
});
