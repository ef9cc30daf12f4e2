package kube

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestDivergences: who records a cluster tells, while it goes on, that what is due there is
// not done, though nothing at all happens, and diverge says so too; and nothing while its
// controller is at work. It tells how long ago it has heard of the cluster.
func TestDivergences(t *testing.T) {
	c := newCluster(t)
	kcm := c.controllers(all)
	c.kubelets()
	for i := range 2 {
		c.node(fmt.Sprint("n", i))
	}
	c.daemonSet("agent")
	c.rolledOut("agent", 2)
	data := filepath.Join(t.TempDir(), "record")
	rec := start(t, *rollcall, "connect", "--shadow", "--kubeconfig", c.granted("shadow"), "--data", data, "--metrics", "127.0.0.1:0")
	rec.sees("the log has what the cluster has")
	at := regexp.MustCompile(`Metrics +(\S+)`).FindStringSubmatch(rec.output())
	if at == nil {
		t.Fatalf("no metrics:\n%s", rec.output())
	}
	told := func(name string) string {
		t.Helper()
		res, err := http.Get(at[1])
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(regexp.MustCompile(`(?m)^`+name+`.*$`).FindAllString(string(body), -1), "\n")
	}
	none := `rollcall_divergences_total{class="extra",rule=""} 0
rollcall_divergences_total{class="missing",rule=""} 0
rollcall_divergences_total{class="status",rule=""} 0`
	c.image("agent", "main:2")
	c.rolledOut("agent", 2)
	if is := told("rollcall_divergences_total"); is != none {
		t.Errorf("while its controller is at work:\n%s", is)
	}
	kcm.end()
	c.daemonSet("waits")
	last := ""
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("told last:\n%s\nrollcall connect --shadow:\n%s", last, rec.output())
		}
	})
	c.until("what is missing is told", func(context.Context) (bool, error) {
		last = told("rollcall_divergences_total")
		return !strings.Contains(last, `{class="missing",rule=""} 0`), nil // its revision
	})
	if strings.Contains(last, `extra",rule=""} 1`) {
		t.Error(last)
	}
	if code, said := runs(t, "diverge", "--data", data); code != 1 || !strings.Contains(said, "missing      ds/default/waits") {
		t.Errorf("diverge does not tell what is counted, exit code %d:\n%s", code, said)
	}
	lags := func(more bool) {
		t.Helper()
		c.until(fmt.Sprintf("the lag is more than ten seconds: %v", more), func(context.Context) (bool, error) {
			last = told("rollcall_cluster_lag_seconds")
			_, value, _ := strings.Cut(last, " ")
			seconds, err := strconv.ParseFloat(value, 64)
			return (seconds > 10) == more, err
		})
	}
	lags(false)
	c.stop()
	lags(true)
	c.serve() // with another key, so that no account is known any more
	rec.sees("E-KUBE-USER")
	rec.end()
}
