import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import javax.net.ssl.ExtendedSSLSession;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/** A peer of mutls on JSSE: --role client|server, further flags in README.md. Prints one line of JSON a connection. */
final class Peer {
  private final Map<String, String> flags;

  public static void main(String[] arguments) {
    Map<String, String> flags = new HashMap<>();
    for (int at = 0; at < arguments.length; at++) {
      boolean alone = at + 1 == arguments.length || arguments[at + 1].startsWith("--");
      flags.put(arguments[at].substring(2), alone ? "" : arguments[++at]);
    }
    if (flags.containsKey("groups")) System.setProperty("jdk.tls.namedGroups", flags.get("groups"));
    try {
      new Peer(flags).run();
    } catch (IOException | GeneralSecurityException failure) {
      System.out.println("{\"error\":\"" + failure.toString().replace('"', '\'') + "\"}");
      System.exit(1);
    }
  }

  private Peer(Map<String, String> flags) {
    this.flags = flags;
  }

  private void run() throws IOException, GeneralSecurityException {
    SSLContext context = context();
    int connections = Integer.parseInt(flags.getOrDefault("connections", "1"));
    boolean server = flags.get("role").equals("server");
    String version = "\"version\":\"Java " + Runtime.version() + "\"";
    if (!server) {
      System.out.println("{" + version + "}");
      for (int left = connections; left > 0; left--) connect(context);
      return;
    }
    try (SSLServerSocket listener =
        (SSLServerSocket) context.getServerSocketFactory().createServerSocket(0, 5, InetAddress.getLoopbackAddress())) {
      SSLParameters parameters = parameters();
      parameters.setNeedClientAuth(true);
      listener.setSSLParameters(parameters);
      System.out.println("{\"port\":" + listener.getLocalPort() + "," + version + "}");
      for (int left = connections; left > 0; left--) serve((SSLSocket) listener.accept());
    }
  }

  private void serve(SSLSocket socket) throws IOException {
    socket.setTcpNoDelay(true);
    socket.startHandshake();
    StringBuilder facts = facts(socket);
    int lines = 0;
    BufferedReader reader = reader(socket);
    for (String line = reader.readLine(); line != null; line = reader.readLine()) {
      write(socket, line);
      lines++;
      updateKeys(socket, lines);
    }
    socket.close();
    System.out.println(facts.append(",\"lines\":").append(lines).append('}'));
  }

  private void connect(SSLContext context) throws IOException {
    // The name is what the session is kept by.
    SSLSocket socket =
        (SSLSocket) context.getSocketFactory().createSocket("localhost", Integer.parseInt(flags.get("port")));
    socket.setTcpNoDelay(true);
    SSLParameters parameters = parameters();
    parameters.setEndpointIdentificationAlgorithm("HTTPS");
    socket.setSSLParameters(parameters);
    socket.startHandshake();
    StringBuilder facts = facts(socket);
    int lines = 0;
    BufferedReader reader = reader(socket);
    for (String line : new String[] {"first", "second"}) {
      write(socket, line);
      if (line.equals(reader.readLine())) lines++;
      updateKeys(socket, lines);
    }
    socket.shutdownOutput();
    if (reader.readLine() != null) throw new IOException("more than was sent");
    socket.close();
    System.out.println(facts.append(",\"lines\":").append(lines).append('}'));
  }

  /** In TLS 1.3 another handshake is a KeyUpdate. */
  private void updateKeys(SSLSocket socket, int lines) throws IOException {
    if (lines == 1 && flags.containsKey("key-update")) socket.startHandshake();
  }

  private static BufferedReader reader(SSLSocket socket) throws IOException {
    return new BufferedReader(new InputStreamReader(socket.getInputStream(), StandardCharsets.US_ASCII));
  }

  private static void write(SSLSocket socket, String line) throws IOException {
    OutputStream out = socket.getOutputStream();
    out.write((line + "\n").getBytes(StandardCharsets.US_ASCII));
    out.flush();
  }

  /** What this side saw of the handshake. */
  private static StringBuilder facts(SSLSocket socket) throws IOException {
    ExtendedSSLSession session = (ExtendedSSLSession) socket.getSession();
    X509Certificate peer = (X509Certificate) session.getPeerCertificates()[0];
    String name = peer.getSubjectX500Principal().getName().replaceFirst("^.*CN=([^,]*).*$", "$1");
    return new StringBuilder("{\"protocol\":\"").append(session.getProtocol())
        .append("\",\"suite\":\"").append(session.getCipherSuite())
        .append("\",\"alpn\":\"").append(socket.getApplicationProtocol())
        .append("\",\"peer\":\"").append(name)
        .append('"');
  }

  private SSLParameters parameters() {
    SSLParameters parameters = new SSLParameters(null, new String[] {"TLSv1.3"});
    if (flags.containsKey("alpn")) parameters.setApplicationProtocols(new String[] {flags.get("alpn")});
    return parameters;
  }

  private SSLContext context() throws IOException, GeneralSecurityException {
    KeyStore keys = KeyStore.getInstance("PKCS12");
    keys.load(null, null);
    keys.setKeyEntry("own", key(), new char[0], certificates(flags.get("cert")));
    KeyManagerFactory keyManagers = KeyManagerFactory.getInstance("PKIX");
    keyManagers.init(keys, new char[0]);
    KeyStore anchors = KeyStore.getInstance("PKCS12");
    anchors.load(null, null);
    anchors.setCertificateEntry("ca", certificates(flags.get("ca"))[0]);
    TrustManagerFactory trustManagers = TrustManagerFactory.getInstance("PKIX");
    trustManagers.init(anchors);
    SSLContext context = SSLContext.getInstance("TLSv1.3");
    context.init(keyManagers.getKeyManagers(), trustManagers.getTrustManagers(), null);
    return context;
  }

  private static Certificate[] certificates(String path) throws IOException, GeneralSecurityException {
    try (InputStream in = new FileInputStream(path)) {
      return CertificateFactory.getInstance("X.509").generateCertificates(in).toArray(new Certificate[0]);
    }
  }

  private PrivateKey key() throws IOException, GeneralSecurityException {
    String pem = Files.readString(Path.of(flags.get("key"))).replaceAll("-----[^-]+-----|\\s", "");
    return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(pem)));
  }
}
