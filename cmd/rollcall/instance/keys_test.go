package instance

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"rollcall/events"
	"rollcall/events/natsd"
)

// password makes or reads the Secret of a test.
func password(ctx context.Context, client kubernetes.Interface, value string) (string, error) {
	secrets := client.CoreV1().Secrets("default")
	if value != "" {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Data: map[string][]byte{"password": []byte(value)}}
		_, err := secrets.Create(ctx, s, metav1.CreateOptions{})
		return value, err
	}
	s, err := secrets.Get(ctx, "s", metav1.GetOptions{})
	return string(s.Data["password"]), err
}

// refusedStart starts an instance that must be refused.
func refusedStart(t *testing.T, o Options, code string) {
	t.Helper()
	in, err := Start(t.Context(), o)
	var e *events.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("the start ended with %v, want %s", err, code)
	}
	if err == nil {
		_ = in.Stop()
	}
}

// keyLines returns the lines of a key file that are no comments.
func keyLines(t *testing.T, path string) (lines []string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if line[0] != '#' {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func stop(t *testing.T, in *Instance) {
	t.Helper()
	if err := in.Stop(); err != nil {
		t.Fatal(err)
	}
}

// A cluster has a key from its first start on. Without it nothing is opened, and no
// other is made before somebody says that it is lost; then what it sealed is lost, and
// later starts do not ask again. A further key leaves those before it.
func TestKeys(t *testing.T) {
	sandbox(t)
	ctx, o := t.Context(), Options{Data: t.TempDir(), Durability: natsd.Relaxed}
	path := filepath.Join(o.Data, keyFile)
	in, client := start(t, o)
	if _, err := password(ctx, client, "hidden"); err != nil {
		t.Fatal(err)
	}
	stop(t, in)
	if i, err := os.Stat(path); err != nil || i.Mode().Perm() != 0o600 {
		t.Fatal(i, err)
	}
	first := keyLines(t, path)
	in, client = start(t, Options{Data: o.Data, Durability: o.Durability, NewKey: true})
	if v, err := password(ctx, client, ""); v != "hidden" || err != nil {
		t.Errorf("with a key before the old one: %q, %v", v, err)
	}
	stop(t, in)
	if now := keyLines(t, path); len(now) != 2 || now[1] != first[0] {
		t.Errorf("keys %q after %q", now, first)
	}

	if err := os.Rename(path, path+".kept"); err != nil {
		t.Fatal(err)
	}
	refusedStart(t, o, "E-KEY-LOST")
	if there(path) {
		t.Error("a key was made")
	}
	other := filepath.Join(t.TempDir(), "other.key")
	if err := os.WriteFile(other, []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32))), 0o600); err != nil {
		t.Fatal(err)
	}
	refusedStart(t, Options{Data: o.Data, Durability: o.Durability, KeyFile: other}, "E-KEY-OTHER")
	refusedStart(t, Options{Data: o.Data, Durability: o.Durability, KeyFile: o.Data}, "E-KEY-FILE")
	in, client = start(t, Options{Data: o.Data, Durability: o.Durability, KeyFile: path + ".kept"})
	if v, err := password(ctx, client, ""); v != "hidden" || err != nil || there(path) {
		t.Errorf("with the key that was kept: %q, %v", v, err)
	}
	stop(t, in)

	for _, n := range []bool{true, false} {
		in, client = start(t, Options{Data: o.Data, Durability: o.Durability, NewKey: n})
		if _, err := password(ctx, client, ""); err == nil || !strings.Contains(err.Error(), "E-KEY-GONE") {
			t.Errorf("without the key: %v", err)
		}
		stop(t, in)
	}
	if now := keyLines(t, path); len(now) != 2 || !strings.HasPrefix(now[1], "lost ") {
		t.Errorf("keys %q", now)
	}
}

// The key of a log elsewhere is kept where its position is. Another machine has none,
// and is refused until it is given that of the first.
func TestKeysElsewhere(t *testing.T) {
	sandbox(t)
	home := t.TempDir()
	t.Setenv("XDG_STATE_HOME", home)
	o := Options{NATSURL: serverElsewhere(t, server.Options{})}
	in, client := start(t, o)
	if _, err := password(t.Context(), client, "hidden"); err != nil {
		t.Fatal(err)
	}
	path, err := KeyPath("", o.NATSURL, in.Cluster)
	if err != nil || !strings.HasPrefix(path, home) || len(keyLines(t, path)) != 1 {
		t.Fatal(path, err)
	}
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	refusedStart(t, o, "E-KEY-LOST")
	second, client := start(t, Options{NATSURL: o.NATSURL, KeyFile: path})
	if v, err := password(t.Context(), client, ""); v != "hidden" || err != nil {
		t.Errorf("with the key of the first: %q, %v", v, err)
	}
	stop(t, second)
	stop(t, in)
}
