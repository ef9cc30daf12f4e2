package instance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
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
	"slices"
	"strings"
	"time"

	"rollcall/events"
	"rollcall/events/files"
)

// Files of a data directory by which clients of the Kubernetes API know the
// server, and the server them. A certificate and its key are one file, so that
// no crash parts them.
const (
	tokenFile   = "token"
	caFile      = "ca.pem"
	servingFile = "serving.pem"
	accountFile = "accounts.pem" // key of the tokens of service accounts
)

// How long certificates are valid, and how long before their end they are made
// anew.
const (
	caValid      = 10 * 365 * 24 * time.Hour
	servingValid = 365 * 24 * time.Hour
	renewBefore  = 30 * 24 * time.Hour
	clockSkew    = 5 * time.Minute
)

// credentials are those of the Kubernetes API.
type credentials struct {
	token   string
	ca      []byte        // PEM of the certificate that clients verify with
	serving []byte        // PEM of the serving certificate and of its key
	account crypto.Signer // of tokens of service accounts
	kubelet string        // the file by which kubelets know the server
}

// ensureCredentials returns those of a data directory for a server of the given
// names and addresses. What is there and still good is used again, so that a
// kubeconfig outlives a restart; the rest is made.
func ensureCredentials(dir string, hosts []string, now time.Time) (credentials, error) {
	token, err := ensureToken(filepath.Join(dir, tokenFile))
	if err != nil {
		return credentials{}, err
	}
	ca, err := ensurePair(filepath.Join(dir, caFile), now, nil, func() ([]byte, error) { return newCA(now) })
	if err != nil {
		return credentials{}, err
	}
	good := func(c *x509.Certificate) bool {
		other := func(host string) bool { return c.VerifyHostname(host) != nil }
		return c.CheckSignatureFrom(ca.Leaf) == nil && !slices.ContainsFunc(hosts, other)
	}
	serving, err := ensurePair(filepath.Join(dir, servingFile), now, good, func() ([]byte, error) { return newServing(ca, hosts, now) })
	if err != nil {
		return credentials{}, err
	}
	account, err := ensureAccountKey(filepath.Join(dir, accountFile))
	if err != nil {
		return credentials{}, err
	}
	kubelet, err := ensureKubeletClient(dir, ca, now)
	if err != nil {
		return credentials{}, err
	}
	return credentials{token, certificatePEM(ca.Certificate.Certificate[0]), serving.file, account, kubelet}, nil
}

// ensureAccountKey returns the key by which tokens of service accounts are signed.
// With another key those that were given out are refused.
func ensureAccountKey(path string) (crypto.Signer, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		if b, err = keyPEM(key); err != nil {
			return nil, err
		}
		return key, files.Replace(path, b)
	}
	if err != nil {
		return nil, damagedSecret(path, files.Reason(err))
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, damagedSecret(path, "it holds no key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, damagedSecret(path, "it holds no key") // the error of a parser may quote what it has read
	}
	switch key.(type) {
	case *ecdsa.PrivateKey, *rsa.PrivateKey:
		return key.(crypto.Signer), nil
	}
	return nil, damagedSecret(path, "its key is neither of ECDSA nor of RSA")
}

func ensureToken(path string) (string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		token := rand.Text()
		return token, files.Replace(path, []byte(token+"\n"))
	}
	if err != nil {
		return "", damagedSecret(path, files.Reason(err))
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

// pair is a certificate with its key, and the file of both.
type pair struct {
	tls.Certificate
	file []byte // PEM
}

// ensurePair returns the pair of a file. If there is none, or it ends soon, or
// good says no, it makes and keeps another. good may be nil.
func ensurePair(path string, now time.Time, good func(*x509.Certificate) bool, make func() ([]byte, error)) (pair, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		p, err := parsePair(b)
		if err != nil {
			return pair{}, damagedSecret(path, err.Error())
		}
		if now.After(p.Leaf.NotBefore) && now.Add(renewBefore).Before(p.Leaf.NotAfter) && (good == nil || good(p.Leaf)) {
			return p, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return pair{}, damagedSecret(path, files.Reason(err))
	}
	if b, err = make(); err != nil {
		return pair{}, fmt.Errorf("make %s: %w", filepath.Base(path), err)
	}
	if err := files.Replace(path, b); err != nil {
		return pair{}, err
	}
	return parsePair(b)
}

func parsePair(b []byte) (pair, error) {
	c, err := tls.X509KeyPair(b, b)
	return pair{c, b}, err
}

// newCA makes the certificate that clients verify with. It has a name of its
// own, so that those of two clusters are not taken for each other.
func newCA(now time.Time) ([]byte, error) {
	return issue(pair{}, &x509.Certificate{
		Subject: pkix.Name{CommonName: "rollcall-ca-" + rand.Text()[:10]}, NotAfter: now.Add(caValid),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, IsCA: true,
	}, now)
}

func newServing(ca pair, hosts []string, now time.Time) ([]byte, error) {
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

// issue signs c with the key of by, or by itself if by has none, and returns the
// PEM of c and of its new key.
func issue(by pair, c *x509.Certificate, now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if c.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, err
	}
	c.NotBefore = now.Add(-clockSkew)
	if by.PrivateKey == nil {
		by.Leaf, by.PrivateKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.Leaf, key.Public(), by.PrivateKey)
	if err != nil {
		return nil, err
	}
	private, err := keyPEM(key)
	return append(certificatePEM(der), private...), err
}

func keyPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
