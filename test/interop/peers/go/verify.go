package main

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"time"
)

// A question is one line of JSON on standard input; []byte is Base64.
type question struct {
	Sent    [][]byte
	Trusted [][]byte
	Name    string
	Role    string
	// Seconds since the epoch.
	Time int64
}

// verify answers each line with {"verdict": …}: ok, or the kind of error.
func verify() error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			return err
		}
		verdict, detail := "ok", ""
		if err := judge(asked); err != nil {
			verdict, detail = class(err), err.Error()
		}
		say(map[string]any{"verdict": verdict, "detail": detail})
	}
	return lines.Err()
}

type malformed struct{ error }

func judge(asked question) error {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, der := range asked.Trusted {
		root, err := x509.ParseCertificate(der)
		if err != nil {
			return malformed{err}
		}
		roots.AddCert(root)
	}
	var leaf *x509.Certificate
	for i, der := range asked.Sent {
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			return malformed{err}
		}
		if i == 0 {
			leaf = parsed
		} else {
			intermediates.AddCert(parsed)
		}
	}
	usage := x509.ExtKeyUsageServerAuth
	if asked.Role == "client" {
		usage = x509.ExtKeyUsageClientAuth
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		DNSName:       asked.Name,
		Roots:         roots,
		Intermediates: intermediates,
		CurrentTime:   time.Unix(asked.Time, 0),
		KeyUsages:     []x509.ExtKeyUsage{usage},
	})
	return err
}

var reasons = map[x509.InvalidReason]string{
	x509.NotAuthorizedToSign:           "NotAuthorizedToSign",
	x509.Expired:                       "Expired",
	x509.CANotAuthorizedForThisName:    "CANotAuthorizedForThisName",
	x509.TooManyIntermediates:          "TooManyIntermediates",
	x509.IncompatibleUsage:             "IncompatibleUsage",
	x509.NameMismatch:                  "NameMismatch",
	x509.UnconstrainedName:             "UnconstrainedName",
	x509.TooManyConstraints:            "TooManyConstraints",
	x509.CANotAuthorizedForExtKeyUsage: "CANotAuthorizedForExtKeyUsage",
	x509.NoValidChains:                 "NoValidChains",
}

func class(err error) string {
	var broken malformed
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var critical x509.UnhandledCriticalExtension
	switch {
	case errors.As(err, &broken):
		return "malformed"
	case errors.As(err, &invalid):
		return reasons[invalid.Reason]
	case errors.As(err, &host):
		return "HostnameError"
	case errors.As(err, &critical):
		return "UnhandledCriticalExtension"
	case errors.As(err, &unknown):
		return "UnknownAuthority" + hint(err.Error())
	}
	return err.Error()
}

// What Go says of the issuer that it would have taken.
func hint(text string) string {
	_, because, found := strings.Cut(text, "possibly because of ")
	switch {
	case !found:
		return ""
	case strings.Contains(because, "insecure algorithm"):
		return ": insecure algorithm"
	case strings.Contains(because, "verification") || strings.Contains(because, "signature algorithm specifies"):
		return ": signature"
	case strings.Contains(because, "algorithm unimplemented"):
		return ": algorithm unimplemented"
	case strings.Contains(because, "invalid signature: parent certificate cannot sign"):
		return ": not authorized to sign"
	}
	return ": " + because
}
