package instance

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/events/natsd"
	"rollcall/publisher/sources"
)

// BenchmarkIngest has eight sources tell a whole instance events over HTTPS, each
// append synced: as fast as they can, and at 2,000 a second.
func BenchmarkIngest(b *testing.B) {
	b.Run("flatout", func(b *testing.B) { ingest(b, 0) })
	b.Run("2000persecond", func(b *testing.B) { ingest(b, 2000) })
}

// How the sources of the benchmark send.
const (
	benchSources = 8
	benchNodes   = 1000
	benchClients = 32 // requests of a source that are under way at once
)

// ingest tells b.N events, rate a second of all sources together; 0: without a pause.
func ingest(b *testing.B, rate int) {
	sandbox(b)
	dir := b.TempDir()
	at, err := ParseListen("--listen", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	in, err := Start(b.Context(), Options{Data: dir, Durability: natsd.Sync, Controllers: []string{ownController}, API: API{Address: at}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = in.Stop() }()
	if err := sources.Change(dir, func(t *sources.Table) (*sources.Table, error) {
		for s := range benchSources {
			name := fmt.Sprintf("source-%d", s)
			t = t.With(sources.Entry{Source: sources.Source{Name: name, May: []string{"*"}, Nodes: []string{"*"}}, Token: sources.HashOf(name)})
		}
		return t, nil
	}); err != nil {
		b.Fatal(err)
	}
	clients := make([]*http.Client, benchSources)
	ca, err := os.ReadFile(filepath.Join(dir, caFile))
	if err != nil {
		b.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	for s := range clients {
		clients[s] = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: benchClients}}
		if status, err := send(in.Served.URL, clients[s], s, -s-1); err != nil || status != http.StatusOK {
			b.Fatal(status, err)
		}
	}
	took := make([]time.Duration, b.N)
	var all sync.WaitGroup
	b.ResetTimer()
	began := time.Now()
	for s := range benchSources {
		for c := range benchClients {
			all.Go(func() {
				for i := s + benchSources*c; i < b.N; i += benchSources * benchClients {
					due := time.Now()
					if rate > 0 {
						due = began.Add(time.Duration(i) * time.Second / time.Duration(rate))
						time.Sleep(time.Until(due))
					}
					status, err := send(in.Served.URL, clients[s], s, i)
					if err != nil || status != http.StatusOK {
						b.Errorf("event %d: %d, %v", i, status, err)
					}
					took[i] = time.Since(due)
				}
			})
		}
	}
	all.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "events/s")
	b.ReportMetric(float64(took[len(took)/2])/1e6, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100])/1e6, "p99-ms")
}

// send tells the i-th event: mostly conditions that change, also nodes and notes.
func send(url string, client *http.Client, source, i int) (int, error) {
	node := fmt.Sprintf("n-%d-%d", source, max(i, 0)/benchSources%(benchNodes/benchSources))
	body := fmt.Sprintf(`{"type":"node.observed","id":"%d","subject":"node/%s","data":{"labels":{"zone":"z-%d","round":"%d"},"capacity":{"cpu":"4","memory":"8Gi","pods":"110"},"conditions":[{"type":"Ready","status":"True","reason":"AgentReports"}]}}`,
		i, node, source, i/benchNodes)
	switch i / benchNodes % 10 {
	case 0:
	case 1:
		body = fmt.Sprintf(`{"type":"com.example.deploy.started","id":"%d","subject":"node/%s","data":{"version":"2.3","by":"anna"}}`, i, node)
	default:
		status := []string{"True", "False"}[i/benchNodes%2]
		body = fmt.Sprintf(`{"type":"node.condition","id":"%d","subject":"node/%s","data":{"type":"DiskPressure","status":"%s","reason":"DiskFull","message":"/var has 1%% left"}}`, i, node, status)
	}
	r, err := http.NewRequest(http.MethodPost, url+"/v1/events", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", fmt.Sprintf("Bearer source-%d", source))
	answer, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, err
}
