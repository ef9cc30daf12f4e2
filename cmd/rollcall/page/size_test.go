package page

import (
	"io/fs"
	"regexp"
	"testing"
)

// maxCode bounds what a browser loads before it has asked anything, uncompressed.
const maxCode = 200 << 10

// TestCode: the page's own code is small, and one module asks the server.
func TestCode(t *testing.T) {
	all := 0
	asks := regexp.MustCompile(`\b(fetch|EventSource|XMLHttpRequest|WebSocket)\(`)
	err := fs.WalkDir(web, "web", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(web, path)
		all += len(b)
		if asks.Match(b) && path != "web/lib/api.js" {
			t.Errorf("%s asks the server by itself: lib/api.js does that", path)
		}
		return err
	})
	if err != nil || all == 0 || all > maxCode {
		t.Errorf("the code has %d bytes, of at most %d: %v", all, maxCode, err)
	}
}
