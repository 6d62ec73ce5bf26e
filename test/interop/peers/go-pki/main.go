// Go's crypto/x509 as a judge and a maker of what a CA deals in.
//
//	go-pki verify ROOT.pem CHAIN.pem server|client NAME CRL.pem   good or revoked, after a strict look at all of it
//	go-pki request CSR.pem                                          verifies a request and says what is in it
//	go-pki make KIND CSR.pem                                        makes a request of P-256, P-384, RSA or Ed25519
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"
)

func main() {
	var err error
	switch args := os.Args[1:]; args[0] {
	case "verify":
		err = verify(args[1], args[2], args[3], args[4], args[5])
	case "request":
		err = request(args[1])
	case "make":
		err = makeRequest(args[1], args[2])
	default:
		err = fmt.Errorf("no command %s", args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func blocks(file string) ([][]byte, error) {
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var found [][]byte
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return found, nil
		}
		found = append(found, block.Bytes)
	}
}

func certificates(file string) ([]*x509.Certificate, error) {
	ders, err := blocks(file)
	if err != nil {
		return nil, err
	}
	var found []*x509.Certificate
	for _, der := range ders {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		found = append(found, certificate)
	}
	return found, nil
}

func verify(rootFile, chainFile, role, name, crlFile string) error {
	roots, err := certificates(rootFile)
	if err != nil {
		return err
	}
	chain, err := certificates(chainFile)
	if err != nil {
		return err
	}
	options := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), DNSName: name}
	options.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if role == "client" {
		options.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	options.Roots.AddCert(roots[0])
	for _, certificate := range chain[1:] {
		options.Intermediates.AddCert(certificate)
	}
	paths, err := chain[0].Verify(options)
	if err != nil {
		return err
	}
	ders, err := blocks(crlFile)
	if err != nil {
		return err
	}
	path := paths[0]
	for i := range path[:len(path)-1] {
		if err := status(path[i], path[i+1], ders); err != nil {
			return err
		}
	}
	fmt.Println("good")
	return nil
}

// An error says that it is revoked, or that its issuer has no CRL that counts.
func status(certificate, issuer *x509.Certificate, crls [][]byte) error {
	for _, der := range crls {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return err
		}
		if list.CheckSignatureFrom(issuer) != nil {
			continue
		}
		if now := time.Now(); now.Before(list.ThisUpdate) || now.After(list.NextUpdate) || list.Number.Sign() <= 0 {
			return fmt.Errorf("a CRL out of its time")
		}
		for _, entry := range list.RevokedCertificateEntries {
			if entry.SerialNumber.Cmp(certificate.SerialNumber) == 0 {
				return fmt.Errorf("revoked %d", entry.ReasonCode)
			}
		}
		return nil
	}
	return fmt.Errorf("no CRL of %s", issuer.Subject)
}

func request(file string) error {
	ders, err := blocks(file)
	if err != nil {
		return err
	}
	request, err := x509.ParseCertificateRequest(ders[0])
	if err != nil {
		return err
	}
	if err := request.CheckSignature(); err != nil {
		return err
	}
	fmt.Println(request.Subject, request.DNSNames, request.IPAddresses, request.EmailAddresses, request.URIs)
	return nil
}

func makeRequest(kind, file string) error {
	key, err := generate(kind)
	if err != nil {
		return err
	}
	uri, err := url.Parse("spiffe://example.org/go")
	if err != nil {
		return err
	}
	template := x509.CertificateRequest{
		Subject:        pkix.Name{CommonName: "go", Organization: []string{"Example"}},
		DNSNames:       []string{"go.example"},
		IPAddresses:    []net.IP{net.ParseIP("2001:db8::1")},
		EmailAddresses: []string{"go@example.com"},
		URIs:           []*url.URL{uri},
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		return err
	}
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), 0o600)
}

func generate(kind string) (crypto.Signer, error) {
	switch kind {
	case "P-256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "P-384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "RSA":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "Ed25519":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("no kind %s", kind)
}
