package condition

import (
	"context"
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// term is one side of a comparison.
type term struct {
	text    string
	program cel.Program
}

// maxTerms bounds the terms that are told.
const maxTerms = 8

var comparisons = map[string]bool{operators.Less: true, operators.LessEquals: true, operators.Greater: true, operators.GreaterEquals: true,
	operators.Equals: true, operators.NotEquals: true}

var connectives = map[string]bool{operators.LogicalAnd: true, operators.LogicalOr: true, operators.LogicalNot: true}

// compileTerms makes programs of what the comparisons of an expression compare, as
// far as they are not inside of a macro. What cannot be written down again is left
// out.
func compileTerms(env *cel.Env, checked *cel.Ast) (terms []term) {
	info := checked.NativeRep().SourceInfo()
	seen := map[string]bool{}
	var look func(e ast.Expr)
	look = func(e ast.Expr) {
		if e.Kind() != ast.CallKind {
			return
		}
		call := e.AsCall()
		for _, arg := range call.Args() {
			if connectives[call.FunctionName()] {
				look(arg)
			}
			if !comparisons[call.FunctionName()] || arg.Kind() == ast.LiteralKind || len(terms) == maxTerms {
				continue
			}
			text, err := cel.ExprToString(arg, info)
			if err != nil || seen[text] {
				continue
			}
			seen[text] = true
			sub, issues := env.Compile(text)
			if issues.Err() != nil {
				continue
			}
			if p, err := env.Program(sub, cel.CostLimit(maxCost), cel.InterruptCheckFrequency(1000)); err == nil {
				terms = append(terms, term{text, p})
			}
		}
	}
	look(checked.NativeRep().Expr())
	return terms
}

// Term is what one side of a comparison is after an event.
type Term struct {
	Text  string
	Value string
}

// Terms returns what the sides of the comparisons of the condition are after the
// last event that was taken, where they are numbers, words or the like.
func (w *World) Terms(ctx context.Context) (all []Term) {
	for _, t := range w.of.terms {
		text := "nothing"
		if v, _, err := t.program.ContextEval(ctx, w.values); err == nil {
			text = scalar(v)
		}
		if text != "" {
			all = append(all, Term{t.text, text})
		}
	}
	return all
}

// scalar writes a value down; empty: it is a list or a map.
func scalar(v ref.Val) string {
	switch v.Type() {
	case types.BoolType, types.IntType, types.UintType, types.DoubleType, types.StringType, types.TimestampType, types.DurationType, types.NullType:
		return fmt.Sprint(v.Value())
	}
	return ""
}
