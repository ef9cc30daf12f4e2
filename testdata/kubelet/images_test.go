package kubelet

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The images that containers here have: busybox, and a file that tells them
// apart.
const (
	pauseImage = "rollcall.test/pause:1"
	agentImage = "rollcall.test/agent:" // and 1 or 2
)

// applets are the commands of busybox that images have.
const applets = "sh httpd ls cat echo sleep kill hostname env tar id mkdir rm true false"

// writeImages writes an archive of images, as docker save writes it, for ctr to
// import.
func writeImages(t *testing.T, busybox string) (archive string) {
	t.Helper()
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	const work = "httpd -p 8080 -h /etc; while :; do echo agent $(cat /etc/version); sleep 1; done"
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	var manifest []map[string]any
	for image, command := range map[string][]string{
		pauseImage:       {"sleep", "2000000000"},
		agentImage + "1": {"sh", "-c", work},
		agentImage + "2": {"sh", "-c", work},
	} {
		layer := layerOf(t, program, image[strings.LastIndex(image, ":")+1:])
		digest := fmt.Sprintf("%x", sha256.Sum256(layer))
		config, err := json.Marshal(map[string]any{"architecture": "amd64", "os": "linux",
			"config": map[string]any{"Cmd": command, "Env": []string{"PATH=/bin"}},
			"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest}}})
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("%x.json", sha256.Sum256(config))
		put(t, w, name, 0o644, config)
		put(t, w, digest+".tar", 0o644, layer)
		manifest = append(manifest, map[string]any{"Config": name, "RepoTags": []string{image}, "Layers": []string{digest + ".tar"}})
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	put(t, w, "manifest.json", 0o644, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	archive = filepath.Join(t.TempDir(), "images.tar")
	if err := os.WriteFile(archive, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return archive
}

// layerOf returns the one layer of an image.
func layerOf(t *testing.T, program []byte, version string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, dir := range strings.Fields("bin etc tmp proc sys dev") {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
	}
	put(t, w, "bin/busybox", 0o755, program)
	put(t, w, "etc/version", 0o644, []byte(version))
	for _, name := range strings.Fields(applets) {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: "busybox"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func put(t *testing.T, w *tar.Writer, name string, mode int64, content []byte) {
	t.Helper()
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
}
