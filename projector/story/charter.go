package story

import (
	"fmt"
	"strings"

	"rollcall/events"
)

// CharterText says what a log is about, and what is done there.
func CharterText(c events.Charter) string {
	text := "about cluster " + c.Cluster
	if c.Version != "" {
		text += " of " + c.Version
	}
	if c.Epoch > 0 {
		text += fmt.Sprintf(", restored %d times", c.Epoch)
	}
	text += ", mode " + string(c.Mode)
	if len(c.Scope.Namespaces) > 0 {
		text += ", in namespaces " + cut(strings.Join(c.Scope.Namespaces, ","), maxValue)
	}
	if c.Scope.Selector != "" {
		text += ", of DaemonSets with " + cut(c.Scope.Selector, maxValue)
	}
	if c.Collects {
		text += ", and collects what is left behind"
	}
	if c.Budget != "" {
		text += ", budget " + string(c.Budget)
	}
	return text
}
