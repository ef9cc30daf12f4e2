package story

// secret tells which keys of a Secret changed, and never a value: what is told
// is read by more people than the Secret is for. The manifest that was last
// applied repeats the values.
func (t *telling) secret(c *change) bool {
	switch {
	case c.in("data"), c.in("stringData"):
		key := ""
		if len(c.path) > 1 {
			key = " " + c.path[1]
		}
		word := "changed"
		switch {
		case c.old == nil:
			word = "added"
		case c.new == nil:
			word = "removed"
		}
		t.say(rankSpec, "data%s %s", key, word)
	case c.in("metadata", "annotations") && quietAnnotation(c.last()):
		if t.once("manifest") {
			t.say(rankMeta, "manifest applied")
		}
	default:
		return false
	}
	return true
}
