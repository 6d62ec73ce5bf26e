// A peer of mutls on Go's crypto/tls: -role client|server, further flags in ../README.md. Prints one line of JSON a
// connection.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
)

var (
	role        = flag.String("role", "", "client or server")
	port        = flag.Int("port", 0, "port to connect to")
	cert        = flag.String("cert", "", "chain, PEM")
	key         = flag.String("key", "", "private key, PEM")
	ca          = flag.String("ca", "", "trust anchor, PEM")
	groups      = flag.String("groups", "", "groups by their RFC names")
	alpn        = flag.String("alpn", "", "one protocol")
	connections = flag.Int("connections", 1, "connections; the later ones resume")
	exporter    = flag.String("exporter", "", "label of keying material to export")
)

var curves = map[string]tls.CurveID{
	"x25519":         tls.X25519,
	"secp256r1":      tls.CurveP256,
	"secp384r1":      tls.CurveP384,
	"secp521r1":      tls.CurveP521,
	"X25519MLKEM768": tls.X25519MLKEM768,
	// Go 1.26 has them, without a name in older ones.
	"SecP256r1MLKEM768":  tls.CurveID(4587),
	"SecP384r1MLKEM1024": tls.CurveID(4589),
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "verify" {
		if err := verify(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	config, err := configuration()
	if err == nil {
		if *role == "server" {
			err = serve(config)
		} else {
			err = connect(config)
		}
	}
	if err != nil {
		say(map[string]any{"error": err.Error()})
		os.Exit(1)
	}
}

func configuration() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(*cert, *key)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(*ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	config := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		Certificates:       []tls.Certificate{pair},
		RootCAs:            pool,
		ClientCAs:          pool,
		ClientAuth:         tls.RequireAndVerifyClientCert,
		ServerName:         "localhost",
		ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}
	if *alpn != "" {
		config.NextProtos = []string{*alpn}
	}
	if *groups != "" {
		for name := range strings.SplitSeq(*groups, ",") {
			curve, known := curves[name]
			if !known {
				return nil, fmt.Errorf("no group %s", name)
			}
			config.CurvePreferences = append(config.CurvePreferences, curve)
		}
	}
	return config, nil
}

func serve(config *tls.Config) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	say(map[string]any{"port": listener.Addr().(*net.TCPAddr).Port, "version": version()})
	for range *connections {
		socket, err := listener.Accept()
		if err != nil {
			return err
		}
		conn := tls.Server(socket, config)
		if err := conn.Handshake(); err != nil {
			return err
		}
		facts, err := facts(conn)
		if err != nil {
			return err
		}
		lines := 0
		for reader := bufio.NewScanner(conn); reader.Scan(); lines++ {
			if _, err := fmt.Fprintln(conn, reader.Text()); err != nil {
				return err
			}
		}
		if err := conn.Close(); err != nil {
			return err
		}
		facts["lines"] = lines
		say(facts)
	}
	return nil
}

func connect(config *tls.Config) error {
	say(map[string]any{"version": version()})
	for range *connections {
		conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", *port), config)
		if err != nil {
			return err
		}
		facts, err := facts(conn)
		if err != nil {
			return err
		}
		reader := bufio.NewReader(conn)
		lines := 0
		for _, line := range []string{"first\n", "second\n"} {
			if _, err := conn.Write([]byte(line)); err != nil {
				return err
			}
			echo, err := reader.ReadString('\n')
			if err != nil {
				return err
			}
			if echo == line {
				lines++
			}
		}
		if err := conn.CloseWrite(); err != nil {
			return err
		}
		if rest, err := reader.ReadString('\n'); rest != "" || err.Error() != "EOF" {
			return fmt.Errorf("%q after the end: %w", rest, err)
		}
		if err := conn.Close(); err != nil {
			return err
		}
		facts["lines"] = lines
		say(facts)
	}
	return nil
}

// facts is what this side saw of the handshake.
func facts(conn *tls.Conn) (map[string]any, error) {
	state := conn.ConnectionState()
	seen := map[string]any{
		"protocol": tls.VersionName(state.Version),
		"suite":    tls.CipherSuiteName(state.CipherSuite),
		"group":    state.CurveID.String(),
		"retried":  state.HelloRetryRequest,
		"alpn":     state.NegotiatedProtocol,
		"peer":     state.PeerCertificates[0].Subject.CommonName,
		"resumed":  state.DidResume,
	}
	if *exporter != "" {
		bytes, err := state.ExportKeyingMaterial(*exporter, nil, 32)
		if err != nil {
			return nil, err
		}
		seen["exporter"] = hex.EncodeToString(bytes)
	}
	return seen, nil
}

func version() string {
	return "Go " + strings.TrimPrefix(runtime.Version(), "go")
}

func say(line map[string]any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}
