package instance

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/events"
)

// Files of a data directory by which clients of the Kubernetes API know the
// server, and the server them. A certificate and its key are one file, so that
// no crash parts them.
const (
	tokenFile   = "token"
	caFile      = "ca.pem"
	servingFile = "serving.pem"
)

// How long certificates are valid, and how long before their end they are made
// anew.
const (
	caValid      = 10 * 365 * 24 * time.Hour
	servingValid = 365 * 24 * time.Hour
	renewBefore  = 30 * 24 * time.Hour
	clockSkew    = 5 * time.Minute
)

const pemCertificate, pemKey = "CERTIFICATE", "PRIVATE KEY"

// credentials are those of the Kubernetes API.
type credentials struct {
	token string
	ca    []byte // PEM of the certificate that clients verify with
	cert  []byte // PEM of the serving certificate
	key   []byte // PEM of its key
}

// ensureCredentials returns those of a data directory for a server of the given
// names and addresses. What is there and still good is used again, so that a
// kubeconfig outlives a restart; the rest is made.
func ensureCredentials(dir string, hosts []string, now time.Time) (credentials, error) {
	token, err := ensureToken(filepath.Join(dir, tokenFile))
	if err != nil {
		return credentials{}, err
	}
	ca, err := ensurePair(filepath.Join(dir, caFile), now, nil, func() (pair, error) { return newCA(now) })
	if err != nil {
		return credentials{}, err
	}
	good := func(c *x509.Certificate) bool { return c.CheckSignatureFrom(ca.cert) == nil && names(c, hosts) }
	serving, err := ensurePair(filepath.Join(dir, servingFile), now, good, func() (pair, error) { return newServing(ca, hosts, now) })
	if err != nil {
		return credentials{}, err
	}
	return credentials{token: token, ca: ca.certPEM, cert: serving.certPEM, key: serving.keyPEM}, nil
}

// names reports whether a certificate is for all of the hosts.
func names(c *x509.Certificate, hosts []string) bool {
	for _, h := range hosts {
		if c.VerifyHostname(h) != nil {
			return false
		}
	}
	return true
}

func ensureToken(path string) (string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		token := rand.Text()
		return token, datadir.SaveFile(path, []byte(token+"\n"))
	}
	if err != nil {
		return "", damagedSecret(path, datadir.Reason(err))
	}
	token := strings.TrimSpace(string(b))
	switch whole := len(rand.Text()); {
	case token == "":
		return "", damagedSecret(path, "it is empty")
	case len(token) < whole:
		// What is left of a token is easier to guess than a token.
		return "", damagedSecret(path, fmt.Sprintf("it is cut: a token has %d characters, and it %d", whole, len(token)))
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", damagedSecret(path, "it holds what no token has")
	}
	return token, nil
}

func damagedSecret(path, why string) error {
	return &events.Error{Code: "E-STORE-FILE", What: "a file of the data directory cannot be read", Where: path, Why: why,
		Do: "remove it: a new one is made, and clients need the new kubeconfig", Exit: events.ExitHalt}
}

// pair is a certificate with its key.
type pair struct {
	cert            *x509.Certificate
	key             *ecdsa.PrivateKey
	certPEM, keyPEM []byte
}

// ensurePair returns the pair of a file. If there is none, or it ends soon, or
// good says no, it makes and keeps another. good may be nil.
func ensurePair(path string, now time.Time, good func(*x509.Certificate) bool, make func() (pair, error)) (pair, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		p, err := parsePair(b)
		if err != nil {
			return pair{}, damagedSecret(path, err.Error())
		}
		if now.After(p.cert.NotBefore) && now.Add(renewBefore).Before(p.cert.NotAfter) && (good == nil || good(p.cert)) {
			return p, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return pair{}, damagedSecret(path, datadir.Reason(err))
	}
	p, err := make()
	if err != nil {
		return pair{}, fmt.Errorf("make %s: %w", filepath.Base(path), err)
	}
	return p, datadir.SaveFile(path, append(bytes.Clone(p.certPEM), p.keyPEM...))
}

func parsePair(b []byte) (pair, error) {
	t, err := tls.X509KeyPair(b, b)
	if err != nil {
		return pair{}, err
	}
	key, ok := t.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return pair{}, fmt.Errorf("its key is a %T", t.PrivateKey)
	}
	return newPair(t.Certificate[0], key)
}

func newPair(der []byte, key *ecdsa.PrivateKey) (pair, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return pair{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, err
	}
	return pair{cert: cert, key: key, certPEM: pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: der}),
		keyPEM: pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: keyDER})}, nil
}

// newCA makes the certificate that clients verify with. It has a name of its
// own, so that those of two clusters are not taken for each other.
func newCA(now time.Time) (pair, error) {
	return issue(pair{}, &x509.Certificate{
		Subject: pkix.Name{CommonName: "rollcall-ca-" + rand.Text()[:10]}, NotAfter: now.Add(caValid),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, IsCA: true,
	}, now)
}

func newServing(ca pair, hosts []string, now time.Time) (pair, error) {
	c := &x509.Certificate{Subject: pkix.Name{CommonName: "rollcall"}, NotAfter: now.Add(servingValid),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	return issue(ca, c, now)
}

// issue signs c with a new key by, or by itself if by has none.
func issue(by pair, c *x509.Certificate, now time.Time) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	if c.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return pair{}, err
	}
	c.NotBefore = now.Add(-clockSkew)
	if by.key == nil {
		by = pair{cert: c, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.cert, key.Public(), by.key)
	if err != nil {
		return pair{}, err
	}
	return newPair(der, key)
}
