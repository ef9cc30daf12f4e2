// Package condition evaluates expressions that people write about a log, in CEL,
// at every event of it. docs/DEBUGGING.md tells them what they can name.
package condition

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"

	"rollcall/events"
)

// maxCost bounds one evaluation, in CEL's units of cost: a walk over the pods of
// 100,000 nodes fits, one over all pairs of them does not.
const maxCost = 2_000_000

// maxText bounds an expression.
const maxText = 10_000

// names are what an expression can name.
var names = []string{"state", "event", "ds", "node", "pod"}

// Condition is an expression that is true or false at an event.
type Condition struct {
	text    string
	program cel.Program
	uses    map[string]bool // of names
}

// Compile reads an expression.
func Compile(text string) (*Condition, error) {
	c := &Condition{text: text, uses: map[string]bool{}}
	opts := []cel.EnvOption{cel.CrossTypeNumericComparisons(true), cel.ParserExpressionSizeLimit(maxText)}
	for _, n := range names {
		opts = append(opts, cel.Variable(n, cel.MapType(cel.StringType, cel.DynType)))
	}
	env, err := cel.NewEnv(opts...)
	if err != nil {
		return nil, fmt.Errorf("make the environment of expressions: %w", err)
	}
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		first := issues.Errors()[0]
		return nil, c.refuse(fmt.Sprintf("it does not compile: column %d: %s", first.Location.Column()+1, first.Message))
	}
	if t := ast.OutputType(); t != cel.BoolType && t != cel.DynType {
		return nil, c.refuse("it is of type " + t.String() + ", not true or false")
	}
	refs := ast.NativeRep().ReferenceMap()
	for _, id := range slices.Sorted(maps.Keys(refs)) {
		c.uses[refs[id].Name] = true
	}
	if c.program, err = env.Program(ast, cel.CostLimit(maxCost), cel.InterruptCheckFrequency(1000)); err != nil {
		return nil, c.refuse(err.Error())
	}
	return c, nil
}

// UsesState reports whether the condition names the state. One that does not can
// be asked of events that are not folded.
func (c *Condition) UsesState() bool { return c.uses["state"] }

// String returns the expression as it was written.
func (c *Condition) String() string { return c.text }

// OfState reports whether the expression is about the state alone, and not about
// an event: one that is true stays so until something changes.
func (c *Condition) OfState() bool {
	return c.uses["state"] && !c.uses["event"] && !c.uses["ds"] && !c.uses["node"] && !c.uses["pod"]
}

func (c *Condition) refuse(why string) error {
	return &events.Error{Code: "E-REPLAY-EXPR", What: fmt.Sprintf("the expression %q cannot be used", c.text), Why: why,
		Do: "write one in CEL, such as 'state.counts[\"default/agent\"].available > 3'", Exit: events.ExitInput}
}

// evaluate returns the value of the expression. known is false if it has none,
// because something that it names is not there.
func (c *Condition) evaluate(ctx context.Context, of map[string]any) (holds, known bool, err error) {
	v, _, err := c.program.ContextEval(ctx, of)
	switch {
	case ctx.Err() != nil:
		return false, false, ctx.Err()
	case err != nil && strings.HasPrefix(err.Error(), "no such key"):
		return false, false, nil
	case err != nil && strings.Contains(err.Error(), "cost limit"):
		return false, false, c.refuse("it takes too long: it does more than is allowed at one event")
	case err != nil:
		return false, false, c.refuse(err.Error())
	}
	b, ok := v.(types.Bool)
	if !ok {
		return false, false, c.refuse("its value is of type " + v.Type().TypeName() + ", not true or false")
	}
	return bool(b), true, nil
}
