package docs

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestImageIsTheRelease: the image has the program that is released: it is built with the
// same flags, and those of task build but for what differs between machines.
func TestImageIsTheRelease(t *testing.T) {
	flags := func(file string) (tags, link string) {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		one := strings.ReplaceAll(string(text), "\\\n", " ")
		build := regexp.MustCompile(`CGO_ENABLED=0[^\n]* go build -trimpath -buildvcs=false -pgo=\.ci/rollout\.pgo\s+-tags (\S+)\s+-ldflags "([^"]+)"`).FindStringSubmatch(one)
		if build == nil {
			t.Fatalf("%s builds no static program", file)
		}
		return build[1], strings.NewReplacer("$VERSION", "$version", "$COMMIT", "$commit").Replace(build[2])
	}
	tags, link := flags("../Dockerfile")
	if ofRelease, linked := flags("../.ci/release"); ofRelease != tags || linked != link {
		t.Errorf("the image is built with -tags %s -ldflags %q, and a release with -tags %s -ldflags %q", tags, link, ofRelease, linked)
	}
	task, err := os.ReadFile("../Taskfile.yml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(task), "CGO_ENABLED=0 go build -trimpath -pgo=.ci/rollout.pgo ") || !strings.Contains(string(task), "TAGS: "+tags+"\n") || !strings.Contains(string(task), "-ldflags '"+strings.Split(link, " -buildid=")[0]+"'") {
		t.Errorf("task build has other flags than -tags %s -ldflags %q", tags, link)
	}
}
