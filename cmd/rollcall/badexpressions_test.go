package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// exprFlags are the flags that take an expression.
var exprFlags = []string{"expr", "until"}

// TestBadExpressions gives every flag that takes an expression what does not
// compile, is neither true nor false, names nothing that is there, or does not end.
func TestBadExpressions(t *testing.T) {
	sandbox(t)
	rec, err := filepath.Abs(filepath.Join("..", "..", "testdata", "recordings", "stuck-node.rollcall"))
	if err != nil {
		t.Fatal(err)
	}
	endless := `a != ""`
	for _, v := range []string{"e", "d", "c", "b", "a"} {
		endless = "state.pods.all(" + v + ", " + strings.Replace(endless, "a !=", v+" !=", 1) + ")"
	}
	n := 0
	for _, line := range append(slices.Clone(logVerbs), "search --rec FILE") {
		if !strings.Contains(line, "--rec FILE") || strings.Contains(line, " --expr") || strings.HasPrefix(line, "bisect budget") || strings.HasPrefix(line, "search agent") {
			continue
		}
		args := fill(line, rec, rec, "")
		c, _, err := testRoot().Find(args)
		if err != nil {
			t.Fatal(err)
		}
		for _, flag := range exprFlags {
			if c.Flags().Lookup(flag) == nil {
				continue
			}
			for _, expr := range []string{"state.", "1 + 1", "event.seq", "nosuch == 1", "pod.spec.nothing == 1", `"a".matches("(")`, "true) || (true", "true; true", "'", "\x00",
				strings.Repeat("(", 10_000) + "true" + strings.Repeat(")", 10_000), strings.Repeat("true && ", 100_000) + "true", endless} {
				if flag == "until" && (expr == endless || strings.Contains(expr, "nothing")) {
					continue // replay prints as it goes, and is done where there is no pod yet
				}
				n++
				code, out, errs := answers(t, append(slices.Clone(args), "--"+flag+"="+expr))
				if m := oneLine.FindStringSubmatch(errs); code != 2 || m == nil || m[1] != "E-REPLAY-EXPR" || out != "" || len(errs) > 4000 {
					t.Errorf("rollcall %s --%s %.100s: exit code %d, prints %.100q, %.300q", line, flag, expr, code, out, errs)
				}
			}
		}
	}
	if n < 13 {
		t.Errorf("only %d command lines were tried", n)
	}
}
