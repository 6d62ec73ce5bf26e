/** `mutls gateway` as a process. */
import { once } from "node:events";
import { readFileSync, renameSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { writePem } from "../../src/bytes/pem.ts";
import { type ConnectOptions, connect, type TlsSession } from "../../src/node/index.ts";
import { certificateFiles, type Files, finished, mutls, type Run, start } from "../support/cli.ts";
import { makeAuthority, makeCertificate } from "../support/pki.ts";
import { makeCrl, serialOf } from "../support/status.ts";

const POLICY = {
  version: "1",
  rules: [
    { name: "read", effect: "allow", who: "verified", what: { method: "GET", path: "/books/**" }, roles: ["reader"] },
    { name: "secret", effect: "deny", who: "anyone", what: { path: "/books/secret" } },
  ],
};

let files: Files;
let behind: Server;
let upstream: string;
let gateway: Running | undefined;

beforeEach(async () => {
  files = await certificateFiles();
  files.write("policy.json", JSON.stringify(POLICY));
  behind = createServer((request, response) => response.end(JSON.stringify(request.headers)));
  await new Promise<void>((resolve) => behind.listen(0, "127.0.0.1", resolve));
  upstream = `http://127.0.0.1:${(behind.address() as AddressInfo).port}`;
});
afterEach(async () => {
  await gateway?.stop();
  gateway = undefined;
  behind.closeAllConnections();
  behind.close();
  files.remove();
});

interface Running {
  readonly port: number;
  stdout(): string;
  says(pattern: RegExp): Promise<RegExpExecArray>;
  tells(pattern: RegExp): Promise<RegExpExecArray>;
  signal(name: NodeJS.Signals): void;
  stop(): Promise<Run>;
}

const flags = (...more: string[]) => [
  ...["--policy", files.path("policy.json"), "--cacert", files.path("ca.pem"), "--upstream", upstream],
  ...files.pair("server"),
  ...more,
];

async function running(...more: string[]): Promise<Running> {
  const child = start(["gateway", "--listen", "127.0.0.1:0", ...flags(...more)]);
  const end = finished(child);
  const watch = (stream: NodeJS.ReadableStream | null) => {
    let text = "";
    const waiting = new Set<() => void>();
    stream?.on("data", (chunk) => {
      text += chunk;
      for (const wake of [...waiting]) wake();
    });
    return {
      text: () => text,
      until: (pattern: RegExp) =>
        new Promise<RegExpExecArray>((resolve, reject) => {
          const look = () => {
            const match = pattern.exec(text);
            if (match === null) return;
            waiting.delete(look);
            resolve(match);
          };
          waiting.add(look);
          void end.then(({ stderr }) => reject(new Error(`never ${pattern}: ${text}\n${stderr}`)));
          look();
        }),
    };
  };
  const [out, err] = [watch(child.stdout), watch(child.stderr)];
  const [, port] = await err.until(/^mutls: listening on 127\.0\.0\.1:(\d+)$/m);
  return {
    port: Number(port),
    stdout: out.text,
    says: err.until,
    tells: out.until,
    signal: (name) => void child.kill(name),
    stop: () => {
      child.kill("SIGTERM");
      return end;
    },
  };
}

const content = (name: string) => readFileSync(files.path(name), "utf8");
const pair = (name: string) => ({ cert: content(`${name}.pem`), key: content(`${name}.key`) });

function open(options: Partial<ConnectOptions> = {}, port = (gateway as Running).port): Promise<TlsSession> {
  const to = { host: "127.0.0.1", port, serverName: "localhost" };
  return connect({ ...to, trust: content("ca.pem"), identities: [pair("client")], ...options });
}

async function ask(path: string, options: Partial<ConnectOptions> = {}): Promise<string> {
  const session = await open(options);
  await session.writable
    .getWriter()
    .write(new TextEncoder().encode(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`));
  return new Response(session.readable).text();
}

/** As most tools do it: aside, then in place. */
function put(name: string, text: string): void {
  renameSync(files.write(`${name}.new`, text), files.path(name));
}

describe("mutls gateway", () => {
  it("lets through what the policy allows, says who it was, and tells of everything", async () => {
    gateway = await running("--identity", "client-cert,subject=X-Subject,roles=X-Roles", "--metrics", "127.0.0.1:0");
    const answer = await ask("/books/1?token=x");
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer).toContain('"x-subject":"CN=alice"');
    expect(answer).toContain('"x-roles":"reader"');
    expect(answer).toMatch(/"client-cert":":[A-Za-z0-9+/=]+:"/);
    expect(await ask("/books/secret")).toMatch(/^HTTP\/1\.1 403 /);
    const [line] = await gateway.tells(/^.*"rule":"secret".*$/m);
    expect(JSON.parse(line)).toMatchObject({ event: "request", status: 403, reason: "rule secret denies it" });
    expect(gateway.stdout()).not.toContain("token");
    const [, metrics] = await gateway.says(/^mutls: metrics on (\S+)$/m);
    const text = await (await fetch(metrics as string)).text();
    expect(text).toContain('mutls_requests_total{status="4xx",rule="secret"} 1');
    expect(text).toMatch(/mutls_certificate_not_after_timestamp_seconds\{name="localhost",index="0"\} \d{10}/);
    const { status } = await gateway.stop();
    expect(status).toBe(0);
    for (const each of gateway.stdout().trimEnd().split("\n")) expect(JSON.parse(each).time).toMatch(/Z$/);
    gateway = undefined;
  });

  it("ends though nobody reads its audit log, and answers until then", async () => {
    const child = start(["gateway", "--listen", "127.0.0.1:0", ...flags()]);
    const ended = once(child, "exit");
    let stderr = "";
    const port = await new Promise<number>((resolve) => {
      child.stderr?.on("data", (chunk) => {
        stderr += chunk;
        const [, found] = /listening on 127\.0\.0\.1:(\d+)/.exec(stderr) ?? [];
        if (found !== undefined) resolve(Number(found));
      });
    });
    const session = await open({}, port);
    const [writer, reader] = [session.writable.getWriter(), session.readable.getReader()];
    const request = new TextEncoder().encode(`GET /${"a".repeat(1000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    // More than a pipe takes.
    for (let count = 0; count < 600; count++) {
      await writer.write(request);
      let answer = "";
      while (!answer.endsWith("403 Forbidden\n")) answer += new TextDecoder().decode((await reader.read()).value);
    }
    session.abort();
    child.kill("SIGTERM");
    expect(await ended).toEqual([23, null]);
    expect(stderr).toContain("mutls: the audit log does not take its last lines\n");
  });

  it("follows its policy and its CRLs, and leaves in force what it cannot replace", async () => {
    const root = await makeAuthority();
    const leaf = await makeCertificate({ issuer: root, subject: "leaf" });
    const crl = async (...revoked: (typeof leaf)[]) => {
      const entries = revoked.map((one) => ({ serial: serialOf(one) }));
      return writePem("X509 CRL", await makeCrl({ issuer: root, number: 1 + revoked.length, entries }));
    };
    const trust = content("ca.pem");
    // Of clients; the server's certificate is another CA's.
    files.write("ca.pem", root.pem);
    files.write("crl.pem", await crl());
    gateway = await running("--reload", "--crlfile", files.path("crl.pem"));
    const options = { trust, identities: [{ cert: leaf.pem, key: leaf.privateKeyPem }] };
    expect(await ask("/books/1", options)).toMatch(/^HTTP\/1\.1 200 /);

    put(
      "policy.json",
      JSON.stringify({ ...POLICY, version: "2", rules: [{ ...POLICY.rules[0], what: { path: "/films/**" } }] }),
    );
    await gateway.says(/^mutls: reloaded: policy 2, 1 rules$/m);
    expect(await ask("/books/1", options)).toMatch(/^HTTP\/1\.1 403 /);
    expect(await ask("/films/1", options)).toMatch(/^HTTP\/1\.1 200 /);

    put("policy.json", "{}");
    await gateway.says(/^mutls: not reloaded, the policy in force stays: .*policy\.json: policy: version: /m);
    expect(await ask("/films/1", options)).toMatch(/^HTTP\/1\.1 200 /);

    const session = await open(options);
    put("crl.pem", await crl(leaf));
    await gateway.says(/^mutls: reloaded: crl\.pem; generation \d+$/m);
    await expect(session.closed).rejects.toMatchObject({ alert: "certificate_revoked" });
    await gateway.tells(/"event":"ended".*"code":"CERT_REVOKED"/);
  });

  it("takes up its audit file anew at SIGHUP, which is its owner's alone", async () => {
    const file = files.path("audit.jsonl");
    gateway = await running("--audit", file, "--reload");
    expect(await ask("/books/1")).toMatch(/^HTTP\/1\.1 200 /);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    renameSync(file, `${file}.1`);
    gateway.signal("SIGHUP");
    await gateway.says(/reloaded: policy 1/);
    expect(await ask("/books/2")).toMatch(/^HTTP\/1\.1 200 /);
    const { status, stdout } = await gateway.stop();
    expect([status, stdout.toString()]).toEqual([0, ""]);
    gateway = undefined;
    expect(content("audit.jsonl.1")).toMatch(/"event":"started"[\s\S]*"path":"\/books\/1"/);
    expect(content("audit.jsonl")).toMatch(/"path":"\/books\/2"[\s\S]*"event":"stopped"/);
  });
});

describe("mutls gateway --dry-run", () => {
  const dry = async (request: string, ...more: string[]) => {
    const args = [
      "--policy",
      files.path("policy.json"),
      "--cacert",
      files.path("ca.pem"),
      "--dry-run",
      request,
      ...more,
    ];
    const { status, stdout, stderr } = await mutls(["gateway", ...args]);
    return { status, text: stdout.toString() + stderr };
  };
  const alice = () => ["--as", files.path("client.pem")];

  it("says what a request would come to, and why", async () => {
    expect(await dry("GET /books/1", ...alice())).toEqual({
      status: 0,
      text: [
        "client: CN=alice, issued by CN=mutls throwaway root",
        "request: GET /books/1 at localhost",
        "rule read: fits: allow",
        'rule secret: does not fit: path is /books/1, not "/books/secret"',
        "allowed by policy 1: rule read allows it",
        "roles: reader",
        "",
      ].join("\n"),
    });
    expect(await dry("POST /books/1", ...alice())).toMatchObject({
      status: 22,
      text: expect.stringContaining('denied with 403 by policy 1: no rule allows it: read: method is POST, not "GET"'),
    });
    expect(await dry("GET /books/../x", ...alice())).toMatchObject({
      status: 22,
      text: expect.stringContaining("(path-dot-segment)"),
    });
  });

  it("begins with the handshake", async () => {
    expect(await dry("GET /books/1")).toMatchObject({
      status: 22,
      text: expect.stringContaining("refused in the handshake: no certificate"),
    });
    expect(await dry("GET /books/1", "--client-auth", "optional")).toMatchObject({
      status: 22,
      text: expect.stringContaining("no rule allows a client without a verified certificate anything"),
    });
    const stranger = await dry("GET /books/1", "--as", files.path("stranger.pem"));
    expect(stranger).toMatchObject({ status: 60, text: expect.stringContaining("refused in the handshake") });
    expect(stranger.text).toContain("remedy: ");
  });
});

describe("mutls gateway --check", () => {
  it("says what is there, or what is wrong with it", async () => {
    const good = await mutls(["gateway", "--check", ...flags()]);
    expect([good.status, good.stdout.toString()]).toEqual([
      0,
      expect.stringMatching(/^policy 1: 2 rules: read, secret\ncertificate localhost: valid until \d{4}-\d\d-\d\d\n$/),
    ]);
    files.write(
      "policy.json",
      '{ "version": "1",\n  "rules": [ { "name": "a", "effect": "allow", "who": { "spife": "x" } } ] }',
    );
    const bad = await mutls(["gateway", "--check", ...flags()]);
    expect([bad.status, bad.stderr]).toEqual([
      2,
      expect.stringContaining("policy.json: policy: rules[0].who.spife: there is no such key; there are spiffe"),
    ]);
    files.write("policy.json", '{ "version": "1",\n  "rules": [ }');
    expect((await mutls(["gateway", "--check", ...flags()])).stderr).toContain(
      "policy.json: policy: line 2, column 14: no value: }",
    );
  });
});

describe("exit status", () => {
  it.each<[string[], number, string]>([
    [["gateway"], 2, "mutls gateway needs --policy"],
    [["gateway", "--as", "x"], 2, "--as without --dry-run"],
    [["gateway", "--dry-run", "GET /"], 2, "--dry-run needs --policy"],
    [["gateway", "--policy", "/nowhere", "--dry-run", "GET /"], 26, "cannot read the policy"],
    [["gateway", "--client-auth", "off"], 2, "is not optional or on"],
  ])("%j is %i", async (args, status, reason) => {
    const run = await mutls(args);
    expect([run.status, run.stderr]).toEqual([status, expect.stringContaining(reason)]);
  });

  it.each<[string[], number, string]>([
    [["--listen", "8443"], 2, '--listen: "8443" is not HOST:PORT'],
    [["--upstream-cert", "x"], 2, "--upstream-cert without an https --upstream"],
    [["--identity", "everything"], 2, '--identity: "everything" is none of client-cert'],
    [["--identity", "subject"], 2, '--identity: "subject" is none of'],
    [["--identity", "subject=Host"], 2, "is no name for a field of its own"],
    [["--early-requests", "mark"], 2, "--early-requests without --early-data"],
    [["--early-data", "1", "--tickets", "0"], 2, "--early-data needs tickets"],
    [["--metrics", "0.0.0.0:0"], 2, "only on this machine"],
    [["--audit", "/nowhere/at/all"], 23, "cannot write the audit log"],
    [["--crlfile", "/nowhere"], 82, "cannot read the CRL file"],
  ])("of good flags and %j is %i", async (more, status, reason) => {
    const run = await mutls(["gateway", ...flags(...more)]);
    expect([run.status, run.stderr]).toEqual([status, expect.stringContaining(reason)]);
  });

  it.each([
    ["http://192.0.2.1:80", "is not on this machine: it needs TLS"],
    ["ftp://localhost", "is no server"],
    ["http://127.0.0.1:3000/path", "is no server"],
    ["https://localhost:1", "an https --upstream needs --upstream-cacert"],
  ])("of --upstream %s is 2", async (url, reason) => {
    const args = flags();
    args[args.indexOf("--upstream") + 1] = url;
    const run = await mutls(["gateway", ...args]);
    expect([run.status, run.stderr]).toEqual([2, expect.stringContaining(reason)]);
  });

  it("is 7 where somebody else listens", async () => {
    const { port } = behind.address() as AddressInfo;
    const run = await mutls(["gateway", ...flags("--listen", `127.0.0.1:${port}`)]);
    expect([run.status, run.stderr]).toEqual([7, expect.stringContaining("cannot listen")]);
  });
});
