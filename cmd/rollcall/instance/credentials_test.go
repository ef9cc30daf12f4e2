package instance

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"rollcall/events"
)

// TestCredentials: they are made once, for the owner only, and again when they
// end soon or the server has another address; the authority stays the same.
func TestCredentials(t *testing.T) {
	dir, now := t.TempDir(), time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	local := []string{"localhost", "127.0.0.1"}
	first := verified(t, dir, local, now)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 5 {
		t.Errorf("%d files, want 5; %v", len(entries), err)
	}
	for _, e := range entries {
		if i, err := e.Info(); err != nil || i.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", e.Name(), i.Mode(), err)
		}
	}
	for _, c := range []struct {
		why       string
		hosts     []string
		after     time.Duration
		same, was bool // the serving certificate; the authority
	}{
		{"at once", local, 0, true, true},
		{"fewer names", local[:1], time.Hour, true, true},
		{"another address", []string{"127.0.0.1", "10.1.2.3"}, time.Hour, false, true},
		{"one that was lost with it", local, time.Hour, false, true},
		{"long before its end", local, servingValid - renewBefore, true, true},
		{"near its end", local, servingValid - renewBefore + 2*time.Hour, false, true},
		{"after years", local, caValid - renewBefore + time.Hour, false, false},
	} {
		next := verified(t, dir, c.hosts, now.Add(c.after))
		if same := bytes.Equal(next.serving, first.serving); same != c.same {
			t.Errorf("%s: the same certificate %v, want %v", c.why, same, c.same)
		}
		if same := bytes.Equal(next.ca, first.ca); same != c.was {
			t.Errorf("%s: the same authority %v, want %v", c.why, same, c.was)
		}
		if next.token != first.token || len(next.token) < 26 {
			t.Errorf("%s: token %q, was %q", c.why, next.token, first.token)
		}
		if !reflect.DeepEqual(next.account, first.account) {
			t.Errorf("%s: tokens of accounts are signed with another key", c.why)
		}
		first = next
	}
	if err := os.Remove(filepath.Join(dir, caFile)); err != nil {
		t.Fatal(err)
	}
	if next := verified(t, dir, local, now.Add(caValid)); bytes.Equal(next.serving, first.serving) {
		t.Error("the certificate of an authority that was lost is used again")
	}
}

// verified returns credentials that a client accepts for all of the hosts.
func verified(t *testing.T, dir string, hosts []string, now time.Time) credentials {
	t.Helper()
	c, err := ensureCredentials(dir, hosts, now)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(c.ca) {
		t.Fatalf("no authority in %s", c.ca)
	}
	block, _ := pem.Decode(c.serving)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hosts {
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: h, Roots: roots, CurrentTime: now}); err != nil {
			t.Errorf("%s: %v", h, err)
		}
	}
	return c
}

// TestDamagedCredentials: what cannot be read is refused and not made anew,
// because clients rely on it.
//
// finding L5
func TestDamagedCredentials(t *testing.T) {
	cut := func(b []byte) []byte { return b[:len(b)/2] }
	for _, file := range []string{tokenFile, caFile, servingFile} {
		for name, damage := range map[string]func([]byte) []byte{
			"empty":    func([]byte) []byte { return []byte("\n") },
			"cut":      cut,
			"cut line": func(b []byte) []byte { return append(cut(b), '\n') },
			"not text": func(b []byte) []byte { return append(bytes.Repeat([]byte{0}, 40), b...) },
		} {
			dir := t.TempDir()
			path := filepath.Join(dir, file)
			if _, err := ensureCredentials(dir, []string{"localhost"}, time.Now()); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if name == "not text" && file != tokenFile {
				continue // what stands before a certificate is passed over
			}
			if err := os.WriteFile(path, damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			var e *events.Error
			if _, err := ensureCredentials(dir, []string{"localhost"}, time.Now()); !errors.As(err, &e) || e.Code != "E-STORE-FILE" || e.Where != path {
				t.Errorf("%s %s: %v", file, name, err)
			}
		}
	}
}
