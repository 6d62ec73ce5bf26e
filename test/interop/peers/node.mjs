/** A peer of mutls on node:tls, run by a Node that carries a newer OpenSSL. Prints one line of JSON a connection. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import tls from "node:tls";
import { flags, say } from "./flags.mjs";

const GROUPS = { secp256r1: "P-256", x25519: "X25519", x448: "X448" };

const { role, port, cert, key, ca, groups, alpn, connections, exporter, psk } = flags();
const version = `OpenSSL ${process.versions.openssl}`;
const options = {
  cert: readFileSync(cert),
  key: readFileSync(key),
  ca: readFileSync(ca),
  minVersion: "TLSv1.3",
  rejectUnauthorized: true,
  ...(groups && {
    ecdhCurve: groups
      .split(",")
      .map((name) => GROUPS[name] ?? name)
      .join(":"),
  }),
  ...(alpn && { ALPNProtocols: [alpn] }),
  ...(psk && { pskCallback: pskCallback(...psk.split(":")) }),
};

try {
  await (role === "server" ? serve() : connect());
} catch (error) {
  say({ error: error.code ?? error.message });
  process.exitCode = 1;
}

function pskCallback(identity, hex) {
  const key = Buffer.from(hex, "hex");
  return role === "server" ? (_socket, name) => (name === identity ? key : null) : () => ({ identity, psk: key });
}

async function serve() {
  const server = tls.createServer({ ...options, requestCert: true, allowHalfOpen: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const failed = once(server, "tlsClientError").then(([error]) => {
    throw error;
  });
  say({ port: server.address().port, version });
  for (let left = connections; left > 0; left--) {
    const [socket] = await Promise.race([once(server, "secureConnection"), failed]);
    const seen = facts(socket);
    let lines = 0;
    for await (const line of createInterface({ input: socket })) {
      socket.write(`${line}\n`);
      lines++;
    }
    socket.end();
    say({ ...seen, lines });
  }
  server.close();
}

async function connect() {
  say({ version });
  let session;
  for (let left = connections; left > 0; left--) {
    const socket = tls.connect({ ...options, port, host: "127.0.0.1", servername: "localhost", session });
    socket.on("session", (ticket) => {
      session = ticket;
    });
    await once(socket, "secureConnect");
    const seen = { ...facts(socket), group: socket.getEphemeralKeyInfo().name };
    const answers = createInterface({ input: socket })[Symbol.asyncIterator]();
    let lines = 0;
    for (const line of ["first", "second"]) {
      socket.write(`${line}\n`);
      if ((await answers.next()).value === line) lines++;
    }
    socket.end();
    await once(socket, "close");
    say({ ...seen, lines });
  }
}

function facts(socket) {
  return {
    protocol: socket.getProtocol(),
    suite: socket.getCipher().standardName,
    alpn: socket.alpnProtocol || "",
    peer: socket.getPeerCertificate()?.subject?.CN,
    // An external key counts as a session, too.
    ...(psk ? {} : { resumed: socket.isSessionReused() }),
    ...(exporter && { exporter: socket.exportKeyingMaterial(32, exporter).toString("hex") }),
  };
}
