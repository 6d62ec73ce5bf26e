// A peer of node:tls, run by a Node that carries OpenSSL 3.5. Prints one line of JSON when it listens, and one for each
// connection; as a server it echoes, as a client it sends what it is told and prints what comes back.
import tls from "node:tls";

const { role, port, servername, message, ...options } = JSON.parse(process.argv[2]);
const say = (facts) => process.stdout.write(`${JSON.stringify(facts)}\n`);
const common = { ...options, minVersion: "TLSv1.3", rejectUnauthorized: true };

function facts(socket) {
  return {
    protocol: socket.getProtocol(),
    cipherSuite: socket.getCipher().standardName,
    authorized: socket.authorized,
    peer: socket.getPeerCertificate()?.subject?.CN,
    alpn: socket.alpnProtocol,
  };
}

if (role === "server") {
  const server = tls.createServer({ ...common, requestCert: true, allowHalfOpen: true }, (socket) => {
    say(facts(socket));
    socket.pipe(socket);
    server.close();
  });
  server.on("tlsClientError", (error) => {
    say({ error: error.code ?? error.message });
    process.exitCode = 1;
    server.close();
  });
  server.listen(0, "127.0.0.1", () => say({ port: server.address().port, openssl: process.versions.openssl }));
} else {
  say({ openssl: process.versions.openssl });
  const socket = tls.connect({ ...common, port, host: "127.0.0.1", servername }, () => {
    say(facts(socket));
    socket.end(message);
  });
  const received = [];
  socket.on("data", (chunk) => received.push(chunk));
  socket.on("end", () => say({ received: Buffer.concat(received).toString() }));
  socket.on("error", (error) => {
    say({ error: error.code ?? error.message });
    process.exitCode = 1;
  });
}
